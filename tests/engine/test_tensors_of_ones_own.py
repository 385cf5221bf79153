"""`gradient_spectra` on models and tensors as people have them: right, or one clear error."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from helpers.agreement import assert_same
from helpers.plain_gradients import assert_close, mask, plain_gradients, tokens
from torch import nn

from gradsweep import gradient_spectra

IDS, START = tokens(20), 8
MASK = mask(20, START)[None]


@pytest.fixture
def model(tiny_model: Callable[[str], Any]) -> Any:
    return tiny_model("llama_gqa")


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64])
def test_ids_of_any_integer_type(dtype: torch.dtype, model: Any) -> None:
    (ours,) = gradient_spectra(model, IDS[None].to(dtype), MASK).samples
    assert_close(ours, plain_gradients(model, IDS, START))


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.uint8])
def test_a_mask_of_any_type_that_holds_0_and_1(dtype: torch.dtype, model: Any) -> None:
    (ours,) = gradient_spectra(model, IDS[None], MASK.to(dtype)).samples
    assert_close(ours, plain_gradients(model, IDS, START))


LABELS = torch.where(MASK, IDS[None], -100)


@pytest.mark.parametrize(
    ("ids", "response_mask", "message"),
    [
        (IDS[None], LABELS, r"response_mask must hold 0 and 1; got .* pass labels != -100"),
        (IDS[None], MASK * 3, r"response_mask must hold 0 and 1; got 3"),
        (IDS[None], MASK.float(), r"response_mask must hold 0 and 1 as bool .* pass \w+\.bool\(\)"),
        (IDS[None].float(), MASK, "integers; got torch.float32"),
        (IDS[None][:0], MASK[:0], r"holds no token: its shape is \(0, 20\)"),
        (IDS[None][:, :0], MASK[:, :0], r"holds no token: its shape is \(1, 0\)"),
        (IDS[None].tolist(), MASK, r"input_ids must be a tensor, got list: .*as_tensor"),
        (IDS[None], MASK.numpy(), "response_mask must be a tensor, got ndarray"),
        (IDS[None] + 10**6, MASK, r"embedding has \d+ rows: allowed are 0 to"),
        (torch.where(MASK, IDS[None], -100), MASK, "holds -100, and the model's embedding"),
    ],
)
def test_what_is_no_batch_is_one_clear_error(
    ids: Any, response_mask: Any, message: str, model: Any
) -> None:
    with pytest.raises(ValueError, match=message):
        gradient_spectra(model, ids, response_mask)


def test_an_attention_mask_for_adding_is_refused(model: Any) -> None:
    added = torch.zeros(1, 20)
    added[:, -3:] = torch.finfo(torch.float32).min
    with pytest.raises(ValueError, match=r"attention_mask must hold .*torch\.float32.* additive"):
        gradient_spectra(model, IDS[None], MASK, attention_mask=added)


def test_inference_mode_is_refused_since_it_has_no_backward_pass(model: Any) -> None:
    with torch.inference_mode(), pytest.raises(ValueError, match="leave the block"):
        gradient_spectra(model, IDS[None], MASK)


def test_autocast_is_refused_since_it_would_change_the_numbers(model: Any) -> None:
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(ValueError, match="autocast"):
        gradient_spectra(model, IDS[None], MASK)


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel])
def test_wrappers_are_seen_through(wrap: Callable[[nn.Module], nn.Module], model: Any) -> None:
    wrapped = wrap(model)  # on a machine with GPUs, DataParallel moves the model to the first
    ids, response = IDS[None].to(model.device), MASK.to(model.device)
    (ours,) = gradient_spectra(wrapped, ids, response).samples
    (theirs,) = gradient_spectra(model, ids, response).samples
    assert_same(ours, theirs)


def test_threads_that_share_a_model_wait_for_each_other(model: Any) -> None:
    """The weights are as trainable afterwards as before, and have no gradient."""
    lengths = range(12, 20)

    def measured(n: int) -> Any:
        return gradient_spectra(model, tokens(n, seed=n)[None], mask(n, 5)[None]).samples[0]

    alone = [measured(n) for n in lengths]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(measured, lengths))
    for ours, theirs in zip(together, alone, strict=True):
        assert_same(ours, theirs)
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_a_result_is_shown_by_what_it_holds(model: Any) -> None:
    found = gradient_spectra(model, IDS[None], MASK, projections=["q", "o"])
    n_layers = model.config.num_hidden_layers
    assert repr(found) == (
        f"GradientSpectra(1 units, {2 * n_layers} rows: q o of {n_layers} layers; "
        ".to_polars() is their table)"
    )
    assert "<table" in found._repr_html_()
    assert "nuclear_norm" in found._repr_html_()
