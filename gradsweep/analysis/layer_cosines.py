"""Cosines between the gradients of a projection in all layers (`gradients.layer_cosines`).

After arXiv 2504.10766, which looks at neighbouring layers: do layers that lie further apart pull
the weights in one direction? A cosine is of one sample; its mean over samples is what is shown.
"""

from __future__ import annotations

import polars as pl

from gradsweep.analysis.conditions import conditions
from gradsweep.analysis.rows import in_reading_order, whole_matrices, with_every_axis
from gradsweep.records import POINT_LABELS

COLUMN = "layer_cosines"
DISTANCES = {"next": (1, 1), "2 to 4": (2, 4), "5 and more": (5, None)}
"""Words -> how many layers two gradients lie apart, from and to."""


def layer_cosines(rows: pl.DataFrame) -> pl.DataFrame:
    """Average the cosines of every two layers over samples.

    Args:
        rows: as `load_rows` gives them; seeds of a condition are pooled by question.

    Returns:
        `POINT_LABELS`, point_id, projection, layer, other_layer (above it), cosine (mean over the
        samples with a value), deviation (standard deviation over these; NaN of one), n_samples; in
        reading order, and no line where nothing was measured or shapes differ.
    """
    rows = with_every_axis(rows)
    if COLUMN not in rows.columns:
        return _found(rows.select(*POINT_LABELS, "point_id").clear())
    measured = conditions(whole_matrices(rows.filter(pl.col(COLUMN).is_not_null()), strict=False))
    names = [*POINT_LABELS, "point_id"]
    parts = [
        _of_point(of_point, names) for _, of_point in measured.group_by(names, maintain_order=True)
    ]
    return _found(pl.concat(parts)) if parts else _found(measured.select(names).clear())


def measured(found: pl.DataFrame) -> pl.DataFrame | None:
    """Return a table of `layer_cosines`; None where it has no line."""
    return None if found.is_empty() else found


def cosines_by_distance(found: pl.DataFrame) -> pl.DataFrame:
    """Average `layer_cosines` over pairs of layers, by how far they lie apart (`DISTANCES`).

    Columns: `POINT_LABELS`, point_id, projection, a column for each distance (NaN without a pair),
    largest (the mean cosine of largest size), n_samples (the most of any pair).
    """
    apart = pl.col("other_layer") - pl.col("layer")
    means = {
        words: pl.col("cosine").filter(apart.is_between(low, high or 10_000)).mean()
        for words, (low, high) in DISTANCES.items()
    }
    names = [*POINT_LABELS, "point_id", "projection"]
    grouped = found.group_by(names, maintain_order=True).agg(
        *(mean.fill_null(float("nan")).alias(words) for words, mean in means.items()),
        pl.col("cosine").sort_by(pl.col("cosine").abs()).last().alias("largest"),
        pl.col("n_samples").max(),
    )
    return in_reading_order(grouped)


def _of_point(rows: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """One point's pairs; `conditions` has given it one name."""
    if "finite" in rows.columns:
        rows = rows.filter("finite")
    length = pl.col(COLUMN).list.len().cast(pl.Int64)
    listed = rows.filter(length > 0).select(
        *names, "projection", "layer", COLUMN, apart=pl.int_ranges(1, length + 1)
    )
    pairs = listed.explode(COLUMN, "apart").filter(pl.col(COLUMN).is_finite())
    other = (pl.col("layer") + pl.col("apart")).cast(pl.Int32).alias("other_layer")
    return pairs.group_by(*names, "projection", "layer", other, maintain_order=True).agg(
        cosine=pl.col(COLUMN).mean(),
        deviation=pl.col(COLUMN).std().fill_null(float("nan")),
        n_samples=pl.len().cast(pl.Int64),
    )


def _found(pairs: pl.DataFrame) -> pl.DataFrame:
    schema: dict[str, pl.DataType] = {
        "projection": pl.String(),
        **dict.fromkeys(("layer", "other_layer"), pl.Int32()),
        **dict.fromkeys(("cosine", "deviation"), pl.Float64()),
        "n_samples": pl.Int64(),
    }
    if pairs.is_empty():
        return pairs.select(*POINT_LABELS, "point_id").with_columns(
            pl.lit(None, kind).alias(name) for name, kind in schema.items()
        )
    whole = in_reading_order(pairs.sort("other_layer"))
    return whole.select(*POINT_LABELS, "point_id", *schema)
