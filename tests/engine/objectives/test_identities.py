"""What the formulas say of objectives at step 0, where the policy is its own reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from helpers.agreement import assert_same
from helpers.plain_gradients import tokens
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsweep import gradient_spectra
from gradsweep.engine.objectives import objective_named
from gradsweep.engine.objectives.grpo import Grpo
from gradsweep.errors import ConfigError
from gradsweep.records import SampleResult

SCALE_FREE = ("sigma_ratio", "effective_rank", "stable_rank")
LENGTHS = ((14, 6), (9, 6), (25, 3), (7, 3))
"""(tokens, start of the response)."""


@pytest.fixture(scope="module")
def model(tiny_model: Callable[[str], Any]) -> Any:
    return tiny_model("llama_gqa")


def spectra(
    model: Any, objective: Any, rows: Sequence[int] = (0, 1), **given: Any
) -> list[SampleResult]:
    lengths = [LENGTHS[row] for row in rows]
    longest = max(n for n, _ in lengths)
    padded = torch.zeros(3, len(rows), longest, dtype=torch.long)
    for place, (row, (n, start)) in enumerate(zip(rows, lengths, strict=True)):
        padded[0, place, :n] = tokens(n, seed=row)
        padded[1, place, start:n] = 1
        padded[2, place, :n] = 1
    ids, response, attention = padded
    found = gradient_spectra(
        model, ids, response, attention_mask=attention, objective=objective, **given
    )
    return list(found.samples)


def ratios(a: SampleResult, b: SampleResult) -> list[float]:
    return [x.nuclear_norm / y.nuclear_norm for x, y in zip(a.rows, b.rows, strict=True)]


DPO_SCALES = {
    "sigmoid": lambda beta: beta / 2,
    "hinge": lambda beta: beta,
    "robust": lambda beta: beta / 2 / (1 - 2 * 0.2),
    "exo_pair": lambda beta: beta / 4 * float(torch.logit(torch.tensor(0.8, dtype=torch.float64))),
    "nca_pair": lambda beta: beta / 4,
    "apo_zero": lambda beta: beta / 4,
    "sppo_hard": lambda beta: 1 / beta,
}
"""Loss type -> the weight of g_w − g_l at step 0."""


@pytest.mark.parametrize("loss_type", DPO_SCALES)
def test_most_losses_of_pairs_have_one_direction(loss_type: str, model: Any) -> None:
    smooths = {"label_smoothing": 0.2} if loss_type in ("robust", "exo_pair") else {}
    (plain,) = spectra(model, objective_named("dpo", beta=0.3))
    (other,) = spectra(model, objective_named("dpo", loss_type=loss_type, beta=0.3, **smooths))
    expected = DPO_SCALES[loss_type](0.3) / DPO_SCALES["sigmoid"](0.3)
    assert ratios(other, plain) == pytest.approx([expected] * len(plain.rows), rel=1e-4)
    for row, reference in zip(other.rows, plain.rows, strict=True):
        for name in SCALE_FREE:
            assert getattr(row, name) == pytest.approx(getattr(reference, name), rel=1e-4)


def test_losses_by_length_weigh_the_two_differently(model: Any) -> None:
    """−β/2·(g_w/T_w − g_l/T_l) and −(1/β)·(the same)."""
    (by_length,) = spectra(model, objective_named("dpo", loss_type="sigmoid_norm", beta=0.3))
    (ipo,) = spectra(model, objective_named("dpo", loss_type="ipo", beta=0.3))
    assert ratios(ipo, by_length) == pytest.approx([2 / 0.3**2] * len(ipo.rows), rel=1e-4)
    (plain,) = spectra(model, objective_named("dpo", beta=0.3))
    assert ratios(by_length, plain) != pytest.approx([1.0] * len(ipo.rows), rel=0.05)


def test_apo_down_leaves_the_chosen_alone(model: Any) -> None:
    objective = objective_named("dpo", loss_type="apo_down", beta=0.4, members=True)
    (unit,) = spectra(model, objective)
    (rejected,) = spectra(model, objective_named("sft", reduction="sum"), rows=(1,))
    own = [row for row in unit.rows if row.member is None]
    for row, reference in zip(own, rejected.rows, strict=True):
        assert row.nuclear_norm == pytest.approx(0.1 * reference.nuclear_norm, rel=1e-4)
        assert row.member_cosine != row.member_cosine, "one of the two has no gradient"


@pytest.mark.parametrize("name", ["grpo", "dapo", "dr_grpo", "rloo", "reinforce"])
def test_of_one_rewarded_response_only_the_scale_is_new(name: str, model: Any) -> None:
    """A rollout's gradient is its advantage times that of its log-probability."""
    objective = objective_named(name, members=True)
    (unit,) = spectra(model, objective, (0, 1, 2), rewards=[1.0, 0.25, 0.0])
    plain = spectra(model, objective_named("sft"), (0, 1, 2))
    for place, single in enumerate(plain, start=1):
        share = [row for row in unit.rows if row.member == str(place)]
        for row, reference in zip(share, single.rows, strict=True):
            for metric in SCALE_FREE if row.rank else ():
                assert getattr(row, metric) == pytest.approx(getattr(reference, metric), rel=1e-4)


@settings(max_examples=5, deadline=None)
@given(reward=st.floats(-1e3, 1e3), size=st.integers(1, 4))
@pytest.mark.parametrize("name", ["grpo", "dapo", "dr_grpo", "rloo"])
def test_equal_rewards_have_no_gradient(name: str, reward: float, size: int, model: Any) -> None:
    objective = objective_named(name)
    (unit,) = spectra(model, objective, range(size), rewards=[reward] * size)
    assert all(row.nuclear_norm == 0 and row.rank == 0 and row.finite for row in unit.rows)


