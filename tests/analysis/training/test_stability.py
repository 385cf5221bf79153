"""A run in a few numbers: spikes, how its norm moves, what is left of the held-out loss."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.stored_training import store_run

from gradsweep.analysis import stability
from gradsweep.analysis.training.stability import count_spikes, loss_spikes
from gradsweep.records import Axes
from gradsweep.store.training import load_training

NONE = Axes("tiny", "sums", "none", "correct")
FALLING = 4 * np.exp(-np.arange(40) / 10) + np.random.default_rng(0).normal(0, 0.05, 40) + 1


def only_run(results: Path) -> dict[str, Any]:
    (line,) = stability(load_training(results)).to_dicts()
    return line


def test_a_falling_noisy_loss_has_no_spike_and_each_jump_is_one():
    assert count_spikes(FALLING) == 0
    jumps = FALLING.copy()
    jumps[[15, 30, 31]] += 3
    assert np.flatnonzero(loss_spikes(jumps)).tolist() == [15, 30, 31]
    assert count_spikes(jumps) == 2


def test_a_loss_that_is_not_a_number_is_a_spike_and_an_even_one_has_none():
    assert count_spikes(np.array([2.0, 1.5, math.nan, math.nan])) == 1
    even = np.full(30, 2.0)
    even[20] += 1e-4
    assert count_spikes(even) == 0


def test_a_norm_that_falls_steadily_has_spread_but_does_not_move_from_step_to_step(tmp_path: Path):
    steps = np.arange(30)
    noise = np.exp(np.random.default_rng(1).normal(0, 0.3, 30))
    store_run(tmp_path / "falls", "run", NONE, losses=[1.0] * 30, norms=list(5 * 0.9**steps))
    store_run(tmp_path / "moves", "run", NONE, losses=[1.0] * 30, norms=list(noise))
    falls, moves = only_run(tmp_path / "falls"), only_run(tmp_path / "moves")
    assert falls["spread"] > moves["spread"]
    assert falls["step_to_step"] < 0.1
    assert moves["step_to_step"] == pytest.approx(moves["spread"], rel=0.3)


def test_the_norm_of_the_update_rows_stands_in_for_the_trainers(tmp_path: Path):
    store_run(tmp_path, "run", NONE, update=[3.0, 2.0, 1.0, 1.0], losses=[1.0] * 4)
    run = only_run(tmp_path)
    assert run["first_norm"] / run["last_norm"] == pytest.approx(3)
    assert run["largest_ratio"] == pytest.approx(2)


def test_held_out_losses_are_compared_after_as_many_steps_and_tokens(tmp_path: Path):
    store_run(tmp_path, "long", NONE, losses=[1.0] * 8, held_out={0: 4.0, 4: 3.0, 8: 1.0},
              tokens_per_step=10)  # fmt: skip
    store_run(tmp_path, "short", Axes("tiny", "sums", "detailed", "correct"), losses=[1.0] * 6,
              held_out={0: 2.0, 6: 1.0}, tokens_per_step=40)  # fmt: skip
    runs = {line["point_id"]: line for line in stability(load_training(tmp_path)).to_dicts()}
    assert {run["equal_steps"] for run in runs.values()} == {6}
    assert {run["equal_tokens"] for run in runs.values()} == {80}
    assert runs["long"]["held_out_at_equal_steps"] == pytest.approx(2.0)
    assert runs["long"]["held_out_at_equal_tokens"] == pytest.approx(1.0)
    assert runs["short"]["held_out_at_equal_tokens"] == pytest.approx(2 - 80 / 240)
    assert runs["long"]["first_held_out"] == 4.0


def test_a_series_of_checkpoints_has_no_steps_to_sum_up(tmp_path: Path):
    store_run(tmp_path, "series", NONE, probes={"none": {0: 1.0, 1000: 0.5}})
    assert stability(load_training(tmp_path)).is_empty()
