"""How metrics, projections, conditions and the files about them are named for a reader."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from gradsweep.records import METRIC_NAMES, SAMPLE_METRIC_NAMES, WHOLE_SAMPLE, MetricName
from gradsweep.store.series import model_label


def metric_words(metric: str) -> str:
    """Give a metric in words: `nuclear norm` for nuclear_norm; an unknown one is its own name."""
    return _name(metric).words


def metric_label(metric: str) -> str:
    """Give words with symbol or unit, for a heading or an axis: `nuclear norm Σσ`."""
    return f"{_name(metric).words} {_name(metric).symbol}".strip()


def _name(metric: str) -> MetricName:
    known = METRIC_NAMES | SAMPLE_METRIC_NAMES
    return known.get(metric, MetricName(metric.replace("_", " ")))


def projection_label(projection: str) -> str:
    """Give a projection's short name: `Q` for q; longer names (gate, up, down) stay as they are.

    What is of whole samples is `per sample`.
    """
    if projection == WHOLE_SAMPLE:
        return "per sample"
    return projection.upper() if len(projection) == 1 else projection


def projection_list(projections: Sequence[str]) -> str:
    return " ".join(projection_label(name) for name in projections)


def level_label(cot: str) -> str:
    """Name a level: `no CoT` for none, `detailed CoT` for detailed."""
    return "no CoT" if cot == "none" else f"{cot} CoT"


def level_phrase(cot: str) -> str:
    """Name a level in a sentence: `without CoT` for none, `with detailed CoT` for detailed."""
    return "without CoT" if cot == "none" else f"with {cot} CoT"


def model_of(frame: pl.DataFrame) -> str:
    """Name the one model of a frame, with its series: `qwen2_1.5b n_samples=2`."""
    first = frame.row(0, named=True)
    return model_label(first["model"], first.get("series", ""))


def figure_title(frame: pl.DataFrame) -> str:
    """Name the one model and dataset of a frame: `qwen2_1.5b seed=1 · gsm8k`."""
    return f"{model_of(frame)} · {frame['dataset'][0]}"


def file_stem(*names: str) -> str:
    """Join `names` by two underscores, with nothing that a file name must not have."""
    return re.sub(r"[^\w.+=-]+", "-", "__".join(names))
