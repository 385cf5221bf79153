"""`python -m benchmarks.gpu`: what spectra cost beside a bare pass on a GPU.

Llama models of random weights in sizes that people measure, made on the device; random tokens, of
which the last 70 % are the response. Unequal lengths are those of a batch of similar samples.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch.profiler import ProfilerActivity, profile
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.environment import environment
from benchmarks.methods import frozen_pass
from gradsweep.engine import Batch, make_batch, trainable
from gradsweep.engine.passes import Engine
from gradsweep.engine.rows import RowSink
from gradsweep.models.placement import resolve_device
from gradsweep.models.projections import find_projections
from gradsweep.records import PROJECTIONS

LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx")
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
SHORTEST = 0.9
"""Of the longest sample, where lengths are unequal."""


@dataclass(frozen=True)
class Model:
    """Sizes of a Llama, and what is measured on it: (tokens, samples, unequal lengths)."""

    title: str
    dtype: torch.dtype
    config: dict[str, Any]
    cases: tuple[tuple[int, int, bool], ...]

    def build(self, device: torch.device) -> LlamaForCausalLM:
        torch.manual_seed(0)
        torch.set_default_dtype(self.dtype)
        try:
            with torch.device(device):
                model = LlamaForCausalLM(LlamaConfig(use_cache=False, **self.config))
        finally:
            torch.set_default_dtype(torch.float32)
        return model.eval().requires_grad_(False)


def llama(
    width: int, inner: int, layers: int, heads: int, kv_heads: int, **more: Any
) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
    } | more


MODELS = {
    "8b": Model(
        "Llama-3-8B, bfloat16",
        torch.bfloat16,
        llama(4096, 14336, 32, 32, 8, vocab_size=128256),
        (
            *((100, 1, False), (500, 1, False), (1000, 1, False)),
            *((100, 4, False), (500, 4, False), (100, 16, False), (100, 16, True)),
            *((500, 4, True), (1000, 4, False), (500, 16, False)),
        ),
    ),
    "1b": Model(
        "Llama-3.2-1B, bfloat16",
        torch.bfloat16,
        llama(2048, 8192, 16, 32, 8, vocab_size=128256, tie_word_embeddings=True),
        ((100, 1, False), (500, 1, False), (100, 16, False), (500, 4, False)),
    ),
    "smollm2": Model(
        "SmolLM2-135M, float32",
        torch.float32,
        llama(576, 1536, 30, 9, 3, vocab_size=49152, tie_word_embeddings=True),
        ((100, 1, False), (500, 1, False), (100, 16, False), (500, 4, False)),
    ),
}
QUICK = Model("tiny", torch.float32, llama(64, 96, 2, 4, 2, vocab_size=300), ((20, 3, True),))


def batch(model: LlamaForCausalLM, tokens: int, samples: int, unequal: bool) -> Batch:
    shape, device = (samples, tokens), model.device
    ids = torch.randint(1, model.config.vocab_size, shape, device=device)
    shortest = round(SHORTEST * tokens) if unequal else tokens
    lengths = torch.linspace(tokens, shortest, samples, device=device).round()
    places = torch.arange(tokens, device=device)
    real = places < lengths[:, None]
    return make_batch(ids, (places >= 0.3 * tokens) & real, real)


@contextmanager
def without_spectra() -> Iterator[None]:
    """The engine's pass alone: taps report, and nobody listens."""
    with mock.patch.object(RowSink, "add_layer"):
        yield


def median_ms(run: Callable[[], object], rounds: int) -> float:
    run()
    times = []
    for _ in range(rounds):
        wait()
        start = time.perf_counter()
        run()
        wait()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def counted(run: Callable[[], object]) -> tuple[int, ...]:
    """Kernels that are launched, and times that the host waits for the device."""
    cuda = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
    with profile(activities=[ProfilerActivity.CPU, *cuda]) as profiled:
        run()
    events = profiled.key_averages()
    launches = sum(event.count for event in events if event.key in LAUNCHES)
    return launches, sum(event.count for event in events if event.key in WAITS)


