"""How a run is named among the others: its data and condition, its settings, its seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from gradsweep.analysis.rows import CORRECT, in_reading_order
from gradsweep.analysis.training.moments import RUN
from gradsweep.records import POINT_LABELS
from gradsweep.store.series import series_parts


@dataclass(frozen=True)
class RunName:
    """A run, told apart from the others."""

    run: dict[str, Any]
    """Columns of `RUN`."""
    settings: str
    """Its series without the seed of its training."""
    seeds: str
    """`seed=1`, `training.seed=1` or both, where runs differ in it alone; else empty."""

    @property
    def series(self) -> str:
        return " ".join(filter(None, (self.settings, self.seeds)))

    @property
    def data(self) -> str:
        """What it learns from: `gsm8k cot=none`."""
        kind = self.run["correctness"]
        told = "" if kind == CORRECT else f" correctness={kind}"
        return f"{self.run['dataset']} cot={self.run['cot']}{told}"


def run_names(frame: pl.DataFrame) -> dict[str, RunName]:
    """Name the runs of a frame with columns of `RUN`: point_id -> name, in reading order.

    A point's seed chooses its samples, and `training.seed` their order: a run of another one is a
    repetition.
    """
    runs = frame.select(RUN).unique()
    series = [settings_and_seed(name) for name in runs["series"]]
    told = runs.with_columns(
        settings=pl.Series([settings for settings, _ in series], dtype=pl.String()),
        training_seed=pl.Series([seed for _, seed in series], dtype=pl.Int64()),
    )
    same = [*(name for name in POINT_LABELS if name != "series"), "settings"]
    several = told.with_columns(
        (pl.col(name).n_unique().over(same) > 1).alias(f"several_{name}")
        for name in ("seed", "training_seed")
    )
    return {line["point_id"]: _name(line) for line in _in_order(several).to_dicts()}


def _name(line: dict[str, Any]) -> RunName:
    seeds = [f"seed={line['seed']}"] if line["several_seed"] else []
    seeds += [f"training.seed={line['training_seed']}"] if line["several_training_seed"] else []
    run = {name: line[name] for name in RUN}
    return RunName(run, line["settings"], " ".join(seeds))


def settings_and_seed(series: str) -> tuple[str, int]:
    """Take the seed of training, which a series names where it is not 0, from its settings."""
    parts = series_parts(series)
    seeds = [part for part in parts if part.startswith("seed=")]
    settings = " ".join(part for part in parts if part not in seeds)
    return settings, int(seeds[0].partition("=")[2]) if seeds else 0


def _in_order(runs: pl.DataFrame) -> pl.DataFrame:
    """Conditions in reading order, then by seed."""
    labels = [*(name for name in POINT_LABELS if name != "series"), "settings"]
    unique = runs.select(labels).unique().with_columns(series=pl.col("settings"))
    conditions = in_reading_order(unique).drop("series").with_row_index("place")
    placed = runs.join(conditions, on=labels, how="left")
    return placed.sort("place", "seed", "training_seed", "point_id")
