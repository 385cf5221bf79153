"""Cosines between layers and partners, against autograd's weight gradients, in any batch."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import transformers as hf
from helpers.agreement import COSINES, TOLERANCE, assert_same
from helpers.plain_gradients import mask, plain_gradients, tokens
from helpers.tiny_models import projections_of, randomised
from helpers.tiny_sizes import GROUPED
from torch.nn import functional as F

from gradsweep.config import SpectraOptions
from gradsweep.engine import make_batch
from gradsweep.engine.passes import Engine, gradient_spectra
from gradsweep.engine.spectra.backends import cpu
from gradsweep.models.projections import find_projections

Model = torch.nn.Module
SIMILARITIES = SpectraOptions(similarities=True)
PARTNER = {"q": "o", "o": "q", "k": "v", "v": "k"}


@pytest.mark.parametrize("family", ["llama_gqa", "gpt2_conv1d", "qwen3_norms"])
@pytest.mark.parametrize(("length", "start"), [(5, 2), (60, 8)], ids=["short", "longer_than_d"])
def test_cosines_are_those_of_the_weight_gradients(
    family: str, length: int, start: int, tiny_model: Callable[[str], Model]
) -> None:
    """GQA; one fused weight for q, k and v; heads that make q and o differ in shape."""
    model, ids, projections = tiny_model(family), tokens(length), projections_of(family)
    response = mask(length, start)[None]
    (ours,) = gradient_spectra(
        model, ids[None], response, projections=projections, options=SIMILARITIES
    ).samples
    reference = plain_gradients(model.double(), ids, start, projections)

    def cosine(place: tuple[int, str], other: tuple[int, str]) -> float:
        a, b = reference[place], reference.get(other)
        if b is None or a.shape != b.shape:
            return math.nan
        return float(F.cosine_similarity(a.flatten(), b.flatten(), dim=0))

    for row in ours.rows:
        place = row.layer, row.projection
        expected = cosine(place, (row.layer + 1, row.projection))
        assert row.cosine_next_layer == pytest.approx(expected, abs=TOLERANCE, nan_ok=True), place
        expected = cosine(place, (row.layer, PARTNER.get(row.projection, "")))
        assert row.cosine_partner == pytest.approx(expected, abs=TOLERANCE, nan_ok=True), place
        assert math.isnan(row.cosine_next_layer) == (row.layer == 2)
        same_shape = row.projection in ("k", "v") or family != "qwen3_norms"
        has_partner = row.projection in PARTNER and same_shape
        assert math.isnan(row.cosine_partner) != has_partner


@pytest.mark.parametrize(("length", "start"), [(5, 2), (60, 8)], ids=["short", "longer_than_d"])
def test_cosines_with_every_later_layer_are_those_of_the_weight_gradients(
    length: int, start: int, tiny_model: Callable[[str], Model]
) -> None:
    """From factors where these are smaller than the gradients, else from these."""
    model, ids = tiny_model("llama_gqa"), tokens(length)
    options = SpectraOptions(layer_cosines=True)
    response = mask(length, start)[None]
    (ours,) = gradient_spectra(model, ids[None], response, options=options).samples
    reference = plain_gradients(model.double(), ids, start, "qkvo")
    last = max(layer for layer, _ in reference)
    for row in ours.rows:
        g = reference[row.layer, row.projection].flatten()
        later = range(row.layer + 1, last + 1)
        expected = [
            float(F.cosine_similarity(g, reference[layer, row.projection].flatten(), dim=0))
            for layer in later
        ]
        assert row.layer_cosines == pytest.approx(expected, abs=TOLERANCE)
        assert math.isnan(row.cosine_next_layer)


def test_the_next_layer_is_the_next_of_the_model(tiny_model: Callable[[str], Model]) -> None:
    """Gemma 3n's last layer has no keys; a hybrid lacks attention in its first or middle layer."""
    ids, response = tokens(12)[None], mask(12, 5)[None]
    between = hf.AutoConfig.for_model(
        "lfm2", **GROUPED, layer_types=["full_attention", "conv", "full_attention"]
    )
    found = {}
    for name, model in (
        ("gemma3n", tiny_model("gemma3n")),
        ("lfm2", tiny_model("lfm2")),
        ("between", randomised(hf.AutoModelForCausalLM.from_config(between))),
    ):
        (sample,) = gradient_spectra(model, ids, response, options=SIMILARITIES).samples
        found[name] = {
            f"{row.layer}{row.projection}"
            for row in sample.rows
            if not math.isnan(row.cosine_next_layer) and row.projection in "qk"
        }
    assert found == {"gemma3n": {"0q", "0k", "1q"}, "lfm2": {"1q", "1k"}, "between": set()}


@pytest.mark.parametrize("pooled_work", [0, math.inf], ids=["spread_over_cores", "in_turn"])
@pytest.mark.parametrize("workers", [1, 2])
def test_batch_and_workers_do_not_change_cosines(
    workers: int,
    pooled_work: float,
    tiny_model: Callable[[str], Model],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cpu, "POOLED_WORK", pooled_work)
    model = tiny_model("llama_gqa")
    samples = [(tokens(n, seed=n), start) for n, start in ((9, 4), (30, 2), (17, 16), (3, 1))]
    alone = [
        gradient_spectra(model, ids[None], mask(len(ids), start)[None], options=SIMILARITIES)
        for ids, start in samples
    ]
    batches = []
    for pair in (samples[:2], samples[2:]):
        longest = max(len(ids) for ids, _ in pair)
        padding = [(0, longest - len(ids)) for ids, _ in pair]
        stacked = [
            torch.stack([F.pad(values, pad) for values, pad in zip(kind, padding, strict=True)])
            for kind in (
                [ids for ids, _ in pair],
                [mask(len(ids), start) for ids, start in pair],
                [torch.ones(len(ids), dtype=torch.long) for ids, _ in pair],
            )
        ]
        batches.append(make_batch(*stacked))
    with Engine(model, find_projections(model, "qkvo"), SIMILARITIES, workers) as engine:
        found = dict(engine.measure_all(batches))
    for together, one in zip([*found[0], *found[1]], alone, strict=True):
        assert_same(together, one.samples[0])
        for x, y in zip(together.rows, one.samples[0].rows, strict=True):
            for name in COSINES:
                expected = pytest.approx(getattr(y, name), abs=TOLERANCE, nan_ok=True)
                assert getattr(x, name) == expected, (name, x)


def test_without_the_option_there_are_no_cosines_and_the_rest_is_the_same(
    tiny_model: Callable[[str], Model],
) -> None:
    model, ids, response = tiny_model("llama"), tokens(12), mask(12, 5)[None]
    (plain,) = gradient_spectra(model, ids[None], response).samples
    (with_cosines,) = gradient_spectra(model, ids[None], response, options=SIMILARITIES).samples
    assert all(math.isnan(row.cosine_next_layer + row.cosine_partner) for row in plain.rows)
    assert_same(plain, with_cosines, rel=0)  # cosines come after the norms, from the same factors
