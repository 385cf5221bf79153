"""Each claim of the paper: planted true, planted false, without effect, without the points."""

import math

import numpy as np
import polars as pl
import pytest
from helpers.claim_rows import LEVELS, knowledge, point, reasoning
from polars.testing import assert_frame_equal

from gradsweep.analysis import claims
from gradsweep.analysis.claims import Verdict
from gradsweep.errors import ConfigError

SUPPORTED, AGAINST = Verdict.SUPPORTED, Verdict.NOT_SUPPORTED
UNDECIDED, UNTESTABLE = Verdict.UNDECIDED, Verdict.NOT_TESTABLE


def found(rows, **settings):
    return claims.evaluate_claims(rows, **({"resamples": 200} | settings))


def verdict(findings, claim, model="all", dataset="all"):
    (one,) = (
        v
        for v in claims.claim_verdicts(findings)
        if (v.claim, v.model, v.dataset) == (claim, model, dataset)
    )
    return one.verdict


def finding(findings, statistic, model="all", dataset="all"):
    scope = (statistic, model, dataset)
    (one,) = (f for f in findings if (f.statistic, f.model, f.dataset) == scope)
    return one


FLAT = dict.fromkeys(LEVELS, 2.0)
REVERSED = {"none": 1.0, "simplified": 2.0, "detailed": 6.0}
NO_SHIFT = {"detailed": (0.0, 0.0)}


@pytest.mark.parametrize(
    ("levels", "expected"), [(LEVELS, SUPPORTED), (REVERSED, AGAINST), (FLAT, AGAINST)]
)
def test_fast_thinking(levels, expected):
    findings = found(reasoning(levels=levels))
    assert verdict(findings, 1) is verdict(findings, 1, "tiny", "sums") is expected
    norm = finding(findings, "mean, none / detailed")
    assert norm.low <= levels["none"] / levels["detailed"] <= norm.high
    assert norm.null == 1
    assert repr(norm).endswith(f"[{norm.low:.3g}, {norm.high:.3g}], {norm.verdict.value})")
    assert norm.reason.replace("<", "&lt;") in norm._repr_html_() or not norm.reason


def test_fast_thinking_details():
    findings = found(reasoning(levels={"none": 6.0, "simplified": 0.5, "detailed": 1.0}))
    assert verdict(findings, 1) is SUPPORTED
    assert finding(findings, "mean, simplified / detailed").verdict is AGAINST
    assert not finding(findings, "mean, simplified / detailed").decides
    rows = pl.concat([point(6.0, early=0.5), point(1.0, cot="detailed")])
    early = "(none - detailed) / mean of none, early - other layers"
    assert finding(found(rows), early).verdict is SUPPORTED


@pytest.mark.parametrize(
    ("irrelevant", "expected"),
    [
        ({"detailed": (0.3, 0.3)}, SUPPORTED),
        ({"detailed": (-0.3, -0.3)}, AGAINST),  # separated, but irrelevant is the smaller
        ({"detailed": (0.3, 0.3), "none": (0.6, 0.6)}, AGAINST),  # fast thinking separates more
        (NO_SHIFT, AGAINST),
    ],
)
def test_slow_thinking_separates(irrelevant, expected):
    findings = found(reasoning(irrelevant=irrelevant))
    assert verdict(findings, 2) is verdict(findings, 2, "tiny", "sums") is expected


def both_models(base, instruct):
    models = {"x": base, "x_instruct": instruct}
    return pl.concat(reasoning(model=name, noise=0.03, **how) for name, how in models.items())


@pytest.mark.parametrize(
    ("base", "instruct", "expected"),
    [
        ({}, {"levels": LEVELS | {"none": 12.0}}, SUPPORTED),
        # Better at irrelevance.
        ({}, {"levels": LEVELS | {"none": 12.0}, "irrelevant": {"detailed": (0.8, 0.8)}}, AGAINST),
        # The base model is the one that fast thinking shakes.
        ({"levels": LEVELS | {"none": 12.0}}, {}, AGAINST),
        ({}, {}, AGAINST),
    ],
)
def test_base_and_instruct_models(base, instruct, expected):
    findings = found(both_models(base, instruct))
    assert verdict(findings, 3) is verdict(findings, 3, "x → x_instruct", "sums") is expected


