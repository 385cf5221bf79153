"""The gap between two probes: paired over questions, and only where both levels were measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from helpers.stored_training import TOKENS, store_run

from gradsweep.analysis import gap_by_step, gaps
from gradsweep.analysis.training.moments import sample_rows_of_moments, summed_over_tokens
from gradsweep.records import Axes
from gradsweep.store.training import load_training

NONE = Axes("tiny", "sums", "none", "correct")


def test_the_ratio_by_step_and_an_interval_that_covers_it(tmp_path: Path):
    probes = {"none": {0: 8.0, 5: 4.0, 10: 2.0}, "detailed": {0: 1.0, 5: 1.0, 10: 1.0}}
    store_run(tmp_path, "run", NONE, probes=probes, n_questions=20)
    found = gap_by_step(gaps(load_training(tmp_path).rows))
    assert found["step"].to_list() == [0, 5, 10]
    assert found["ratio"].to_list() == pytest.approx([8, 4, 2], rel=0.06)
    for planted, low, high in zip((8, 4, 2), found["low"], found["high"], strict=True):
        assert low < planted < high
        # Questions differ by a factor of 1.2 among each other, which both levels share.
        assert high / low < 1.15


def test_intervals_cover_what_is_planted_as_often_as_they_say(tmp_path: Path):
    probes = {"none": {0: 3.0}, "detailed": {0: 1.0}}
    store_run(tmp_path, "run", NONE, probes=probes, n_questions=960, noise=0.3, projections="q")
    rows = load_training(tmp_path).rows
    covered = []
    for start in range(40):
        asked = [f"question{index}" for index in range(start, 960, 40)]
        (gap,) = gaps(rows.filter(pl.col("question_id").is_in(asked)), resamples=300)
        low, high = gap.interval(gap.log_ratios[0])
        covered.append(low < np.log(3) < high)
    assert 34 <= sum(covered) < 40


def test_steps_at_which_one_level_lacks_are_left_out(tmp_path: Path):
    store_run(tmp_path, "run", NONE, probes={"none": {0: 4.0, 5: 2.0}, "detailed": {0: 1.0}})
    store_run(tmp_path, "fast", NONE, probes={"none": {0: 4.0}}, seed=1)
    (gap,) = gaps(load_training(tmp_path).rows)
    assert gap.run["point_id"] == "run"
    assert gap.steps == (0,)


def test_summed_losses_move_the_ratio_by_the_ratio_of_tokens(tmp_path: Path):
    probes = {"none": {0: 4.0}, "detailed": {0: 1.0}}
    store_run(tmp_path, "run", NONE, update=[4.0], probes=probes)
    tables = load_training(tmp_path)
    (mean,) = gaps(tables.rows)
    (summed,) = gaps(summed_over_tokens(tables.rows, tables.samples))
    tokens = np.log(TOKENS["none"] / TOKENS["detailed"])
    assert summed.log_ratios - mean.log_ratios == pytest.approx(tokens)


def test_the_loss_has_a_gap_of_its_own(tmp_path: Path):
    probes = {"none": {0: 4.0, 1: 1.0}, "detailed": {0: 1.0, 1: 1.0}}
    store_run(tmp_path, "run", NONE, probes=probes)
    samples = load_training(tmp_path).samples
    (gap,) = gaps(sample_rows_of_moments(samples), "loss")
    expected = np.log(np.log1p([4.0, 1.0]) / np.log1p(1.0))
    assert gap.log_ratios[:, 0] == pytest.approx(expected)
