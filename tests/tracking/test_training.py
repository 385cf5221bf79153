"""A training point in W&B: its steps once, on their own axis, whatever stopped it in between."""

from __future__ import annotations

import math
from pathlib import Path

import polars as pl
import pytest
import wandb
from helpers.tiny_point import tiny_point
from helpers.wandb_log import LoggedRun, read_run

from gradsweep import compose, extract, load_training
from gradsweep.config import Config
from gradsweep.tracking import uploads_left

pytest.importorskip("wandb")


@pytest.fixture
def config(saved_model: Path, tmp_path: Path) -> Config:
    training = ("training=full", "training.steps=4", "training.batch_size=2",
                "training.probe_every=2", "training.probe_questions=2",
                "training.checkpoint_every=1", "training.update_every=2")  # fmt: skip
    tracked = ("tracking=wandb", "tracking.mode=offline", "n_samples=12", "model.max_length=400")
    return compose(*tiny_point(saved_model, tmp_path / "results", *training, *tracked))


def logged(config: Config) -> list[LoggedRun]:
    assert uploads_left(60) == 0
    wandb.teardown()
    return [read_run(f) for f in sorted((config.results / "wandb").glob("offline-run-*"))]


@pytest.mark.long
def test_steps_and_spectra_by_step_are_logged_once_over_a_stop_and_a_resume(
    config: Config,
) -> None:
    made = 0

    def after_two() -> bool:
        nonlocal made
        made += 1
        return made == 2

    with pytest.raises(KeyboardInterrupt):
        extract(config, show_progress=False, stop=after_two)
    assert logged(config)  # as at the end of the process
    extract(config, show_progress=False)
    runs = logged(config)
    assert len({run.id for run in runs}) == 1
    history = [line for run in runs for line in run.history]

    stored = load_training(config.results)
    steps = {line["training_step"]: line for line in history if "training_step" in line}
    n_lines = sum("training_step" in line for line in history)
    assert n_lines == len(steps) == len(stored.steps)
    for line in stored.steps.iter_rows(named=True):
        if math.isfinite(line["loss"]):
            assert steps[line["step"]]["train_loss"] == line["loss"]

    measured = {line["measured_step"]: line for line in history if "measured_step" in line}
    assert sorted(measured) == [0, 2, 4]
    means = stored.rows.filter(source="update", step=0).group_by("projection").agg(
        pl.col("nuclear_norm").mean()
    )  # fmt: skip
    for projection, mean in means.iter_rows():
        assert measured[0][f"train_update_nuclear_norm_{projection}"] == pytest.approx(mean)
    assert "train_probe_simplified_correct_nuclear_norm_q" in measured[4]
    assert runs[-1].axes["train_loss"] == "training_step"
    assert runs[-1].axes["train_update_nuclear_norm_q"] == "measured_step"
    assert {"loss_first", "loss_last", "held_out_loss_last"} <= runs[-1].summary.keys()


@pytest.mark.long
def test_a_dashboard_of_training_points_shows_keys_that_they_log(config: Config) -> None:
    from gradsweep.store.selection import Selection
    from gradsweep.tracking.wandb.dashboard import panels
    from gradsweep.tracking.wandb.dashboard.contents import contents

    extract(config, show_progress=False)
    (run,) = logged(config)
    shown = contents(Selection(config.results), ("nuclear_norm",))
    assert shown.trains
    for panel in panels.training_curves(shown):
        (name,) = panel.y
        assert any({name, panel.x} <= line.keys() for line in run.history), name
        assert run.axes[name] == panel.x
