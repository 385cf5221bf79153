"""The columns of `python -m benchmarks.gpu --bergson`, without which nothing imports bergson."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from transformers import LlamaForCausalLM

from benchmarks.methods import frozen_pass
from gradsweep.engine import Batch

INSTALL = "make .venv/bergson.stamp"

HEAD = ("bergson's gradients", "bergson with svdvals", "over gradsweep")
NOTE = (
    "bergson's gradients: a bare pass with its collector, whose hook forms the gradient of every "
    "sample and projection\nand drops it. With svdvals, extrapolated: that pass, and the time that "
    "`torch.linalg.svdvals` of the middle layer's\ngradients in float32 took in the hook, once, "
    "times the number of layers. Over gradsweep: that sum."
)


def why_not() -> str | None:
    """Return what is missing and the command that installs it; None where bergson is there."""
    try:
        import benchmarks.bergson_collector  # noqa: F401
    except ImportError as error:
        return f"bergson cannot be imported ({error}): type {INSTALL}"
    return None


@contextmanager
def gradients(model: LlamaForCausalLM, one: Batch) -> Iterator[Callable[[], object]]:
    """A bare pass with bergson's collector, which forms gradients and drops them."""
    from benchmarks.bergson_collector import collecting

    with collecting(model, solved_layers=()):
        yield lambda: frozen_pass(model, [one])


def svd_milliseconds(model: LlamaForCausalLM, one: Batch) -> float:
    """Extrapolate the time of the SVDs of all gradients of a batch: those of the middle layer are
    found in the hook, once, and multiplied by the number of layers."""
    from benchmarks.bergson_collector import collecting

    layers = model.config.num_hidden_layers
    torch.linalg.svdvals(torch.eye(64, device=model.device).expand(len(one.input_ids), 64, 64))
    with collecting(model, solved_layers=[layers // 2]) as collector:
        frozen_pass(model, [one])
    return 1e3 * layers * collector.svd_seconds


def cells(
    model: LlamaForCausalLM, one: Batch, times: Mapping[str, Sequence[float]]
) -> tuple[str, ...]:
    """Return the cells of `HEAD`.

    Args:
        times: milliseconds of the rounds of "gradsweep" and, where it fits into memory, of
            `gradients` as "bergson".
    """
    if "bergson" not in times:
        return ("–",) * len(HEAD)
    formed = statistics.median(times["bergson"])
    try:
        whole = formed + svd_milliseconds(model, one)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return (f"{formed:.0f}", "–", "–")
    return (f"{formed:.0f}", f"{whole:.0f}", f"{whole / statistics.median(times['gradsweep']):.1f}")
