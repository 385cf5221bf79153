"""The first sentences say how levels go with the loss averaged over tokens, and summed."""

from __future__ import annotations

import polars as pl
from helpers.question_rows import planted

from gradsweep.report import comparisons, sentences

N = 10
START = "Loss summed over tokens, not averaged: the mean"
TOKENS = {"none": 2.0, "simplified": 30.0, "detailed": 300.0}


def said(norms: dict[str, float], **changes: object) -> str:
    """The one sentence on the summed loss; empty when there is none."""
    rows, samples = planted(
        {(cot, "correct"): {"nuclear_norm": norm, "tokens": TOKENS[cot]}
         for cot, norm in norms.items()},
        n_questions=N, projections="qv",
    )  # fmt: skip
    rows = rows.with_columns(**{name: pl.lit(value) for name, value in changes.items()})
    (comparison,) = comparisons(rows, samples=samples)
    found = [sentence for sentence in sentences(comparison) if sentence.startswith(START)]
    assert len(found) < 2
    return found[0] if found else ""


def test_a_reversed_order_is_called_so():
    sentence = said({"none": 8.0, "simplified": 4.0, "detailed": 2.0})
    assert sentence == (
        f"{START} rises in all 2 projections: none 16 < simplified 120 < detailed 600; the "
        "order is reversed."
    )


def test_an_order_that_stays_is_not():
    sentence = said({"none": 1.0, "detailed": 2.0})
    assert sentence == f"{START} rises in all 2 projections: none 2.0 < detailed 600."


def test_losses_that_are_no_mean_over_tokens_have_no_such_sentence():
    norms = {"none": 8.0, "detailed": 2.0}
    assert said(norms, objective="dpo") == ""
    assert said(norms, series="reduction=sum") == ""
    assert said(norms, series="loss=sum") == ""
    assert said({"none": 8.0}) == ""
