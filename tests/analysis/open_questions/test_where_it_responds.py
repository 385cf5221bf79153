"""Which layers, kinds and heads respond: planted answers come out, and only these."""

from __future__ import annotations

import numpy as np
import polars as pl
from helpers.head_rows import LAYERS, QUESTIONS, study, whole_of

from gradsweep.analysis import Verdict
from gradsweep.analysis.open_questions import Answered, evaluate_open_questions

EARLY = {(layer, head): 0.5 for layer in (0, 1) for head in range(4)}


def asked(rows: pl.DataFrame) -> Answered:
    answered = evaluate_open_questions(rows, resamples=200)
    (found,) = (one for one in answered if one.question.key == "where_it_responds")
    return found


def verdict_on(answered: Answered, words: str) -> tuple[Verdict, float]:
    (answer,) = (one for one in answered.answers if words in one.statement.statistic)
    return answer.verdict, answer.value


def with_whole(heads: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([whole_of(heads), heads])


def test_early_layers_that_respond_are_told_from_late_ones() -> None:
    found = asked(with_whole(study(EARLY, noise=0.03)))
    verdict, ratio = verdict_on(found, "early layers / late")
    assert verdict is Verdict.SUPPORTED
    assert np.log(ratio) == np.clip(np.log(ratio), 0.4, 0.6)
    alike = asked(with_whole(study(everywhere=0.5, noise=0.03)))
    assert verdict_on(alike, "early layers / late")[0] is Verdict.NOT_SUPPORTED
    assert not any("feed-forward" in one.statement.statistic for one in found.answers)


def test_heads_that_respond_in_all_questions_repeat_and_noise_does_not() -> None:
    planted = asked(with_whole(study(EARLY)))
    assert verdict_on(planted, "halves")[0] is Verdict.SUPPORTED
    noise = [verdict_on(asked(with_whole(study(seed=n))), "halves")[0] for n in range(4)]
    assert Verdict.SUPPORTED not in noise


def test_tables_name_the_heads_and_sentences_count_them() -> None:
    found = asked(with_whole(study({(4, 2): 0.6})))
    numbers = {one.name: one.frame for one in found.numbers}
    assert numbers["heads"].select("projection", "layer", "head").row(0) == ("v", 4, 2)
    assert numbers["heads_by_part"]["n_heads"].sum() == LAYERS * 4
    assert numbers["parts"]["early"][0] < 1.1
    (said,) = found.said
    assert "1 of 24 heads respond" in said
    assert "head 2 of v in layer 4" in said
    (plot,) = found.plots
    assert plot.lines["x"].to_list() == list(range(LAYERS))
    assert set(plot.lines["n"]) == {QUESTIONS}


def test_without_heads_layers_are_compared_and_the_rest_says_what_to_run() -> None:
    found = asked(whole_of(study(EARLY)))
    assert verdict_on(found, "early layers / late")[0] is Verdict.SUPPORTED
    assert "gradients.heads=true" in found.run
    nothing = asked(whole_of(study()).filter(correctness="correct"))
    assert not nothing.answers
    assert "correctness=correct,irrelevant" in nothing.run


def test_another_norm_may_overturn_it() -> None:
    rows = with_whole(study(EARLY, noise=0.03)).with_columns(frobenius_norm=pl.lit(1.0))
    (answer,) = (one for one in asked(rows).answers if "early" in one.statement.statistic)
    assert [control.name for control in answer.controls] == ["the Frobenius norm in its place"]
    assert answer.controls[0].verdict is Verdict.NOT_SUPPORTED


def test_a_spoilt_rationale_is_no_slower_thinking_than_the_whole_one() -> None:
    rows = with_whole(study({(4, 2): 0.6}))
    (level,) = rows["cot"].unique()
    spoilt = with_whole(study(EARLY)).with_columns(
        cot=pl.format("{}_shuffled", "cot"), point_id=pl.format("{}_shuffled", "point_id")
    )
    asked_of_both, alone = asked(pl.concat([rows, spoilt])), asked(rows)
    assert asked_of_both.answers == alone.answers
    (table,) = (one.frame for one in asked_of_both.numbers if one.name == "parts")
    assert table["cot"].unique().to_list() == [level]


def test_the_interval_of_heads_that_repeat_is_around_their_correlation() -> None:
    for seed in range(4):
        found = asked(with_whole(study(EARLY, seed=seed)))
        (answer,) = (one for one in found.answers if "halves" in one.statement.statistic)
        assert answer.low < answer.value < answer.high