@pytest.mark.parametrize("far", [1e6, 1e8, -1e12])
@pytest.mark.parametrize("name", ["grpo", "dapo", "dr_grpo", "rloo"])
def test_rewards_count_by_how_they_differ_however_far_from_zero(
    name: str, far: float, model: Any
) -> None:
    objective = objective_named(name)
    near = [0.0, 1.0, float("nan"), 3.0]
    (expected,) = spectra(model, objective, range(4), rewards=near)
    (found,) = spectra(model, objective, range(4), rewards=[far + reward for reward in near])
    assert ratios(found, expected) == pytest.approx([1.0] * len(expected.rows), rel=1e-5)


def test_an_unscored_response_counts_for_nothing(model: Any) -> None:
    objective = objective_named("dr_grpo")
    with_it = spectra(model, objective, (0, 1, 2), rewards=[1.0, 0.0, float("nan")])[0]
    without = spectra(model, objective, (0, 1), rewards=[1.0, 0.0])[0]
    assert ratios(with_it, without) == pytest.approx([2 / 3] * len(without.rows), rel=1e-4)


def test_the_kl_term_has_no_gradient_at_step_0(model: Any) -> None:
    given = {"rewards": [1.0, 0.0]}
    (without,) = spectra(model, objective_named("grpo"), **given)
    for unbiased in (True, False):
        objective = objective_named("grpo", beta=0.5, unbiased_kl=unbiased)
        (with_kl,) = spectra(model, objective, **given)
        assert_same(with_kl, without)


def test_two_equal_responses_leave_nothing(model: Any) -> None:
    (unit,) = spectra(model, objective_named("dpo"), (2, 2))
    assert [row.rank for row in unit.rows] == [0] * len(unit.rows), "rounding noise, or zero"


def test_a_teacher_that_is_the_student_has_nothing_to_say(model: Any) -> None:
    (unit,) = spectra(model, objective_named("distill"), (0,), teacher=model)
    (taught,) = spectra(model, objective_named("sft"), (0,))
    assert unit.loss == pytest.approx(0, abs=1e-6)
    for row, reference in zip(unit.rows, taught.rows, strict=True):
        assert row.frobenius_norm < 1e-5 * reference.frobenius_norm


def test_kto_is_sft_by_a_quarter_of_beta(model: Any) -> None:
    """∓(β/4)·λ·g at step 0."""
    summed = spectra(model, objective_named("sft", reduction="sum"))
    kto = spectra(model, objective_named("kto", beta=0.4), rewards=[1.0, 0.0])
    for unit, reference in zip(kto, summed, strict=True):
        assert ratios(unit, reference) == pytest.approx([0.1] * len(unit.rows), rel=1e-4)


def test_the_reductions_of_sft(model: Any) -> None:
    mean = spectra(model, objective_named("sft"))
    summed = spectra(model, objective_named("sft", reduction="sum"))
    for unit, other in zip(summed, mean, strict=True):
        n_tokens = float(unit.n_response_tokens)
        assert ratios(unit, other) == pytest.approx([n_tokens] * len(unit.rows), rel=1e-4)
    step = objective_named("sft", reduction="step", members=True)
    (together,) = spectra(model, step, units=[2])
    assert together.n_response_tokens == sum(unit.n_response_tokens for unit in mean)
    for place, unit in enumerate(summed, start=1):
        share = [row for row in together.rows if row.member == str(place)]
        for row, reference in zip(share, unit.rows, strict=True):
            expected = reference.nuclear_norm / together.n_response_tokens
            assert row.nuclear_norm == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dpo", {"beta": 0.0}, r"objective\.beta=0\.0: allowed are numbers above 0"),
        ("dpo", {"loss_type": "aot"}, r"objective\.loss_type=aot: allowed are sigmoid"),
        ("dpo", {"loss_type": "robust", "label_smoothing": 0.5}, r"below ½"),
        ("dpo", {"loss_type": "exo_pair", "label_smoothing": 0.0}, r"above 0"),
        ("dpo", {"label_smoothing": 0.1}, r"loss_type=sigmoid has none"),
        ("kto", {"beta": -1.0}, r"objective\.beta=-1\.0"),
        ("cpo", {"label_smoothing": 0.7}, r"allowed are 0 to ½"),
        ("grpo", {"normalisation": "mean"}, r"allowed are response, group, constant"),
        ("distill", {"divergence": "kl"}, r"allowed are forward_kl"),
        ("sft", {"reduction": "avg"}, r"allowed are mean, sum, step"),
        ("rloo", {"reference": {"name": "x"}}, r"objective\.reference: .*uses no reference"),
        ("dop", {}, r"objective='dop': allowed are"),
    ],
)
def test_an_option_out_of_range_is_refused(
    name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        objective_named(name, **options)


def test_a_distillation_needs_its_teacher(model: Any) -> None:
    with pytest.raises(ConfigError, match=r"objective\.teacher=<model option>"):
        spectra(model, objective_named("distill"), (0,))


def test_a_reference_of_sums_serves_no_token(model: Any) -> None:
    with pytest.raises(ValueError, match=r"objective\.reference=<model option>"):
        spectra(model, Grpo(beta=0.1), rewards=[1.0, 0.0], reference_log_probs=[-9.0, -8.0])
