"""Runs are named by what tells them apart: settings, and seeds where they are repetitions."""

from __future__ import annotations

import polars as pl

from gradsweep.analysis.training.moments import RUN
from gradsweep.analysis.training.names import run_names


def runs(*lines: tuple[str, str, int]) -> pl.DataFrame:
    """Runs of (cot, series, seed)."""
    found = [
        (f"run{i}", "tiny", "sums", cot, "correct", "sft", series, seed)
        for i, (cot, series, seed) in enumerate(lines)
    ]
    schema = [*((name, pl.String()) for name in RUN[:-1]), ("seed", pl.Int64())]
    return pl.DataFrame(found, schema=schema, orient="row")


def test_a_seed_is_told_where_runs_differ_in_it_alone():
    named = run_names(runs(("none", "", 0), ("none", "", 1), ("detailed", "", 0)))
    assert [(one.series, one.data) for one in named.values()] == [
        ("seed=0", "sums cot=none"), ("seed=1", "sums cot=none"), ("", "sums cot=detailed"),
    ]  # fmt: skip


def test_another_seed_of_the_training_is_a_repetition_and_no_other_setting():
    named = run_names(
        runs(
            ("none", "learning_rate=0.1 seed=1", 0),
            ("none", "learning_rate=0.1", 0),
            ("none", "", 0),
        )
    )
    assert {name: (one.settings, one.seeds) for name, one in named.items()} == {
        "run1": ("learning_rate=0.1", "training.seed=0"),
        "run0": ("learning_rate=0.1", "training.seed=1"),
        "run2": ("", ""),
    }
