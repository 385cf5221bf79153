"""Spectra against the plain definition: autograd's weight gradient and a float64 SVD of it."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from helpers.agreement import NORMS, TOLERANCE, assert_same, is_noise, largest_norms
from helpers.plain_gradients import assert_close, mask, plain_gradients, tokens
from helpers.tiny_models import FAMILIES, each, projections_of
from torch.nn import functional as F

import gradsweep
from gradsweep.config import Solver, SpectraOptions
from gradsweep.engine.passes import gradient_spectra
from gradsweep.errors import ModelError

Model = torch.nn.Module


@pytest.mark.parametrize("family", each(FAMILIES))
@pytest.mark.parametrize(("length", "start"), [(12, 5), (60, 8)], ids=["short", "longer_than_d"])
def test_spectra_are_those_of_the_weight_gradient(
    family: str, length: int, start: int, tiny_model: Callable[[str], Model]
) -> None:
    model, ids, projections = tiny_model(family), tokens(length), projections_of(family)
    reference = plain_gradients(model, ids, start, projections)
    response = mask(length, start)[None]
    (ours,) = gradient_spectra(model, ids[None], response, projections=projections).samples
    assert_close(ours, reference)


@pytest.mark.parametrize("solver", [s for s in Solver if s is not Solver.auto])
@pytest.mark.parametrize("length", [7, 60])
def test_every_route_gives_the_same_spectrum(
    solver: Solver, length: int, tiny_model: Callable[[str], Model]
) -> None:
    model, ids = tiny_model("llama_gqa"), tokens(length)
    reference = plain_gradients(model, ids, 3)
    options = SpectraOptions(solver, save_spectra=True)
    (ours,) = gradient_spectra(model, ids[None], mask(length, 3)[None], options=options).samples
    assert_close(ours, reference)
    for row in ours.rows:
        sigma = torch.linalg.svdvals(reference[row.layer, row.projection].double())
        assert row.singular_values is not None
        assert len(row.singular_values) == min(length, *reference[row.layer, row.projection].shape)
        assert row.singular_values == pytest.approx(
            sigma.tolist()[: len(row.singular_values)], rel=TOLERANCE, abs=TOLERANCE * row.sigma_max
        )


def test_top_k_keeps_the_largest_singular_values(tiny_model: Callable[[str], Model]) -> None:
    model, ids, response = tiny_model("llama"), tokens(6), mask(6, 2)[None]
    found = {
        k: gradient_spectra(model, ids[None], response, options=options).samples[0].rows
        for k, options in {
            0: SpectraOptions(),
            3: SpectraOptions(top_k=3),
            50: SpectraOptions(top_k=50),
            math.inf: SpectraOptions(save_spectra=True),
        }.items()
    }
    for none, three, many, every in zip(*found.values(), strict=True):
        assert none.singular_values is None
        assert len(every.singular_values or ()) == 6
        assert three.singular_values == (every.singular_values or [])[:3]
        assert many.singular_values == every.singular_values
        assert three.nuclear_norm == every.nuclear_norm


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2_conv1d"])
@pytest.mark.parametrize("padding", ["right", "left"])
def test_batch_and_padding_change_nothing(
    family: str, padding: str, tiny_model: Callable[[str], Model]
) -> None:
    model = tiny_model(family)
    samples = [(tokens(n, seed=n), start) for n, start in ((9, 4), (30, 2), (17, 16))]
    alone = [
        gradient_spectra(model, ids[None], mask(len(ids), start)[None]).samples[0]
        for ids, start in samples
    ]
    longest = max(len(ids) for ids, _ in samples)

    def padded(values: torch.Tensor) -> torch.Tensor:
        missing = longest - len(values)
        return F.pad(values, (0, missing) if padding == "right" else (missing, 0))

    for order in ([0, 1, 2], [2, 0, 1]):
        together = gradient_spectra(
            model,
            torch.stack([padded(samples[i][0]) for i in order]),
            torch.stack([padded(mask(len(samples[i][0]), samples[i][1])) for i in order]),
            attention_mask=torch.stack(
                [padded(torch.ones(len(samples[i][0]), dtype=torch.long)) for i in order]
            ),
        )
        for place, i in enumerate(order):
            assert_same(together.samples[place], alone[i])


def test_one_response_token_and_shortest_sample(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama")
    for length in (2, 12):
        ids = tokens(length)
        reference = plain_gradients(model, ids, length - 1)
        (ours,) = gradient_spectra(model, ids[None], mask(length, length - 1)[None]).samples
        assert ours.n_response_tokens == 1
        assert {r.layer for r in ours.rows} == {0, 1, 2}
        if length == 12:
            assert_close(ours, reference)
        else:
            # One token that predicts: attention has nothing to choose from, so q and k get no
            # gradient, or rounding's where a processor cancels less well; v and o are rank one.
            largest = largest_norms(ours.rows)
            for row in ours.rows:
                assert is_noise(row, largest) == (row.projection in "qk")
                if row.projection in "vo":
                    assert row.rank == 1
                    assert row.nuclear_norm == pytest.approx(row.sigma_max, rel=TOLERANCE)


def test_response_at_the_first_token_is_not_predicted(tiny_model: Callable[[str], Model]) -> None:
    model, ids = tiny_model("llama"), tokens(8)
    (all_of_it,) = gradient_spectra(model, ids[None], mask(8, 0)[None]).samples
    (from_second,) = gradient_spectra(model, ids[None], mask(8, 1)[None]).samples
    assert all_of_it.n_response_tokens == 7
    assert_same(all_of_it, from_second, rel=0)  # both masks lead to the same operations


def test_non_finite_loss_leaves_the_rest_of_the_batch_alone(
    tiny_model: Callable[[str], Model],
) -> None:
    model = tiny_model("llama")
    good, bad = tokens(10, seed=1), tokens(10, seed=2)
    good[good == 5] = 6
    bad[3] = 5
    with torch.no_grad():
        model.get_input_embeddings().weight[5] = float("inf")  # type: ignore[operator]
    masks = mask(10, 4)[None]
    (alone,) = gradient_spectra(model, good[None], masks).samples
    first, second = gradient_spectra(model, torch.stack([bad, good]), masks.expand(2, -1)).samples
    assert first.rows == ()
    assert first.loss != first.loss
    assert_same(second, alone)
    (only_bad,) = gradient_spectra(model, bad[None], masks).samples
    assert only_bad.rows == ()


def test_the_model_is_left_as_it_was(tiny_model: Callable[[str], Model]) -> None:
    model = tiny_model("llama").train()
    model.get_submodule("model.layers.1").eval()
    frozen = model.get_submodule("model.layers.0").requires_grad_(False)
    ids = tokens(9)
    gradient_spectra(model, ids[None], mask(9, 3)[None])
    assert model.training
    assert not model.get_submodule("model.layers.1").training
    assert not any(p.requires_grad for p in frozen.parameters())
    assert all(p.requires_grad for p in model.get_submodule("model.layers.1").parameters())
    assert all(p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_gradient_checkpointing_changes_nothing(tiny_model: Callable[[str], Model]) -> None:
    model, ids = tiny_model("llama"), tokens(20)
    (before,) = gradient_spectra(model, ids[None], mask(20, 6)[None]).samples
    for layer in model.get_submodule("model.layers"):  # type: ignore[attr-defined]
        plain = layer.forward
        layer.forward = lambda *args, plain=plain, **kwargs: torch.utils.checkpoint.checkpoint(
            plain, *args, use_reentrant=False, **kwargs
        )
    (after,) = gradient_spectra(model, ids[None], mask(20, 6)[None]).samples
    assert_same(before, after, rel=0)  # the same operations, some of them twice


def test_only_the_projections_asked_for_in_reading_order(
    tiny_model: Callable[[str], Model],
) -> None:
    model, ids = tiny_model("llama"), tokens(9)
    found = gradient_spectra(model, ids[None], mask(9, 3)[None], projections=["o", "q"])
    assert [(r.layer, r.projection) for r in found.samples[0].rows] == [
        (layer, name) for layer in range(3) for name in "qo"
    ]
    frame = found.to_polars()
    assert frame.shape[0] == 6
    assert {"sample", "loss", "layer", "projection", *NORMS} <= set(frame.columns)
    assert "own_metrics" not in frame.columns, "each is a column of its own"


ONES = torch.ones(1, 4, dtype=torch.long)


@pytest.mark.parametrize(
    ("ids", "response", "attention", "message"),
    [
        (ONES, ONES[:, :3], None, "alike"),
        (torch.ones(2, 4), torch.tensor([[0, 0, 1, 1], [1, 0, 0, 0]]), None, r"samples \[1\]"),
        (ONES, ONES, torch.tensor([[1, 0, 1, 1]]), "one run"),
    ],
    ids=["shapes", "no_response", "holes"],
)
def test_wrong_tensors_are_refused(
    ids: torch.Tensor,
    response: torch.Tensor,
    attention: torch.Tensor | None,
    message: str,
    tiny_model: Callable[[str], Model],
) -> None:
    with pytest.raises(ValueError, match=message):
        gradient_spectra(tiny_model("llama"), ids.long(), response, attention_mask=attention)


def test_unknown_family_and_projection_list_what_there_is(
    tiny_model: Callable[[str], Model],
) -> None:
    model = tiny_model("llama")
    with pytest.raises(ModelError, match=r"mlp.*not found in layer 0.*self_attn\.q_proj"):
        gradsweep.gradient_spectra(model, tokens(4)[None], mask(4, 2)[None], projections=["mlp"])
    model.config.model_type = "hyena"  # type: ignore[union-attr]
    with pytest.raises(ModelError, match=r"'hyena'.*llama"):
        gradsweep.gradient_spectra(model, tokens(4)[None], mask(4, 2)[None])
