"""Every objective that TRL has: spectra of the gradient of TRL's own loss, by autograd and SVD."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
import torch
from helpers.plain_gradients import Gradients, assert_close, tokens, weight_gradients
from helpers.trl_losses import Row, TrlLosses
from torch import Tensor
from torch.nn import functional as F

from gradsweep import gradient_spectra
from gradsweep.engine.objectives import objective_named

pytestmark = pytest.mark.long
pytest.importorskip("trl", reason="trl is not installed: pip install -e '.[dev]'")

Units = list[list[Row]]
PAIRS: Units = [
    [(tokens(14, 1), 6), (tokens(9, 2), 6)],
    [(tokens(7, 3), 3), (tokens(25, 4), 3)],
    [(tokens(12, 5), 11), (tokens(16, 6), 11)],
]
GROUPS: Units = [
    [(tokens(n, n), 5) for n in (9, 17, 12)],
    [(tokens(n, n + 1), 8) for n in (20, 10, 14)],
]
SINGLES: Units = [[row] for row in (PAIRS[0][0], PAIRS[1][1], PAIRS[2][0])]
REWARDS = [1.0, 0.0, 0.25]
DPO_TYPES = {
    "sigmoid": {},
    "hinge": {},
    "ipo": {},
    "robust": {"label_smoothing": 0.1},
    "exo_pair": {"label_smoothing": 1e-3},
    "nca_pair": {},
    "apo_zero": {},
    "apo_down": {},
    "sppo_hard": {},
    "sigmoid_norm": {},
}
OTHERS = ("qwen2_biases", "gemma3", "gpt2_conv1d")
FAMILIES = ["llama_gqa", *(pytest.param(name, marks=pytest.mark.wide) for name in OTHERS)]


@pytest.fixture(scope="module")
def trainers(tiny_model: Callable[[str], Any]) -> Callable[[str], TrlLosses]:
    """Trainers of a family, whose reference is another model of it.

    Making one takes a second, so tests share them: every loss sets all options that it has.
    """

    @cache
    def made(family: str) -> TrlLosses:
        policy = tiny_model(family)
        reference = copy.deepcopy(policy)
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for weight in reference.parameters():
                weight += 0.02 * torch.randn(weight.shape, generator=generator)
        return TrlLosses(policy, reference)

    return made


@pytest.fixture(params=FAMILIES)
def trl(request: pytest.FixtureRequest, trainers: Callable[[str], TrlLosses]) -> TrlLosses:
    return trainers(request.param)


def gradients(model: Any, loss: Tensor) -> Gradients:
    """Weight gradients of the loss."""
    model.zero_grad()
    loss.backward()
    return weight_gradients(model)


def batch_of(units: Units, on_the_left: bool = False) -> dict[str, Any]:
    rows = [row for unit in units for row in unit]
    longest = max(len(ids) for ids, _ in rows)
    padded = torch.zeros(3, len(rows), longest, dtype=torch.long)
    for row, (ids, start) in enumerate(rows):
        first = longest - len(ids) if on_the_left else 0
        padded[0, row, first : first + len(ids)] = ids
        padded[1, row, first + start : first + len(ids)] = 1
        padded[2, row, first : first + len(ids)] = 1
    ids, response, attention = padded
    sizes = [len(unit) for unit in units]
    return {
        "input_ids": ids,
        "response_mask": response,
        "attention_mask": attention,
        "units": sizes,
    }


def reference_sums(model: Any, units: Units) -> list[float]:
    sums = []
    with torch.no_grad():
        for ids, start in (row for unit in units for row in unit):
            logits = model(input_ids=ids[None]).logits[0, start - 1 : -1]
            sums.append(-F.cross_entropy(logits, ids[start:], reduction="sum").item())
    return sums


def assert_as_trl(
    trl: TrlLosses,
    trainer: str,
    units: Units,
    objective: Any,
    loss: Callable[[Sequence[Row]], Tensor],
    **given: Any,
) -> None:
    """Batched, padded on either side, and alone: each unit has the gradient of TRL's loss."""
    expected = [gradients(trl.model(trainer), loss(unit)) for unit in units]
    losses = [loss(unit).item() for unit in units]
    for on_the_left in (False, True):
        batch = batch_of(units, on_the_left)
        measured = gradient_spectra(trl.policy, **batch, objective=objective, **given).samples
        for place, (unit, reference) in enumerate(zip(measured, expected, strict=True)):
            assert unit.loss == pytest.approx(losses[place], rel=1e-5, abs=1e-5)
            assert_close(unit, reference)
    rows = len(units[0])
    own = {name: values[:rows] for name, values in given.items()}
    (alone,) = gradient_spectra(
        trl.policy, **batch_of(units[:1]), objective=objective, **own
    ).samples
    assert_close(alone, expected[0])


@pytest.mark.parametrize("loss_type", DPO_TYPES)
def test_dpo(loss_type: str, trl: TrlLosses) -> None:
    options = DPO_TYPES[loss_type]
    assert_as_trl(
        trl,
        "dpo",
        PAIRS,
        objective_named("dpo", loss_type=loss_type, beta=0.1, **options),
        lambda unit: trl.dpo(unit, loss_type, beta=0.1, **options),
        reference_log_probs=reference_sums(trl.reference, PAIRS),
    )


