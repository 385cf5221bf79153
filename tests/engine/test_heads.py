"""Rows of single attention heads, against slices of autograd's gradient and their float64 SVD."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers.agreement import NORMS, assert_same, largest_norms, near
from helpers.plain_gradients import mask, plain_gradients, tokens
from helpers.tiny_models import FAMILIES, FEW, each, projections_of
from torch.nn import functional as F

from gradsweep import Probe, SpectraOptions, gradient_spectra
from gradsweep.config import Solver
from gradsweep.engine import make_batch
from gradsweep.engine.objectives import objective_named
from gradsweep.engine.passes import Engine
from gradsweep.engine.spectra import CudaBackend
from gradsweep.models.projections import find_projections, with_heads
from gradsweep.records import SampleResult, SpectrumRow

Model = Any
HEADS = SpectraOptions(heads=True)


def whole(result: SampleResult) -> SampleResult:
    return replace(result, rows=tuple(row for row in result.rows if row.head is None))


def of_heads(rows: Sequence[SpectrumRow]) -> dict[tuple[int, str, int], SpectrumRow]:
    found = {(r.layer, r.projection, r.head): r for r in rows if r.head is not None}
    assert len(found) == sum(row.head is not None for row in rows), "each once"
    return found  # type: ignore[return-value]


def slices(
    model: Model, gradients: dict[tuple[int, str], torch.Tensor]
) -> Iterator[tuple[tuple[int, str, int], torch.Tensor]]:
    """The parts of these gradients that belong to a head."""
    names = sorted({name for _, name in gradients})
    for site in with_heads(model, find_projections(model, names)):
        for name, heads in site.heads.items():
            parts = gradients[site.layer, name].chunk(heads.count, dim=int(heads.of_inputs))
            for head, part in enumerate(parts):
                yield (site.layer, name, head), part


def assert_heads_agree(
    model: Model, result: SampleResult, gradients: dict[tuple[int, str], torch.Tensor]
) -> None:
    found, expected = of_heads(result.rows), dict(slices(model, gradients))
    assert found.keys() == expected.keys()
    largest = largest_norms(result.rows)
    for place, row in found.items():
        sigma = torch.linalg.svdvals(expected[place].double())
        for name, value in zip(NORMS, (sigma.sum(), sigma[0], sigma.norm()), strict=True):
            assert getattr(row, name) == near(float(value), row, largest, 1e-5), (name, row)
        assert row.finite
    for row in whole(result).rows:
        own = [r for (layer, name, _), r in found.items() if (layer, name) ==
               (row.layer, row.projection)]  # fmt: skip
        if own:
            total = math.fsum(r.frobenius_norm**2 for r in own)
            assert total == pytest.approx(row.frobenius_norm**2, rel=1e-9, abs=1e-20)


@pytest.mark.parametrize("family", each(FAMILIES))
def test_a_heads_row_is_of_its_part_of_the_gradient(
    family: str, tiny_model: Callable[[str], Model]
) -> None:
    _assert_heads_are_parts(family, 12, 5, tiny_model)


@pytest.mark.parametrize("family", sorted(FEW))
def test_so_it_is_with_more_tokens_than_a_head_is_wide(
    family: str, tiny_model: Callable[[str], Model]
) -> None:
    _assert_heads_are_parts(family, 60, 8, tiny_model)


def _assert_heads_are_parts(
    family: str, length: int, start: int, tiny_model: Callable[[str], Model]
) -> None:
    model, ids, names = tiny_model(family), tokens(length), projections_of(family)
    reference = plain_gradients(model, ids, start, names)
    response = mask(length, start)[None]
    (ours,) = gradient_spectra(model, ids[None], response, projections=names, options=HEADS).samples
    (plain,) = gradient_spectra(model, ids[None], response, projections=names).samples
    assert _same_bits(whole(ours), plain)
    assert_heads_agree(model, ours, reference)


def _same_bits(one: SampleResult, other: SampleResult) -> bool:
    """NaN is not equal to itself."""
    return repr(one.rows) == repr(other.rows)


@pytest.mark.parametrize("solver", list(Solver))
@pytest.mark.parametrize("length", [7, 60])
def test_every_route_gives_the_same(
    solver: Solver, length: int, tiny_model: Callable[[str], Model]
) -> None:
    model, ids = tiny_model("llama_gqa"), tokens(length)
    reference = plain_gradients(model, ids, 3)
    options = SpectraOptions(solver, heads=True, save_spectra=True)
    (ours,) = gradient_spectra(model, ids[None], mask(length, 3)[None], options=options).samples
    assert_heads_agree(model, ours, reference)
    for row in of_heads(ours.rows).values():
        assert len(row.singular_values or ()) == min(length, 6)
        assert solver is Solver.auto or row.solver == solver.name


LENGTHS = ((9, 4), (30, 2), (17, 16), (22, 8))


def batch_of(places: Sequence[int], left: bool = False) -> dict[str, torch.Tensor]:
    longest = max(LENGTHS[place][0] for place in places)

    def padded(values: torch.Tensor) -> torch.Tensor:
        missing = longest - len(values)
        return F.pad(values, (missing, 0) if left else (0, missing))

    rows = [(tokens(LENGTHS[i][0], seed=i), LENGTHS[i][1]) for i in places]
    return {
        "input_ids": torch.stack([padded(ids) for ids, _ in rows]),
        "response_mask": torch.stack([padded(mask(len(ids), start)) for ids, start in rows]),
        "attention_mask": torch.stack([padded(torch.ones(len(ids)).long()) for ids, _ in rows]),
    }


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("family", ["llama_gqa", "gpt2_conv1d"])
def test_batch_and_padding_change_nothing(
    family: str, left: bool, tiny_model: Callable[[str], Model]
) -> None:
    model = tiny_model(family)
    together = gradient_spectra(model, **batch_of([2, 0, 1], left), options=HEADS)
    for place, i in enumerate([2, 0, 1]):
        (alone,) = gradient_spectra(model, **batch_of([i]), options=HEADS).samples
        assert_same(together.samples[place], alone)
        heads = [(row.projection, row.head) for row in alone.rows]
        assert [(r.projection, r.head) for r in together.samples[place].rows] == heads


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers: int, tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama_gqa")
    sites = find_projections(model, "qkvo")
    batches = [make_batch(**batch_of(places)) for places in ([0, 1], [2, 3])]
    with Engine(model, sites, HEADS, workers) as engine:
        found = dict(engine.measure_all(batches))
    for results, places in ((found[0], [0, 1]), (found[1], [2, 3])):
        expected = gradient_spectra(model, **batch_of(places), options=HEADS).samples
        for ours, theirs in zip(results, expected, strict=True):
            assert_same(ours, theirs)


def test_heads_are_of_a_pairs_own_gradient_and_not_of_its_members(
    tiny_model: Callable[[str], Model],
) -> None:
    model = tiny_model("llama_gqa")
    found = {
        members: gradient_spectra(
            model,
            **batch_of([0, 1]),
            options=HEADS,
            objective=objective_named("dpo", members=members),
        ).samples[0]
        for members in (False, True)
    }
    own = [row for row in found[True].rows if row.member is None]
    assert len(own) < len(found[True].rows)
    assert len(of_heads(own)) == len(of_heads(found[True].rows)) == 3 * (4 + 2 + 2 + 4)
    assert_same(replace(found[True], rows=tuple(own)), found[False])


def test_a_probe_has_them_too(tiny_model: Callable[[str], Model]) -> None:
    model, ids = tiny_model("llama_gqa"), tokens(12)
    (expected,) = gradient_spectra(model, ids[None], mask(12, 5)[None], options=HEADS).samples
    with Probe(model, options=HEADS) as probe, probe.collect() as gradients:
        logits = model(input_ids=ids[None]).logits[0]
        F.cross_entropy(logits[4:-1], ids[5:]).backward()
    assert_same(replace(expected, rows=gradients.rows[0]), expected)
    assert of_heads(gradients.rows[0])


@pytest.mark.parametrize("solver", list(Solver))
@pytest.mark.parametrize("places", [[0], [0, 1, 2, 3]], ids=["one", "padded"])
def test_a_device_gives_the_same(
    solver: Solver,
    places: list[int],
    tiny_model: Callable[[str], Model],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stacked operations, on tensors of the CPU that are treated as a device's."""
    model, given = tiny_model("llama_gqa"), batch_of(places)
    options = SpectraOptions(solver, heads=True)
    on_cpu = gradient_spectra(model, **given, options=options).samples
    for room in ("passes", "rows"):
        monkeypatch.setattr(
            f"gradsweep.engine.{room}.backend_for", lambda device, solvers=None: CudaBackend(device)
        )
    on_device = gradient_spectra(model, **given, options=options).samples
    without = gradient_spectra(model, **given, options=SpectraOptions(solver)).samples
    for ours, theirs, plain in zip(on_device, on_cpu, without, strict=True):
        assert_same(ours, theirs)
        assert of_heads(ours.rows).keys() == of_heads(theirs.rows).keys()
        assert _same_bits(whole(ours), plain)


def test_a_loss_without_a_number_has_no_rows(tiny_model: Callable[[str], Model]) -> None:
    model, ids = tiny_model("llama_gqa"), tokens(12)
    with torch.no_grad():
        model.get_input_embeddings().weight[int(ids[3])] = math.inf
    (bad,) = gradient_spectra(model, ids[None], mask(12, 5)[None], options=HEADS).samples
    assert bad.rows == ()


def test_top_k_keeps_those_of_each_head(tiny_model: Callable[[str], Model]) -> None:
    model, ids = tiny_model("llama_gqa"), tokens(12)
    options = SpectraOptions(heads=True, top_k=2)
    (ours,) = gradient_spectra(model, ids[None], mask(12, 5)[None], options=options).samples
    for row in of_heads(ours.rows).values():
        assert row.singular_values is not None
        assert row.singular_values[0] == row.sigma_max
        assert len(row.singular_values) == 2
