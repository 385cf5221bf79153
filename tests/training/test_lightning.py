"""Runs of Lightning's Trainer: the same numbers as in a plain loop, and the same training."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from helpers.lightning_runs import Module, adamw, fit, lightning, standing
from helpers.plain_gradients import weight_gradients
from helpers.training import batch, mean_loss, probe_set, same_weights, with_adapters

import gradsweep
from gradsweep.errors import ConfigError, ModelError

Model = Any
pytestmark = pytest.mark.filterwarnings("ignore")
"""Lightning's own, about workers, logging and the length of an epoch."""


def test_training_is_the_same_to_the_last_bit(
    llama: Model, make_tokenizer: Callable[..., Any]
) -> None:
    twin = copy.deepcopy(llama)
    callback = gradsweep.LightningSpectraCallback(
        update_every=3, layers=1, probe=probe_set(), probe_every=8, tokenizer=make_tokenizer()
    )
    fit(llama, 20, callback, gradient_clip_val=0.5)
    fit(twin, 20, gradient_clip_val=0.5)
    assert same_weights(llama.state_dict(), twin.state_dict())
    steps = callback.rows.group_by("source").agg(pl.col("step").unique().sort()).sort("source")
    assert dict(steps.rows()) == {"probe": [0, 8, 16, 20], "update": list(range(0, 20, 3))}


@pytest.mark.parametrize("passes", [1, 3])
def test_rows_are_of_the_accumulated_gradient_before_clipping(llama: Model, passes: int) -> None:
    llama.eval()
    callback = gradsweep.LightningSpectraCallback(update_every=1, layers=1)
    more = {"gradient_clip_val": 1e-3, "accumulate_grad_batches": passes}
    fit(llama, 1, callback, optimizer=standing, **more)
    llama.zero_grad()
    llama.train(False)
    for n in range(passes):
        (mean_loss(llama, batch(4, seed=n)) / passes).backward()
    expected = weight_gradients(llama)
    assert not callback.rows.is_empty()
    for layer, name, norm in callback.rows.select("layer", "projection", "nuclear_norm").rows():
        nuclear = torch.linalg.svdvals(expected[layer, name].double()).sum()
        assert norm == pytest.approx(float(nuclear), rel=1e-5)
    (step,) = callback.steps.to_dicts()
    assert step["clipped_gradient_norm"] == pytest.approx(1e-3, rel=1e-3)
    assert step["gradient_norm"] > 10 * step["clipped_gradient_norm"]
    assert step["loss"] > 0


def test_a_run_is_a_training_point_and_its_scalars_reach_the_logger(
    llama: Model, tmp_path: Path
) -> None:
    logger = lightning.loggers.CSVLogger(tmp_path / "logs")
    callback = gradsweep.LightningSpectraCallback(
        update_every=2, layers=1, folder=tmp_path / "results", model_name="tiny"
    )
    fit(llama, 5, callback, logger=logger)
    found = gradsweep.load_training(tmp_path / "results")
    assert found.steps["step"].to_list() == [0, 1, 2, 3, 4]
    assert found.rows["model"].unique().to_list() == ["tiny"]
    logger.save()
    (file,) = (tmp_path / "logs").rglob("metrics.csv")
    told = pl.read_csv(file).drop_nulls("spectra_update/q/nuclear_norm")
    assert told["step"].to_list() == [1, 3, 5]


class Killed(lightning.Callback):
    """Sets aside what a run would leave that is killed when it has made so many steps."""

    def __init__(self, made: int, folder: Path) -> None:
        self._made, self._folder = made, folder

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self._made:
            shutil.copytree(self._folder / "results", self._folder / "left")


def test_a_killed_run_goes_on_from_its_checkpoint_and_no_step_is_lost(
    llama: Model, tmp_path: Path
) -> None:
    checkpoints = lightning.callbacks.ModelCheckpoint(
        tmp_path, "{step}", every_n_train_steps=2, save_top_k=-1
    )
    callback, again = (
        gradsweep.LightningSpectraCallback(update_every=1, layers=1, folder=tmp_path / name)
        for name in ("results", "left")
    )
    fit(copy.deepcopy(llama), 4, callback, checkpoints, Killed(3, tmp_path))
    fit(llama, 5, again, resumed=tmp_path / "step=2.ckpt")
    found = gradsweep.load_training(tmp_path / "left")
    assert found.steps["step"].to_list() == [0, 1, 2, 3, 4]
    assert found.rows["point_id"].n_unique() == 1


