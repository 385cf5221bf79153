"""Lightning in several processes: two train and measure as one does, and rows can be found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from helpers.lightning_ranks import RANKS, Trained, alone
from helpers.lightning_runs import fit
from helpers.ranks import on_ranks
from helpers.training import same_weights
from polars.testing import assert_frame_equal

import gradsweep

pytestmark = pytest.mark.filterwarnings("ignore")
"""Lightning's own, about workers, logging and the length of an epoch."""

OF_STEPS = (
    *("step", "loss", "learning_rate"),
    *("gradient_norm", "clipped_gradient_norm", "update_over_weight"),
)


@pytest.mark.long
def test_two_processes_under_ddp_train_and_measure_as_one(
    tmp_path: Path, saved_model: Path
) -> None:
    """With accumulation and clipping, of updates and of probes."""
    assert on_ranks(RANKS, Trained(tmp_path, saved_model), tmp_path) == ["trained"] * RANKS
    plain, *watched = (
        torch.load(tmp_path / f"{name}.pt") for name in ("plain-0", "watched-0", "watched-1")
    )
    assert all(same_weights(plain, weights) for weights in watched)
    (rows, other_rows), (steps, other_steps) = (
        [pl.read_parquet(tmp_path / f"no-dropout-{kind}-{r}.parquet") for r in range(RANKS)]
        for kind in ("rows", "steps")
    )
    assert rows.equals(other_rows)
    assert steps.select(OF_STEPS).equals(other_steps.select(OF_STEPS))
    rows_alone, steps_alone = alone(saved_model)
    assert rows["source"].unique().sort().to_list() == ["probe", "update"]
    measured = ["nuclear_norm", "sigma_max", "frobenius_norm", "update_over_weight"]
    key = ["step", "source", "probe_cot", "sample_id", "layer", "projection"]
    assert_near(rows.select(key + measured), rows_alone.select(key + measured))
    assert_near(steps.select(OF_STEPS), steps_alone.select(OF_STEPS))
    stored = gradsweep.load_training(tmp_path / "results")
    assert stored.rows["point_id"].n_unique() == 1
    assert stored.steps["step"].to_list() == [0, 1, 2]
    assert not stored.rows.select(key).is_duplicated().any()
    first = pl.read_parquet(tmp_path / "watched-rows-0.parquet")
    assert stored.rows.select(key + measured).equals(first.select(key + measured))


def assert_near(ours: pl.DataFrame, theirs: pl.DataFrame) -> None:
    """Sums in another order, of float32; AdamW divides small gradients by their own size."""
    assert_frame_equal(ours, theirs, rel_tol=1e-4, abs_tol=1e-7)


def test_rows_that_are_not_in_this_process_are_said_to_be_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"not begun, or child processes.*lost without folder="):
        _ = gradsweep.LightningSpectraCallback().rows
    with pytest.raises(RuntimeError, match=r"ddp_spawn.*load_training\('.*results'\)"):
        _ = gradsweep.LightningSpectraCallback(folder=tmp_path / "results").steps


@pytest.mark.long
def test_rows_of_child_processes_are_in_the_folder(llama: Any, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    callback = gradsweep.LightningSpectraCallback(update_every=1, layers=1, folder=folder)
    fit(llama, 2, callback, strategy="ddp_spawn")
    with pytest.raises(RuntimeError, match="child processes"):
        _ = callback.rows
    assert gradsweep.load_training(folder).steps["step"].to_list() == [0, 1]