def measure(
    model: LlamaForCausalLM, case: tuple[int, int, bool], rounds: int, calls: bool
) -> list[float]:
    """Milliseconds of a bare pass, of the engine's without spectra and of all of it; then, if
    asked for, launches and waits for spectra, by layer."""
    one, layers = batch(model, *case), model.config.num_hidden_layers
    sites = find_projections(model, PROJECTIONS)
    bare = median_ms(lambda: frozen_pass(model, [one]), rounds)
    with Engine(model, sites, workers=1) as engine:

        def ours() -> object:
            return engine.measure(one)

        times = [bare, median_ms(ours, rounds)]
        counts = counted(ours) if calls else ()
        with without_spectra():
            times.insert(1, median_ms(ours, rounds))
            own = counted(ours) if calls else ()
    return [*times, *((all_ - of_pass) / layers for all_, of_pass in zip(counts, own, strict=True))]


def plain_seconds(model: LlamaForCausalLM) -> float:
    """Of `torch.linalg.svdvals` of every `weight.grad` of one sample, in float32: those of the
    middle layer are timed once and multiplied by the number of layers."""
    layers, one = model.config.num_hidden_layers, batch(model, 100, 1, False)
    sites = [s for s in find_projections(model, PROJECTIONS) if s.layer == layers // 2]
    weights = [site.module.get_parameter("weight") for site in sites]
    with trainable(weights):
        model(input_ids=one.input_ids, labels=one.input_ids).loss.backward()
        gradients = [weight.grad.float() for weight in weights if weight.grad is not None]
    torch.linalg.svdvals(gradients[-1][:64])
    wait()
    start = time.perf_counter()
    for gradient in gradients:
        torch.linalg.svdvals(gradient)
    wait()
    return layers * (time.perf_counter() - start)


HEAD = ["samples × tokens", "bare", "no spectra", "gradsweep", "over bare"]
CALLS = ["launches", "waits"]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table of each model; return the exit status."""
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=__doc__)
    parser.add_argument(
        "--models",
        type=lambda text: text.split(","),
        default=[*MODELS],
        help=f"comma-separated, of: {', '.join(MODELS)} (default: all)",
    )
    parser.add_argument("--rounds", type=int, default=3, help="timed, after a warm-up (default: 3)")
    parser.add_argument(
        "--calls", action="store_true", help="count launches and waits; takes longer"
    )
    parser.add_argument("--plain", action="store_true", help="also SVDs of one layer's weight.grad")
    parser.add_argument("--quick", action="store_true", help="a tiny model, on any device")
    given = parser.parse_args(argv)
    unknown = set(given.models) - MODELS.keys()
    if unknown:
        parser.error(
            f"--models: {', '.join(sorted(unknown))} unknown; there are {', '.join(MODELS)}"
        )
    if given.rounds < 1:
        parser.error("--rounds must be at least 1")
    device = resolve_device("auto")
    if device.type == "cpu" and not given.quick:
        parser.error("torch sees no CUDA device here; --quick runs a tiny model on the CPU")
    for label, value in environment().items():
        print(f"- {label}: {value}")
    for shape in [QUICK] if given.quick else [MODELS[name] for name in given.models]:
        report(shape, device, given)
    return 0


def report(shape: Model, device: torch.device, given: argparse.Namespace) -> None:
    model = shape.build(device)
    head = HEAD + CALLS * given.calls
    print(f"\n{shape.title}: milliseconds of a batch; launches and waits for spectra, a layer\n")
    print(line(head) + line(["---"] * len(head)), end="", flush=True)
    for case in shape.cases:
        tokens, samples, unequal = case
        lengths = f"{SHORTEST * tokens:.0f}–{tokens}" if unequal else f"{tokens}"
        print(line([f"{samples} × {lengths}", *cells(model, case, given)]), end="", flush=True)
    if given.plain:
        seconds = plain_seconds(model)
        print(f"\nSVDs of every gradient of one sample, extrapolated: {seconds:.1f} s", flush=True)


def cells(
    model: LlamaForCausalLM, case: tuple[int, int, bool], given: argparse.Namespace
) -> list[str]:
    """Of one case; a batch that does not fit is that, and the next case goes on."""
    try:
        bare, alone, ours, *calls = measure(model, case, given.rounds, given.calls)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return ["does not fit"] + ["–"] * (len(HEAD) - 2 + len(CALLS) * given.calls)
    times = [f"{ms:.0f}" for ms in (bare, alone, ours)]
    return [*times, f"{ours / bare:.2f}", *(f"{count:.1f}" for count in calls)]


def line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |\n"


if __name__ == "__main__":
    raise SystemExit(main())
