"""The members of a unit: their shares, and how their gradients lie to each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.agreement import TOLERANCE
from helpers.plain_gradients import tokens, weight_gradients
from torch import Tensor
from torch.nn import functional as F

from gradsweep import gradient_spectra
from gradsweep.config import SpectraOptions
from gradsweep.config.run import Solver
from gradsweep.engine.objectives import objective_named
from gradsweep.engine.spectra import similarity
from gradsweep.models.projections import find_projections

LENGTHS = (14, 9, 25, 12)
START = 4


def batch(n_rows: int) -> dict[str, Tensor]:
    longest = max(LENGTHS[:n_rows])
    padded = torch.zeros(3, n_rows, longest, dtype=torch.long)
    for row, n in enumerate(LENGTHS[:n_rows]):
        padded[0, row, :n] = tokens(n, seed=row)
        padded[1, row, START:n] = 1
        padded[2, row, :n] = 1
    return dict(zip(("input_ids", "response_mask", "attention_mask"), padded, strict=True))


def log_prob_gradients(model: Any, row: int) -> dict[tuple[int, str], Tensor]:
    """∇Σ_t log p_t of one response by autograd, flattened, in float64."""
    for site in find_projections(model, "qkvo"):
        site.module.weight.requires_grad_(True)
    ids = tokens(LENGTHS[row], seed=row)
    logits = model(input_ids=ids[None]).logits[0]
    (-F.cross_entropy(logits[START - 1 : -1], ids[START:], reduction="sum")).backward()
    found = {at: grad.double().flatten() for at, grad in weight_gradients(model).items()}
    model.zero_grad()
    return found


@pytest.mark.parametrize("formed", [True, False])
@pytest.mark.parametrize("solver", [Solver.auto, Solver.token_gram])
def test_cosines_are_those_of_flattened_gradients(
    solver: Solver,
    formed: bool,
    tiny_model: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(similarity, "forming_is_cheaper", lambda *sizes: formed)
    model = tiny_model("llama_gqa")
    objective = objective_named("rloo", members=True)
    rewards = [1.0, 0.0, 0.5, 0.2]
    (unit,) = gradient_spectra(
        model, **batch(4), objective=objective, rewards=rewards, options=SpectraOptions(solver)
    ).samples
    plain = [log_prob_gradients(model, row) for row in range(4)]
    total = sum(rewards)
    advantages = torch.tensor([r - (total - r) / 3 for r in rewards], dtype=torch.float64)
    for row in unit.rows:
        stacked = torch.stack([gradients[row.layer, row.projection] for gradients in plain])
        if row.member is not None:
            assert math.isnan(row.member_cosine)
            continue
        unit_vectors = F.normalize(stacked, dim=1)
        above = torch.triu_indices(4, 4, 1).unbind()
        cosines = (unit_vectors @ unit_vectors.T)[above]
        assert row.member_cosine == pytest.approx(float(cosines.mean()), abs=TOLERANCE)
        shares = stacked * advantages[:, None]
        eigenvalues = torch.linalg.svdvals(shares) ** 2
        p = eigenvalues / eigenvalues.sum()
        expected = float(torch.exp(-(p * p.log()).sum()))
        assert row.member_effective_rank == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["dpo", "simpo", "cpo", "orpo"])
def test_a_pair_has_the_cosine_of_its_two_log_probabilities(
    name: str, tiny_model: Callable[[str], Any]
) -> None:
    """Whatever the loss weighs them by: the chosen is pulled and the rejected pushed away."""
    model = tiny_model("llama_gqa")
    objective = objective_named(name, members=True)
    (unit,) = gradient_spectra(model, **batch(2), objective=objective).samples
    if name == "orpo":  # its chosen gradient has the prompt's tokens, too
        assert all(abs(row.member_cosine) <= 1 for row in unit.rows if row.member is None)
        return
    chosen, rejected = (log_prob_gradients(model, row) for row in range(2))
    for row in unit.rows:
        if row.member is None:
            place = row.layer, row.projection
            expected = F.cosine_similarity(chosen[place], rejected[place], dim=0)
            assert row.member_cosine == pytest.approx(float(expected), abs=1e-4)


def test_members_change_no_number_of_their_unit(tiny_model: Callable[[str], Any]) -> None:
    model = tiny_model("llama_gqa")
    (alone,) = gradient_spectra(model, **batch(2), objective="dpo").samples
    objective = objective_named("dpo", members=True)
    (unit,) = gradient_spectra(model, **batch(2), objective=objective).samples
    own = [row for row in unit.rows if row.member is None]
    assert [row.nuclear_norm for row in own] == [row.nuclear_norm for row in alone.rows]
    assert [row.member for row in unit.rows[:3]] == [None, "chosen", "rejected"]
    assert len(unit.rows) == 3 * len(alone.rows)