def test_what_cannot_be_measured_is_refused(llama: Model) -> None:
    with pytest.raises(ConfigError, match="tokenizer"):
        fit(llama, 1, gradsweep.LightningSpectraCallback(probe=probe_set()))
    with pytest.raises(ModelError, match="bf16-mixed"):
        fit(llama, 1, gradsweep.LightningSpectraCallback(), precision="16-true")
    two = Module(llama, adamw)
    two.reference = copy.deepcopy(llama)
    with pytest.raises(ConfigError, match="lm, reference"):
        fit(two, 1, gradsweep.LightningSpectraCallback())
    by_hand = Module(llama, adamw)
    by_hand.automatic_optimization = False
    with pytest.raises(ModelError, match=r"gradsweep\.watch"):
        fit(by_hand, 1, gradsweep.LightningSpectraCallback())


class Warming(Module):
    """Its rate is another one at every step."""

    def configure_optimizers(self) -> Any:
        optimizer = adamw(self.parameters())
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda made: made / 4)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def test_a_step_has_the_learning_rate_that_it_took(llama: Model) -> None:
    callback = gradsweep.LightningSpectraCallback(update_every=1, layers=1)
    fit(Warming(llama, adamw), 4, callback)
    assert callback.steps["learning_rate"].to_list() == [0.0, 0.0025, 0.005, 0.0075]
    assert [ratio > 0 for ratio in callback.steps["update_over_weight"]] == [False, *[True] * 3]


class Noting(Module):
    """Its losses can be read."""

    def training_step(self, ids: torch.Tensor, index: int) -> torch.Tensor | None:
        loss = super().training_step(ids, index)
        self.losses = [*getattr(self, "losses", []), float(loss)]
        return loss


@pytest.mark.parametrize("passes", [1, 4])
def test_a_step_has_the_mean_loss_of_its_passes(llama: Model, passes: int) -> None:
    """The last step of an epoch may have fewer of them."""
    callback = gradsweep.LightningSpectraCallback(update_every=1, layers=1)
    module, limit = Noting(llama, adamw), 2 * passes + 1
    fit(module, 3, callback, accumulate_grad_batches=passes, limit_train_batches=limit)
    of_steps = torch.tensor(module.losses).split(passes)
    means = [float(losses.mean()) for losses in of_steps]
    assert callback.steps["loss"].to_list() == pytest.approx(means, rel=1e-6)


class Skipping(Module):
    """Leaves batches out, as Lightning allows in one process."""

    left_out: tuple[int, ...] = ()

    def training_step(self, ids: torch.Tensor, index: int) -> torch.Tensor | None:
        loss = super().training_step(ids, index)
        return None if index in self.left_out else loss


class Zeroing(Skipping):
    """Keeps gradients as zeros, which the optimizer then takes."""

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Any) -> None:
        optimizer.zero_grad(set_to_none=False)


@pytest.mark.parametrize("kind", [Skipping, Zeroing])
@pytest.mark.parametrize("adapted", [False, True])
def test_a_step_without_a_loss_has_no_row_and_training_goes_on(
    llama: Model,
    make_tokenizer: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
    kind: type[Skipping],
    adapted: bool,
) -> None:
    model = with_adapters(llama, "q_proj", "v_proj").train() if adapted else llama
    twin = copy.deepcopy(model)
    callback = gradsweep.LightningSpectraCallback(
        **{"update_every": 2, "layers": 1, "projections": "qv"},
        **{"probe": probe_set(), "probe_every": 4, "tokenizer": make_tokenizer()},
    )
    for trained, callbacks in ((model, [callback]), (twin, [])):
        module = kind(trained, adamw)
        module.left_out = (3, 6, 7)
        fit(module, 9, *callbacks)
    assert same_weights(model.state_dict(), twin.state_dict())
    steps = callback.rows.group_by("source").agg(pl.col("step").unique().sort()).sort("source")
    assert dict(steps.rows()) == {"probe": [0, 4, 8, 9], "update": [0, 2, 4, 8]}
    assert callback.steps["step"].to_list() == [0, 1, 2, 4, 5, 8]
    (told,) = [record.getMessage() for record in caplog.records if record.name == "gradsweep"]
    assert "step 3" in told


def test_a_pass_without_a_loss_leaves_the_gradient_of_the_others(llama: Model) -> None:
    callback = gradsweep.LightningSpectraCallback(update_every=1, layers=1)
    module = Skipping(llama.eval(), standing)
    module.left_out = (0, 2)
    fit(module, 1, callback, accumulate_grad_batches=3)
    llama.zero_grad()
    loss = mean_loss(llama, batch(4, seed=1))
    (loss / 3).backward()
    for row in callback.rows.iter_rows(named=True):
        expected = weight_gradients(llama)[row["layer"], row["projection"]]
        assert row["frobenius_norm"] == pytest.approx(float(expected.norm()), rel=1e-5)
    assert callback.steps["loss"].to_list() == pytest.approx([float(loss)], rel=1e-6)
