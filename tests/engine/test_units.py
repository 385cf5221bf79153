"""Units of several rows: one gradient of one loss, whatever shares the batch or memory does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers.agreement import assert_same
from helpers.pairs import Pairs
from helpers.plain_gradients import Gradients, assert_close, tokens, weight_gradients
from torch.nn import functional as F

from gradsweep import SpectraOptions, gradient_spectra
from gradsweep.config import Solver
from gradsweep.engine import make_batch, split_units
from gradsweep.engine.objectives import objective_named
from gradsweep.engine.passes import Engine
from gradsweep.models.projections import find_projections

Model = Any
LENGTHS = ((9, 4), (14, 6), (22, 3), (11, 10), (30, 12), (7, 2))
"""(tokens, start of the response) of three pairs."""
PAIRS = Pairs(beta=0.7)


def pair_gradients(model: Model, first: int) -> Gradients:
    """Autograd's weight gradients of the loss of the pair (first, first + 1), each row alone."""
    for site in find_projections(model, "qkvo"):
        site.module.weight.requires_grad_(True)
    sums = []
    for place in (first, first + 1):
        n, start = LENGTHS[place]
        ids = tokens(n, seed=place)
        logits = model(input_ids=ids[None]).logits[0]
        log_probs = -F.cross_entropy(logits[start - 1 : -1], ids[start:], reduction="none")
        sums.append(log_probs.sum())
    (-F.logsigmoid(PAIRS.beta * (sums[0] - sums[1]))).backward()
    gradients = weight_gradients(model)
    model.zero_grad()
    return gradients


def padded(places: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(ids, response mask, attention mask) of these rows, padded on the right."""
    longest = max(LENGTHS[place][0] for place in places)
    ids = torch.zeros(len(places), longest, dtype=torch.long)
    response, attention = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, place in enumerate(places):
        n, start = LENGTHS[place]
        ids[row, :n] = tokens(n, seed=place)
        response[row, start:n] = 1
        attention[row, :n] = 1
    return ids, response, attention


def measured(model: Model, places: list[int], options: SpectraOptions | None = None) -> list[Any]:
    ids, response, attention = padded(places)
    sizes = (2,) * (len(places) // 2)
    return list(
        gradient_spectra(
            model,
            ids,
            response,
            attention_mask=attention,
            options=options,
            objective=PAIRS,
            units=sizes,
        ).samples
    )


@pytest.mark.parametrize("solver", list(Solver))
@pytest.mark.parametrize("family", ["llama_gqa", "phi3_fused"])
def test_a_pair_has_the_gradient_of_its_loss(
    family: str, solver: Solver, tiny_model: Callable[[str], Model]
) -> None:
    model = tiny_model(family)
    units = measured(model, list(range(6)), SpectraOptions(solver))
    assert len(units) == 3
    for place, unit in enumerate(units):
        assert_close(unit, pair_gradients(model, 2 * place))
        assert unit.n_response_tokens == sum(n - start for n, start in LENGTHS[2 * place :][:2])


def test_the_batch_changes_no_pair(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama")
    options = SpectraOptions(similarities=True)
    alone = [measured(model, [2 * i, 2 * i + 1], options)[0] for i in range(3)]
    together = measured(model, [4, 5, 0, 1, 2, 3], options)
    for place, unit in zip((2, 0, 1), together, strict=True):
        assert_same(unit, alone[place])
        for row, other in zip(unit.rows, alone[place].rows, strict=True):
            expected = pytest.approx(other.cosine_partner, abs=1e-5, nan_ok=True)
            assert row.cosine_partner == expected


@pytest.mark.parametrize("workers", [1, 2])
def test_memory_running_out_keeps_pairs_whole(
    workers: int, tiny_model: Callable[[str], Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model("llama")
    expected = measured(model, list(range(6)))
    ids, response, attention = padded(list(range(6)))
    batch = make_batch(ids, response, attention, (2, 2, 2))
    passes: list[tuple[int, ...]] = []
    one_pass = Engine._pass

    def scarce(engine: Engine, part: Any, scale: Any = None) -> Any:
        passes.append(part.rows_of_unit)
        if part.n_units > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return one_pass(engine, part, scale)

    monkeypatch.setattr(Engine, "_pass", scarce)
    sites = find_projections(model, "qkvo")
    with Engine(model, sites, workers=workers, objective=PAIRS) as engine:
        ((_, units),) = engine.measure_all([batch])
    assert {size for sizes in passes for size in sizes} == {2}
    for unit, other in zip(units, expected, strict=True):
        assert_same(unit, other)


def test_a_pair_in_float16_is_scaled_as_one(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama")
    expected = measured(model, list(range(6)))
    units = measured(model.half(), list(range(6)))
    for unit, other in zip(units, expected, strict=True):
        for row, reference in zip(unit.rows, other.rows, strict=True):
            assert row.nuclear_norm == pytest.approx(reference.nuclear_norm, rel=0.05)


@pytest.mark.parametrize("on_the_left", [False, True])
@pytest.mark.parametrize("family", ["llama_gqa", "gpt2_conv1d"])
def test_a_prompt_that_rows_share_is_there_once(
    family: str, on_the_left: bool, tiny_model: Callable[[str], Model]
) -> None:
    """The gradient is that of the rows, and the factors have a token less for each shared one."""
    model = tiny_model(family)
    prompt, lengths = tokens(9, seed=1), (15, 12, 20)
    rows = [torch.cat([prompt, tokens(n - 9, seed=n)]) for n in lengths]
    longest = max(lengths)
    padded = torch.zeros(3, 3, longest, dtype=torch.long)
    for place, ids in enumerate(rows):
        first = longest - len(ids) if on_the_left else 0
        padded[0, place, first : first + len(ids)] = ids
        padded[1, place, first + 9 : first + len(ids)] = 1
        padded[2, place, first : first + len(ids)] = 1
    ids, response, attention = padded
    batch = replace(make_batch(ids, response, attention, (3,)), rewards=(1.0, 0.0, 0.3))
    assert batch.layout.shared == (9,)
    seen: list[int] = []

    def look(part: Any, layer: list[Any]) -> None:
        seen.extend(len(unit.x) for factors in layer for unit in split_units(factors, part.layout))

    sites = find_projections(model, "qkvo")
    objective = objective_named("rloo")
    with Engine(model, sites, workers=1, objective=objective, on_factors=look) as engine:
        (unit,) = engine.measure(batch)
    assert set(seen) <= {sum(lengths), sum(lengths) - 2 * 9}
    if not on_the_left:
        assert set(seen) == {sum(lengths) - 2 * 9}
    rewards = torch.tensor(batch.rewards)
    advantages = rewards - (rewards.sum() - rewards) / 2
    for site in sites:
        site.module.weight.requires_grad_(True)
    loss = torch.zeros(())
    for of_row, advantage in zip(rows, advantages, strict=True):
        logits = model(input_ids=of_row[None]).logits[0]
        loss = loss + advantage * F.cross_entropy(logits[8:-1], of_row[9:], reduction="sum") / 3
    loss.backward()
    assert_close(unit, weight_gradients(model))
