"""Responses that were cut at `model.max_length`: their gradients are of a beginning."""

from __future__ import annotations

import polars as pl

from gradsweep.records import POINT_LABELS, SampleStatus, axis_words


def cut_responses(samples: pl.DataFrame) -> pl.DataFrame:
    """Count them by point: `point_id`, its labels, `n_cut` and `n_measured`; points with any.

    Args:
        samples: of `load_samples_table`.
    """
    if samples.is_empty():
        return pl.DataFrame(
            schema={"point_id": pl.String, "n_cut": pl.Int64, "n_measured": pl.Int64}
        )
    labels = [name for name in POINT_LABELS if name in samples.columns]
    measured = samples.filter(status=SampleStatus.OK.value)
    counts = measured.group_by("point_id", *labels, maintain_order=True).agg(
        n_cut=pl.col("truncated").sum(), n_measured=pl.len()
    )
    return counts.filter(pl.col("n_cut") > 0)


def cut_sentence(n_cut: int, n_measured: int, max_length: int | None = None) -> str:
    """Say what is missing from a point's responses; with the limit, where it is at hand."""
    limit = "model.max_length" + ("" if max_length is None else f"={max_length}")
    return (
        f"{n_cut} of {n_measured} responses are cut at {limit} and lose their end, where the "
        "answer stands"
    )


def cut_sentences(samples: pl.DataFrame) -> list[str]:
    """Return a sentence for each point with such responses."""
    sentences = []
    for line in cut_responses(samples).iter_rows(named=True):
        told = {label: str(line[label]) for label in POINT_LABELS if line.get(label)}
        name = " · ".join(axis_words(told))
        sentences.append(f"{name}: {cut_sentence(line['n_cut'], line['n_measured'])}")
    return sentences
