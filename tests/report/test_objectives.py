"""The section by objective: there where another objective is, in words that explain themselves."""

from __future__ import annotations

import polars as pl
import pytest

from gradsweep.analysis import evaluate_claims
from gradsweep.report.comparison import comparisons
from gradsweep.report.measures import compute_measures
from gradsweep.report.objectives import objectives_markdown
from gradsweep.report.page.findings import section_html
from gradsweep.report.reading import sentences
from gradsweep.report.tables import tables

PAIRS = {("none", "pair"): 8.0, ("detailed", "pair"): 2.0}
GROUPS = {("none", "group"): 3.0, ("detailed", "group"): 1.5}


@pytest.fixture(scope="module")
def several(plant) -> pl.DataFrame:
    """The study, pairs with members, and groups whose gradients have an effective rank of 2."""
    dpo = plant(PAIRS, objective="dpo", n_samples=12).with_columns(
        member=pl.lit(None, pl.String), member_cosine=pl.lit(0.75)
    )
    shares = dpo.with_columns(
        member=pl.lit("chosen"), nuclear_norm=pl.col("nuclear_norm") * 5, member_cosine=pl.lit(None)
    )
    grpo = plant(GROUPS, objective="grpo", n_samples=12).with_columns(effective_rank=pl.lit(2.1))
    return pl.concat([plant(n_samples=12), dpo, shares, grpo], how="diagonal_relaxed")


def section(rows: pl.DataFrame) -> str:
    measures = compute_measures(rows, "nuclear_norm")
    return objectives_markdown(rows, measures, evaluate_claims(rows, resamples=100))


def test_the_study_alone_has_no_such_section(plant):
    assert section(plant(n_samples=12)) == ""


def test_it_says_what_a_gradient_is_of_and_how_levels_compare(several):
    text = section(several)
    assert text.startswith("## By objective")
    for words in (
        "A pair has one gradient, the sum of two shares",
        "A group has one gradient",
        "dpo: pairs of a correct and an irrelevant response without CoT have 4 times",
        "sft: correct responses without CoT have 8 times",
        "mean cosine of 0.75 [0.75, 0.75] without CoT",
        "grpo: a group's gradient has an effective rank of 2.1",
        "holds here (within ½)",
    ):
        assert words in text, words
    assert "| dpo | no CoT | chosen | " in text
    (line,) = (line for line in text.splitlines() if line.startswith("| sft | detailed CoT"))
    assert line.count("–") == 1, "the study's units have no members"


def test_on_the_page_it_is_html_without_its_heading(several):
    html = section_html(section(several))
    assert "<table" in html
    assert "By objective" not in html


def test_every_objective_is_compared_with_itself_alone(several):
    found = {one.model: one for one in comparisons(several)}
    assert list(found) == ["tiny", "tiny objective=dpo", "tiny objective=grpo"]
    assert found["tiny"].means == comparisons(several.filter(pl.col("objective") == "sft"))[0].means
    (first, *_) = sentences(found["tiny objective=dpo"])
    assert first.startswith("Fast vs slow thinking, pairs of a correct and an irrelevant response")
    assert "falls" in first
    titles = [table.title for table in tables(compute_measures(several, "nuclear_norm"))]
    assert sum("objective=dpo" in title for title in titles) == 1
