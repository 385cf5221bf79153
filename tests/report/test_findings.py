"""The findings page says what was found, in words, and what is missing."""

import polars as pl
import pytest
from helpers.claim_rows import knowledge, reasoning

from gradsweep.analysis import claims
from gradsweep.report.findings import findings_markdown


def page(rows):
    return findings_markdown(claims.evaluate_claims(rows, resamples=200))


def section(text, number):
    """The part of the page about one claim."""
    return next(part for part in text.split("\n## ") if part.startswith(f"{number}. "))


@pytest.fixture(scope="module")
def text():
    return page(pl.concat([reasoning(model="x"), reasoning(model="y"), knowledge(model="x")]))


def test_every_claim_has_its_sentence_and_its_verdict(text):
    for claim in claims.CLAIMS:
        part = section(text, claim.number)
        assert claim.title in part
        assert claim.text in part
    assert "**✓ supported**" in section(text, 1)
    assert "**– not testable with these points**: what is missing stands below" in section(text, 3)
    overview = text.split("## How to read")[0]
    assert f"| 1. {claims.CLAIMS[0].title} | ✓ supported | 2 ✓ supported |" in overview


def test_statistics_stand_with_intervals_for_every_model_and_dataset(text):
    findings = claims.evaluate_claims(reasoning(model="x"), resamples=200)
    one = next(f for f in findings if f.model == "x" and f.statistic == "mean, none / detailed")
    cell = f"{one.value:.3g} [{one.low:.3g}, {one.high:.3g}] ✓"
    part = section(text, 1)
    assert f"| x | sums | ✓ | {cell} |" in part
    assert "| y | sums | ✓ |" in part
    assert "| a | gradients are larger without CoT | **mean, none / detailed** | above 1" in part


def test_points_used_are_named(text):
    used = section(text, 5).split("### Points used")[1]
    assert "| x | sums | `x-sums-detailed-correct` `x-sums-detailed-irrelevant` |" in used


def test_what_is_missing_is_said_once_with_the_command(text):
    missing = section(text, 4).split("### Not testable with these points")[1]
    assert "model=y dataset=wiki_popular_100,wiki_popular_1000 cot=none" in missing
    assert missing.count("dataset=wiki_unpopular,wiki_popular_100 cot=none") == 1
    assert "Not testable with these points" not in section(text, 2)


def test_tables_are_tables(text):
    """Every line of a table has as many cells as its heading."""
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.replace("\\|", "").count("|") for line in lines}) <= 1


def test_questions_left_out_are_told():
    rows = reasoning()
    lost = (pl.col("question_id") == "sums3") & (pl.col("cot") == "none")
    value = pl.when(lost).then(float("nan")).otherwise("nuclear_norm").alias("nuclear_norm")
    assert "Up to 1 questions were left out" in page(rows.with_columns(value))
    assert "left out" not in page(rows)


def test_what_would_reverse_a_verdict_stands_beside_it(text):
    overview = text.split("## How to read")[0]
    assert "**reversed**: MAD over the mean; not controlled for: loss summed" in overview
    part = section(text, 1)
    assert "- MAD over the mean: reversed (MAD, none / detailed: " in part
    assert "cot=none cot.match_length=detailed correctness=correct`" in part
    by_scope = part.split("### What would reverse it, by model and dataset")[1]
    assert "| x | sums | (b) | MAD over the mean | **reversed** | " in by_scope
    assert "What would reverse it" not in section(text, 3), "nothing could be tested"


def test_a_verdict_that_is_withheld_shows_what_there_is():
    rows = reasoning(model="x", n_questions=6)
    one = claims.evaluate_claims(rows, resamples=200)[0]
    part = section(page(rows), 1)
    assert f"{one.value:.3g} [{one.low:.3g}, {one.high:.3g}]" in part
    assert "**… too few for a verdict**" in part


def test_nothing_found_is_a_page_too():
    assert "No findings." in findings_markdown([])
