"""A plain loop, watched from its optimizer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from helpers.plain_gradients import weight_gradients
from helpers.training import backward, batch, mean_loss, probe_set, same_weights

import gradsweep
from gradsweep.errors import ConfigError, ModelError
from gradsweep.store import PointPaths

Model = Any
STEPS = 20
"""Of which the weights are compared."""


def train(model: Model, steps: int = STEPS, **options: Any) -> Any:
    """Steps of AdamW, watched where there are options."""
    torch.manual_seed(7)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)

    def loop() -> None:
        for step in range(steps):
            backward(model, batch(4, seed=step), parts=2)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            optimizer.zero_grad()

    if not options:
        loop()
        return None
    with gradsweep.watch(model, optimizer, **options) as watched:
        loop()
    return watched


def test_training_is_the_same_to_the_last_bit(llama: Model, tokenizer: Any) -> None:
    twin = copy.deepcopy(llama)
    train(llama, update_every=3, layers=1, probe=probe_set(), probe_every=8, tokenizer=tokenizer)
    train(twin)
    assert same_weights(llama.state_dict(), twin.state_dict())
    assert not any(getattr(p, "_post_accumulate_grad_hooks", None) for p in llama.parameters())


def test_rows_have_steps_and_sources(llama: Model, tokenizer: Any) -> None:
    logged: list[tuple[int, dict[str, float]]] = []
    watched = train(
        llama,
        steps=5,
        update_every=2,
        layers=2,
        projections="qo",
        probe=probe_set(),
        probe_every=4,
        tokenizer=tokenizer,
        log=lambda scalars, step: logged.append((step, scalars)),
    )
    updates = watched.rows.filter(source="update")
    assert updates.select("step", "layer", "projection").rows() == [
        (step, 0, name) for step in (0, 2, 4) for name in "qo"
    ]
    probes = watched.rows.filter(source="probe")
    assert probes.select("step", "probe_cot").unique().sort("step", "probe_cot").rows() == [
        (step, cot) for step in (0, 4, 5) for cot in ("detailed", "none")
    ]
    assert probes["layer"].unique().to_list() == [0, 1]
    steps = watched.steps
    assert steps["step"].to_list() == [0, 1, 2, 3, 4]
    assert steps["learning_rate"].to_list() == [1e-2] * 5
    assert steps.filter(pl.col("gradient_norm").is_finite())["step"].to_list() == [0, 2, 4]
    assert [step for step, _ in logged] == [0, 1, 3, 4, 5, 5]
    assert {"spectra_update/q/nuclear_norm", "spectra_update/gradient_norm"} <= logged[1][1].keys()
    assert "spectra_probe/none/correct/o/effective_rank" in logged[0][1]


def test_rows_are_of_the_gradient_before_clipping(llama: Model) -> None:
    optimizer = torch.optim.SGD(llama.parameters(), lr=0.0)
    with gradsweep.watch(llama, optimizer, update_every=1, layers=1) as watched:
        backward(llama, batch(4))
        expected = weight_gradients(llama)
        torch.nn.utils.clip_grad_norm_(llama.parameters(), 1e-3)
        optimizer.step()
    for layer, name, norm in watched.rows.select("layer", "projection", "nuclear_norm").rows():
        nuclear = torch.linalg.svdvals(expected[layer, name].double()).sum()
        assert norm == pytest.approx(float(nuclear), rel=1e-5)


def test_a_scaler_steps_the_optimizer(llama: Model) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    optimizer = torch.optim.SGD(llama.parameters(), lr=0.1)
    llama.eval()
    backward(llama, batch(4))
    expected = weight_gradients(llama)[0, "q"]
    optimizer.zero_grad()
    with gradsweep.watch(llama, optimizer, update_every=1, scaler=scaler) as watched:
        scaler.scale(mean_loss(llama, batch(4))).backward()
        scaler.step(optimizer)
        scaler.update()
    row = watched.rows.filter(layer=0, projection="q").row(0, named=True)
    assert row["frobenius_norm"] == pytest.approx(float(expected.norm()), rel=1e-5)


def test_a_results_folder_has_a_training_point(
    llama: Model, tokenizer: Any, tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        "update_every": 2,
        "layers": 1,
        "probe": probe_set(),
        "tokenizer": tokenizer,
        "folder": tmp_path,
        "model_name": "tiny",
    }
    watched = train(llama, steps=3, **options)
    tables = gradsweep.load_training(tmp_path)
    assert tables.rows["model"].unique().to_list() == ["tiny"]
    assert tables.rows.drop("point_id", "model", "dataset", "objective").width > 20
    own = ("step", "layer", "projection", "nuclear_norm", "update_over_weight")
    assert tables.rows.select(own).equals(watched.rows.select(own))
    assert tables.steps["step"].to_list() == [0, 1, 2]
    (point,) = gradsweep.point_statuses(tmp_path)
    assert point.state.name == "DONE"
    train(llama, steps=2, **options)
    assert len(gradsweep.load_training(tmp_path).steps["point_id"].unique()) == 2


def test_a_run_that_goes_on_has_every_moment_once(llama: Model, tmp_path: Path) -> None:
    options: dict[str, Any] = {"update_every": 1, "folder": tmp_path}
    with pytest.raises(ZeroDivisionError), _watched(llama, options) as step:
        step()
        step()
        1 / 0  # noqa: B018
    with _watched(llama, options | {"first_step": 1}) as step:
        step()
        step()
    tables = gradsweep.load_training(tmp_path)
    assert tables.samples["step"].to_list() == [0, 1, 2]
    assert tables.steps["step"].to_list() == [0, 1, 2]
    assert len(tables.steps["point_id"].unique()) == 1
    paths = PointPaths(tmp_path, tables.steps["point_id"][0])
    assert paths.done.exists()


def test_a_run_that_goes_on_otherwise_keeps_nothing_of_the_steps_it_discards(
    llama: Model, tokenizer: Any, tmp_path: Path
) -> None:
    """Other batches after the checkpoint, and fewer steps than the run that was stopped."""
    llama.eval()
    probes = {"probe": probe_set(), "probe_every": 2, "tokenizer": tokenizer}
    options: dict[str, Any] = {"update_every": 1, "folder": tmp_path, **probes}
    with pytest.raises(ZeroDivisionError), _watched(llama, options) as step:
        for _ in range(6):
            step()
        1 / 0  # noqa: B018
    before = gradsweep.load_training(tmp_path)
    with _watched(llama, options | {"first_step": 2}) as step:
        step(seed=8)
        expected = weight_gradients_of(llama, seed=9)
        step(seed=9)
    tables = gradsweep.load_training(tmp_path)
    updates = tables.samples.filter(source="update")
    assert updates["step"].to_list() == tables.steps["step"].to_list() == [0, 1, 2, 3]
    assert tables.rows.filter(source="probe")["step"].unique().to_list() == [0, 2, 4]
    for layer, name, norm in (
        tables.rows.filter(step=3).select("layer", "projection", "frobenius_norm").rows()
    ):
        assert norm == pytest.approx(float(expected[layer, name].norm()), rel=1e-5)
    kept = before.rows.filter(pl.col("step") < 2)
    assert kept.equals(tables.rows.filter(pl.col("step") < 2))


def weight_gradients_of(model: Model, seed: int) -> Any:
    """Of a batch, without a step."""
    twin = copy.deepcopy(model)
    twin.zero_grad()
    backward(twin, batch(2, seed=seed))
    return weight_gradients(twin)


def test_layers_are_a_step_or_a_list(llama: Model, tmp_path: Path) -> None:
    """A run that goes on with the same ones, in any order, goes on in its point."""
    options: dict[str, Any] = {"update_every": 1, "folder": tmp_path}
    with pytest.raises(ZeroDivisionError), _watched(llama, options | {"layers": [1]}) as step:
        step()
        1 / 0  # noqa: B018
    with _watched(llama, options | {"layers": range(1, 2), "first_step": 1}) as step:
        step()
    tables = gradsweep.load_training(tmp_path)
    assert tables.rows.select("step", "layer").unique().sort("step").rows() == [(0, 1), (1, 1)]
    assert len(tables.steps["point_id"].unique()) == 1


class _watched:
    """A watched loop, one step a call."""

    def __init__(self, model: Model, options: dict[str, Any]) -> None:
        self.model = model
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        self.watch = gradsweep.watch(model, self.optimizer, **options)

    def __enter__(self) -> Callable[..., None]:
        self.watch.__enter__()
        return self.step

    def __exit__(self, *error: Any) -> None:
        self.watch.__exit__(*error)

    def step(self, seed: int = 0) -> None:
        backward(self.model, batch(2, seed=seed))
        self.optimizer.step()
        self.optimizer.zero_grad()


def test_bad_options_are_refused(llama: Model) -> None:
    optimizer = torch.optim.SGD(llama.parameters(), lr=0.1)
    for layers in (0, [], [-1], ["q"]):
        with pytest.raises(ConfigError, match=r"layers must be at least 1.*type layers=1 for all"):
            gradsweep.watch(llama, optimizer, layers=layers)
    with pytest.raises(ConfigError, match="would measure nothing"):
        gradsweep.watch(llama, optimizer, update_every=0)
    with pytest.raises(ConfigError, match=r"'nuclear' is none.*did you mean nuclear_"):
        gradsweep.watch(llama, optimizer, metrics=["nuclear"])
    watch = gradsweep.watch(llama, optimizer, probe=probe_set())
    with pytest.raises(ConfigError, match="tokenizer"):
        watch.__enter__()
    other = torch.optim.SGD(llama.model.layers[0].parameters(), lr=0.1)
    with pytest.raises(ModelError, match="the optimizer does not have q of layer 1"):
        gradsweep.watch(llama, other, layers=1).__enter__()
    assert not any(getattr(p, "_post_accumulate_grad_hooks", None) for p in llama.parameters())
