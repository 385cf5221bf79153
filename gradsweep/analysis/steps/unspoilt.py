"""The same steps before one of them was spoilt: what else may make the wrong one stand out."""

from __future__ import annotations

import polars as pl

from gradsweep.analysis.rows import with_every_axis
from gradsweep.records import POINT_LABELS

_SPOILT = "_corrupted"


def unspoilt(rows: pl.DataFrame, samples: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Take the steps of whole rationales, labelled as they are where one step is spoilt.

    A step with a number, which alone can be spoilt by `cot.ablate=corrupt`, may stand out for that.
    Of every point of spoilt rationales whose twin, the same point of whole ones, is there: its
    steps, under labels and id of the spoilt point.

    Args:
        rows: as `load_rows` gives them.
        samples: of the same points.

    Returns:
        Rows and samples, with the columns of the arguments; empty without twins.
    """
    samples = with_every_axis(samples)
    key = [name for name in (*POINT_LABELS, "seed") if name in samples.columns]
    steps = samples.filter(pl.col("step_index").is_not_null())
    points = steps.select("point_id", *key).unique()
    of_spoilt = points.filter(pl.col("cot").str.ends_with(_SPOILT)).select(
        pl.col("point_id").alias("spoilt_id"), *key, pl.col("cot").alias("spoilt_cot")
    )
    twins = points.join(
        of_spoilt.with_columns(pl.col("cot").str.strip_suffix(_SPOILT)), on=key, nulls_equal=True
    ).select("point_id", "spoilt_id", "spoilt_cot")
    labels = steps.select(
        pl.col("point_id").alias("spoilt_id"), "question_id", "step_index", "step_label"
    )
    labelled = steps.drop("step_label").join(twins, on="point_id").join(
        labels, on=["spoilt_id", "question_id", "step_index"]
    )  # fmt: skip
    return (
        _under_spoilt(with_every_axis(rows).join(twins, on="point_id"), rows.columns),
        _under_spoilt(labelled, samples.columns),
    )


def _under_spoilt(frame: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    named = frame.with_columns(point_id=pl.col("spoilt_id"), cot=pl.col("spoilt_cot"))
    return named.select(columns)