@pytest.mark.parametrize("desirable", [True, False])
def test_kto(desirable: bool, trl: TrlLosses) -> None:
    options = {"beta": 0.2, "desirable_weight": 1.5, "undesirable_weight": 0.7}
    assert_as_trl(
        trl,
        "kto",
        SINGLES,
        objective_named("kto", **options),
        lambda unit: trl.kto(unit, desirable, **options),
        reference_log_probs=reference_sums(trl.reference, SINGLES),
        rewards=[float(desirable)] * 3,
    )


@pytest.mark.parametrize("name", ["sft", "dft"])
def test_single_responses(name: str, trl: TrlLosses) -> None:
    loss_type = "nll" if name == "sft" else "dft"
    assert_as_trl(trl, "sft", SINGLES, objective_named(name), lambda unit: trl.sft(unit, loss_type))


def test_sft_by_step(trl: TrlLosses) -> None:
    assert_as_trl(trl, "sft", PAIRS, objective_named("sft", reduction="step"), trl.sft)


def test_simpo_and_cpo(trl: TrlLosses) -> None:
    options = {"beta": 1.5, "simpo_gamma": 0.4, "cpo_alpha": 0.0, "label_smoothing": 0.0}
    simpo = objective_named("simpo", beta=1.5, gamma=0.4)
    assert_as_trl(trl, "cpo", PAIRS, simpo, lambda unit: trl.cpo(unit, "simpo", **options))
    options = {"beta": 0.2, "cpo_alpha": 0.6, "label_smoothing": 0.1}
    cpo = objective_named("cpo", beta=0.2, alpha=0.6, label_smoothing=0.1)
    assert_as_trl(trl, "cpo", PAIRS, cpo, lambda unit: trl.cpo(unit, "sigmoid", **options))


def test_orpo(trl: TrlLosses) -> None:
    objective = objective_named("orpo", beta=0.3)
    assert_as_trl(trl, "orpo", PAIRS, objective, lambda unit: trl.orpo(unit, 0.3))


@pytest.mark.parametrize(("beta", "unbiased"), [(0.0, True), (0.1, True), (0.1, False)])
@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "dapo"])
def test_grpo(name: str, beta: float, unbiased: bool, trl: TrlLosses) -> None:
    rewards = torch.tensor(REWARDS)
    centred = rewards - rewards.mean()
    advantages = centred if name == "dr_grpo" else centred / (rewards.std() + 1e-4)
    rows = [row for unit in GROUPS for row in unit]
    by_token = torch.zeros(len(rows), max(len(ids) for ids, _ in rows))
    with torch.no_grad():
        for place, (ids, start) in enumerate(rows):
            log_probs = trl.reference(input_ids=ids[None]).logits[0, :-1].log_softmax(1)
            by_token[place, start : len(ids)] = log_probs[
                range(start - 1, len(ids) - 1), ids[start:]
            ]
    objective = objective_named(name, beta=beta, unbiased_kl=unbiased)
    expected = [
        gradients(trl.model("grpo"), trl.grpo(unit, name, advantages, beta, unbiased))
        for unit in GROUPS
    ]
    measured = gradient_spectra(
        trl.policy,
        **batch_of(GROUPS),
        objective=objective,
        rewards=REWARDS * 2,
        reference_log_probs=by_token,
    ).samples
    for unit, reference in zip(measured, expected, strict=True):
        assert_close(unit, reference)


def test_rloo(trl: TrlLosses) -> None:
    rewards = torch.tensor(REWARDS)
    advantages = rewards - (rewards.sum() - rewards) / 2
    assert_as_trl(
        trl,
        "rloo",
        GROUPS,
        objective_named("rloo"),
        lambda unit: trl.rloo(unit, advantages),
        rewards=REWARDS * 2,
    )


@pytest.mark.parametrize(
    ("divergence", "beta"), [("forward_kl", 0.0), ("reverse_kl", 1.0), ("jsd", 0.3)]
)
def test_distill(divergence: str, beta: float, trl: TrlLosses) -> None:
    from trl.experimental.gkd import GKDTrainer

    student, teacher_model = copy.deepcopy(trl.policy).double(), copy.deepcopy(trl.reference)
    with torch.no_grad():  # of two nearly equal distributions, the difference is mostly rounding
        for weight in teacher_model.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(3))
    true_teacher = copy.deepcopy(teacher_model).double()
    options = {"beta": beta} if divergence == "jsd" else {}

    def loss(unit: Sequence[Row]) -> Tensor:
        ((ids, start),) = unit
        with torch.no_grad():
            teacher = true_teacher(input_ids=ids[None]).logits[:, start - 1 : -1]
        logits = student(input_ids=ids[None]).logits[:, start - 1 : -1]
        return GKDTrainer.generalized_jsd_loss(
            logits, teacher, labels=ids[None, start:], beta=beta, temperature=1.5
        )

    expected = [gradients(student, loss(unit)) for unit in SINGLES]
    measured = gradient_spectra(
        trl.policy,
        **batch_of(SINGLES),
        objective=objective_named("distill", divergence=divergence, temperature=1.5, **options),
        teacher=teacher_model,
    ).samples
    for unit, reference in zip(measured, expected, strict=True):
        # Over the whole vocabulary the two distributions mostly cancel.
        assert_close(unit, reference, rel=3e-5)