def test_a_model_without_its_other_half_is_not_testable():
    findings = found(reasoning(model="x_instruct"))
    assert verdict(findings, 3) is UNTESTABLE
    one = finding(findings, "MAD, none / detailed: instruct / base", "x_instruct", "sums")
    assert "no other half of x_instruct" in one.reason


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({}, SUPPORTED),
        ({"lengths": (6.0, 3.0, 1.0)}, AGAINST),  # longer texts do what slow thinking does
        ({"unpopular": 3.0}, AGAINST),  # unpopular topics are no different
    ],
)
def test_knowledge(texts, expected):
    findings = found(pl.concat([reasoning(), knowledge(**texts)]))
    assert verdict(findings, 4) is verdict(findings, 4, "tiny", "wiki") is expected
    share = finding(findings, "fall of log mean, 100 -> 1000 tokens over none -> detailed")
    first, _, last = texts.get("lengths", (3.0, 3.0, 3.0))
    assert share.low <= math.log(first / last) / math.log(6) <= share.high


def test_knowledge_needs_slow_thinking_to_compare_with():
    findings = found(knowledge())
    assert verdict(findings, 4) is UNTESTABLE
    share = finding(findings, "fall of log mean, 100 -> 1000 tokens over none -> detailed")
    assert "no reasoning dataset of tiny" in share.reason
    assert finding(findings, "mean, 100 / 1000 tokens").verdict is SUPPORTED
    assert {v.verdict for v in claims.claim_verdicts(findings)} == {UNTESTABLE}
    flat = found(pl.concat([reasoning(levels=REVERSED), knowledge()]))
    share = finding(flat, share.statistic, "tiny", "wiki")
    assert "undefined" in share.reason


@pytest.mark.parametrize(
    ("shift", "expected"),
    [((0.5, 0.1), SUPPORTED), ((0.1, 0.5), AGAINST), ((0.3, 0.3), AGAINST), ((0, 0), AGAINST)],
)
def test_early_layers(shift, expected):
    findings = found(reasoning(irrelevant={"detailed": shift}, noise=0.05))
    assert verdict(findings, 5) is verdict(findings, 5, "tiny", "sums") is expected
    one = finding(findings, "RD, early - other layers, detailed (noise removed)")
    assert one.value == pytest.approx(shift[0] - shift[1], abs=0.05)
    assert finding(findings, "RD, late layers, detailed (noise removed)").value == pytest.approx(
        shift[1], abs=0.05
    )


