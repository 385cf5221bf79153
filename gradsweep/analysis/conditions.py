"""One point for each condition: seeds are pooled by question, and what was measured more is joined.

Everything that compares conditions starts here, so that one more point can only add to what a
condition says, and never takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from gradsweep.analysis.rows import whole_samples
from gradsweep.records import POINT_LABELS, ROW_KEY
from gradsweep.store.frames import metric_columns


def conditions(rows: pl.DataFrame) -> pl.DataFrame:
    """Make every condition (`POINT_LABELS`) of `rows` one point.

    Points of one seed differ in what was measured of their samples alone: a row that several have
    is that of the point that measured least, a metric that it lacks that of the next. Of several
    seeds, a metric is the mean over those that asked the question and measured it, and `finite`
    holds where it does in one of them. The point is then named by its lowest seed. Rows of a
    condition with one point stay as they are. Points of single steps are no conditions
    (`whole_samples`).

    Args:
        rows: as `load_rows` gives them; without a column seed all are of one.
    """
    rows = whole_samples(rows)
    labels = [name for name in POINT_LABELS if name in rows.columns]
    points = rows.select(*labels, "point_id", *_seed(rows)).unique()
    several = points.group_by(labels).len().filter(pl.col("len") > 1)
    if several.is_empty():
        return rows
    shared = rows.join(several, on=labels, how="semi", maintain_order="left")
    alone = rows.join(several, on=labels, how="anti", maintain_order="left")
    made = [
        _one_condition(of_condition)
        for _, of_condition in shared.group_by(labels, maintain_order=True)
    ]
    return pl.concat([alone, *made], how="diagonal_relaxed")


def _one_condition(rows: pl.DataFrame) -> pl.DataFrame:
    if "seed" not in rows.columns or rows["seed"].n_unique() == 1:
        return _joined(rows)
    of_seeds = [
        _joined(of_seed) for _, of_seed in rows.sort("seed").group_by("seed", maintain_order=True)
    ]
    return _pooled(pl.concat(of_seeds, how="diagonal_relaxed"))


def _joined(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of one seed, each once."""
    least_first = (
        rows.group_by("point_id")
        .agg(pl.struct("projection", *_parts(rows)).n_unique().alias("measured"),
             *(pl.col(name).is_finite().any().alias(f"has_{name}") for name in _floats(rows)))
        .with_columns(pl.sum_horizontal(f"has_{name}" for name in _floats(rows)).alias("metrics"))
        .sort("measured", "metrics", "point_id")["point_id"]
    )  # fmt: skip
    if len(least_first) == 1:
        return rows
    rank = {name: place for place, name in enumerate(least_first)}
    key = ["sample_id", *(name for name in ROW_KEY if name in rows.columns)]
    ordered = rows.sort(pl.col("point_id").replace_strict(rank), maintain_order=True)
    first = ordered.unique(key, keep="first", maintain_order=True)
    filled = ordered.group_by(key).agg(
        pl.col(name).filter(pl.col(name).is_finite()).first() for name in _floats(rows)
    )
    known = first.join(filled, on=key, how="left", nulls_equal=True, suffix="_known")
    return known.with_columns(
        *(
            pl.when(pl.col(name).is_finite().fill_null(False))
            .then(name)
            .otherwise(pl.col(f"{name}_known").fill_null(np.nan))
            .alias(name)
            for name in _floats(rows)
        ),
        point_id=pl.lit(least_first[0]),
    ).select(rows.columns)


def _pooled(rows: pl.DataFrame) -> pl.DataFrame:
    """The mean over seeds of every metric of a question; `rows` are sorted by seed."""
    key = ["question_id", *(name for name in ROW_KEY if name in rows.columns)]
    metrics = metric_columns(rows)
    trusted = pl.col("finite") if "finite" in rows.columns else pl.lit(True)
    others = [name for name in rows.columns if name not in (*key, *metrics, "finite")]
    # Of a seed that did not ask for a metric there is nothing to pool.
    has_value = {
        f"_has_{name}": pl.col(name).cast(pl.Float64).is_finite().any().over("seed")
        for name in metrics
    }
    pooled = (
        rows.with_columns(**has_value)
        .group_by(key, maintain_order=True)
        .agg(
            *(
                pl.col(name)
                .cast(pl.Float64)
                .filter(trusted & pl.col(f"_has_{name}"))
                .mean()
                .fill_null(np.nan)
                for name in metrics
            ),
            *([pl.col("finite").any()] if "finite" in rows.columns else []),
            *(pl.col(name).first() for name in others),
        )
    )
    names = [name for name in ("point_id", *POINT_LABELS, "seed") if name in rows.columns]
    return pooled.with_columns(pl.lit(rows[name][0]).alias(name) for name in names).select(
        rows.columns
    )


def _floats(rows: pl.DataFrame) -> list[str]:
    return [name for name in metric_columns(rows) if rows.schema[name].is_float()]


def _parts(rows: pl.DataFrame) -> Sequence[str]:
    return [name for name in ("head", "member") if name in rows.columns]


def _seed(rows: pl.DataFrame) -> list[str]:
    return ["seed"] if "seed" in rows.columns else []
