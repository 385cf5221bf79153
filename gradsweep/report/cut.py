"""Responses that were cut at `model.max_length`: their gradients are of a beginning."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from gradsweep.analysis.rows import whole_samples
from gradsweep.errors import DataError
from gradsweep.records import POINT_LABELS, SampleStatus, axis_words

NOTHING_CUT = pl.DataFrame(
    schema={"point_id": pl.String(), "n_cut": pl.Int64(), "n_measured": pl.Int64()}
)
"""Where no response lost its end."""


def cut_responses(samples: pl.DataFrame) -> pl.DataFrame:
    """Count them by point: `point_id`, its labels, `n_cut` and `n_measured`; points with any.

    Of single steps, those behind the end are recorded with their reason.

    Args:
        samples: of `load_samples_table`.
    """
    if samples.is_empty():
        return NOTHING_CUT
    labels = [name for name in POINT_LABELS if name in samples.columns]
    measured = whole_samples(samples).filter(status=SampleStatus.OK.value)
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


def cut_note(lengths: Sequence[int], n_responses: int, max_length: int) -> str:
    """Say at the start of a point how many responses lose their end; empty where none does.

    Args:
        lengths: tokens that each response that is cut would need.
        n_responses: those of the point that can run.
        max_length: where they are cut.

    Raises:
        DataError: all of them are, so that nothing of the data would be measured as it is.
    """
    if not lengths:
        return ""
    what = cut_sentence(len(lengths), n_responses, max_length)
    if len(lengths) == n_responses and len(lengths) > 1:
        raise DataError(
            f"{what}: model.max_length={min(lengths)} holds the shortest of them, and "
            f"model.max_length={max(lengths)} all"
        )
    return f"{what} (model.max_length={max(lengths)} holds all)"


def cut_sentences(cut: pl.DataFrame) -> list[str]:
    """Return a sentence for each point with such responses (`cut_responses`)."""
    sentences = []
    for line in cut.iter_rows(named=True):
        told = {label: str(line[label]) for label in POINT_LABELS if line.get(label)}
        name = " · ".join(axis_words(told))
        sentences.append(f"{name}: {cut_sentence(line['n_cut'], line['n_measured'])}")
    return sentences