@pytest.mark.parametrize(
    ("shifts", "largest", "expected"),
    [
        ((0.5, 0.1, 0.1), "early", SUPPORTED),
        ((0.4, 0.0, 0.6), "late", AGAINST),  # above the others' mean, and not the largest
    ],
)
def test_the_layers_that_react_most_are_named_and_agree_with_the_verdict(shifts, largest, expected):
    part = (pl.col("layer") // 3).cast(pl.Int64).replace_strict(dict(enumerate(shifts)))
    rows = reasoning(levels={"detailed": 1.0}, irrelevant={}, noise=0.02)
    shifted = pl.when(correctness="irrelevant").then(1 + part).otherwise(1.0)
    findings = found(rows.with_columns(pl.col("nuclear_norm") * shifted))
    (one,) = (v for v in claims.claim_verdicts(findings) if (v.claim, v.model) == (5, "all"))
    assert one.verdict is expected
    assert f"RD is largest in {largest} layers (early " in one.reason


def test_an_effect_that_may_be_too_small_to_count_is_undecided():
    findings = found(reasoning(irrelevant={"detailed": (0.1, 0.03)}, n_questions=30, noise=0.4))
    one = finding(findings, "RD, early - other layers, detailed (noise removed)", "tiny", "sums")
    assert 0 < one.low < 0.05 < one.high
    assert one.verdict is verdict(findings, 5) is UNDECIDED
    assert "reaches below 0.05, the least that counts" in one.reason


def test_few_noisy_questions_decide_nothing():
    levels = {"none": 2.2, "detailed": 2.0}
    findings = found(reasoning(levels=levels, n_questions=12, noise=0.8))
    one = finding(findings, "mean, none / detailed")
    assert one.verdict is verdict(findings, 1) is UNDECIDED
    assert "take more questions" in one.reason


def test_missing_points_are_named_with_the_command_that_makes_them():
    rows = reasoning().filter((pl.col("cot") != "none") | (pl.col("correctness") == "correct"))
    findings = found(rows.filter(pl.col("cot") != "simplified"))
    assert [verdict(findings, n) for n in (1, 2)] == [SUPPORTED, UNTESTABLE]
    one = finding(findings, "RD, detailed - none (noise removed)", "tiny", "sums")
    assert "missing tiny sums none irrelevant" in one.reason
    assert "-m model=tiny dataset=sums cot=none correctness=irrelevant`" in one.reason
    assert math.isnan(one.value)
    assert finding(findings, "mean, none / simplified").verdict is UNTESTABLE
    assert "cot=simplified correctness=correct`" in (
        finding(findings, "mean, none / simplified", "tiny", "sums").reason
    )


@pytest.mark.parametrize("n_questions", [2, 6, 9])
def test_with_too_few_questions_there_is_an_estimate_and_no_verdict(n_questions):
    findings = found(reasoning(n_questions=n_questions))
    assert verdict(findings, 1) is verdict(findings, 1, "tiny", "sums") is Verdict.TOO_FEW
    for scope in (("all", "all"), ("tiny", "sums")):
        one = finding(findings, "mean, none / detailed", *scope)
        assert 1 < one.low <= one.value <= one.high
        assert one.value == pytest.approx(6, rel=0.2)
        assert f"{n_questions} common questions, 10 are needed" in one.reason


def test_one_question_has_a_value_and_no_interval():
    one = finding(found(reasoning(n_questions=1)), "mean, none / detailed")
    assert one.value == pytest.approx(6, rel=0.5)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert one.verdict is Verdict.TOO_FEW


def test_scopes_with_too_few_questions_take_no_part_in_the_average():
    many, few = reasoning(model="a"), reasoning(model="b", n_questions=6)
    findings = found(pl.concat([many, few]))
    one = finding(findings, "mean, none / detailed")
    assert one.value == finding(findings, one.statistic, "a", "sums").value
    assert one.verdict is SUPPORTED
    assert "supported in 1 of 2" in one.reason


def test_values_that_are_not_finite_are_left_out_and_counted():
    rows = reasoning()
    lost = (pl.col("question_id") == "sums3") & (pl.col("layer") == 2) & (pl.col("cot") == "none")
    broken = pl.when(lost).then(np.inf).otherwise("nuclear_norm").alias("nuclear_norm")
    one = finding(found(rows.with_columns(broken)), "mean, none / detailed", "tiny", "sums")
    assert (one.n_questions, one.n_left_out) == (59, 1)
    without = found(rows.filter(pl.col("question_id") != "sums3"))
    assert one.value == finding(without, "mean, none / detailed", "tiny", "sums").value


def test_overall_is_the_mean_of_scopes_and_mixed_scopes_decide_nothing():
    rows = pl.concat(
        [
            reasoning(model="a", levels={"none": 8.0, "detailed": 1.0}),
            reasoning(model="b", levels={"none": 2.0, "detailed": 1.0}),
        ]
    )
    one = finding(found(rows), "mean, none / detailed")
    assert one.value == pytest.approx(4.0, rel=0.05)
    assert one.verdict is SUPPORTED
    assert "supported in 2 of 2" in one.reason
    assert len(one.point_ids) == 4
    against = reasoning(model="c", levels={"none": 1.0, "detailed": 2.0})
    mixed = found(pl.concat([rows, against]))
    assert finding(mixed, "mean, none / detailed").verdict is UNDECIDED
    assert verdict(mixed, 1) is UNDECIDED
    assert verdict(mixed, 1, "a", "sums") is SUPPORTED


def test_numbers_of_a_scope_do_not_depend_on_what_else_is_there_nor_on_order():
    rows = reasoning()
    more = pl.concat([reasoning(model="another"), reasoning(dataset="other"), rows])
    shuffled = more.sample(fraction=1, shuffle=True, seed=1)
    ours = [f for f in found(rows) if (f.model, f.dataset) == ("tiny", "sums")]
    same = [f for f in found(shuffled) if (f.model, f.dataset) == ("tiny", "sums")]
    assert_frame_equal(claims.findings_frame(ours), claims.findings_frame(same))


def test_scale_does_not_matter():
    rows = reasoning()
    small = rows.with_columns(pl.col("nuclear_norm") * 1e-6)
    for one, other in zip(found(rows), found(small), strict=True):
        assert one.verdict is other.verdict
        np.testing.assert_allclose(one.value, other.value)


def test_the_frame_has_a_line_for_every_finding():
    findings = found(reasoning())
    frame = claims.findings_frame(findings)
    assert len(frame) == len(findings)
    assert set(frame["verdict"]) <= {verdict.value for verdict in Verdict}
    assert set(frame["claim"]) == {1, 2, 3, 4, 5}
    assert claims.findings_frame([]).schema == frame.schema
    controlled = frame.filter(pl.col("controls").list.len() > 0)
    assert set(controlled["decides"]) == {True}


def test_no_rows_and_other_metrics():
    nothing = found(reasoning(n_questions=10).clear())
    assert {f.verdict for f in nothing} == {UNTESTABLE}
    rows = reasoning().with_columns(cosine=pl.col("nuclear_norm") - 100)
    one = finding(found(rows, metric="cosine"), "mean, none / detailed", "tiny", "sums")
    assert one.verdict is UNTESTABLE
    assert "not positive" in one.reason


def test_an_unknown_metric_is_named():
    with pytest.raises(ConfigError, match="metric=loss is not in the rows"):
        found(reasoning(n_questions=10), metric="loss")
