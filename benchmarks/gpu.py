"""`python -m benchmarks.gpu`: what spectra cost beside a bare pass on a GPU.

Llama models of random weights, made on the device; random tokens, of which the last 70 % are the
response. Each length is measured with 1, 4 and 16 samples, as far as these fit in memory. Without
a GPU there is `--models tiny`, which shows that everything runs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from unittest import mock

import torch
from torch.profiler import ProfilerActivity, profile
from transformers import LlamaForCausalLM

from benchmarks import bergson_columns
from benchmarks.arguments import DTYPES, dtypes, lengths, listed
from benchmarks.environment import environment
from benchmarks.methods import frozen_pass, training_pass
from benchmarks.random_llamas import MODELS, SHORTEST, Model, batch
from gradsweep.engine import Batch, trainable
from gradsweep.engine.passes import Engine
from gradsweep.engine.rows import RowSink
from gradsweep.models.placement import resolve_device
from gradsweep.models.projections import find_projections
from gradsweep.records import PROJECTIONS

LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx")
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
SAMPLES = (1, 4, 16)
GREEDY = ("training", "bergson")
"""Methods left out where they do not fit: they keep weights' gradients, or every layer's input."""


@dataclass(frozen=True)
class Case:
    """Samples of one batch."""

    tokens: int
    samples: int
    unequal: bool = False

    def __str__(self) -> str:
        lengths = f"{SHORTEST * self.tokens:.0f}–{self.tokens}" if self.unequal else self.tokens
        return f"{self.samples} × {lengths}"


@dataclass(frozen=True)
class Calls:
    """What a batch makes the device do."""

    launches: int
    waits: int
    """Times that the host waits for the device."""
    busy_ms: float
    """Time in which a kernel runs."""


@contextmanager
def without_spectra() -> Iterator[None]:
    """The engine's pass alone: taps report, and nobody listens."""

    def ignore(sink: RowSink, layer: object) -> None:
        """Costs less than a mock, which is a tenth of a small pass."""

    with mock.patch.object(RowSink, "add_layer", ignore):
        yield


Run = Callable[[], object]
Ready = Callable[[], AbstractContextManager[Run]]
"""Makes ready what is timed, and puts it away."""


def in_turns(methods: Mapping[str, Ready], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each, in rounds in which all take turns, after a warm-up: a host that is
    shared has quick and slow minutes, and passes that are bound by launches have them, too."""
    times: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(1 + rounds):
        for name, ready in methods.items():
            with ready() as run:
                wait()
                start = time.perf_counter()
                run()
                wait()
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: own[1:] for name, own in times.items()}


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def calls(ready: Ready) -> Calls:
    """Count by torch's profiler, which sees inside libraries."""
    cuda = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
    with ready() as run:
        run()
        with profile(activities=[ProfilerActivity.CPU, *cuda]) as profiled:
            run()
            wait()
    events = profiled.key_averages()
    launches, waits = (
        sum(event.count for event in events if event.key in names) for names in (LAUNCHES, WAITS)
    )
    busy = sum(event.self_device_time_total for event in events) / 1e3
    return Calls(launches, waits, busy)


def cells(
    model: LlamaForCausalLM, case: Case, rounds: int, with_calls: bool, with_bergson: bool
) -> list[str]:
    """A line of the table.

    Raises:
        torch.OutOfMemoryError: the batch does not fit.
    """
    one = batch(model, case.tokens, case.samples, case.unequal)
    methods = _methods(model, one)
    if with_bergson:
        methods["bergson"] = lambda: bergson_columns.gradients(model, one)
    for name in GREEDY:
        if name in methods and not _fits(methods[name]):
            del methods[name]
    times = in_turns(methods, rounds)
    written = [_ms(times.get(name)) for name in TIMES]
    written += [_ratio(times["gradsweep"], times.get(name)) for name in ("bare", "training")]
    if with_calls:
        written += _call_cells(methods, times["gradsweep"], len(model.model.layers))
    if with_bergson:
        written += bergson_columns.cells(model, one, times)
    return written


def _methods(model: LlamaForCausalLM, one: Batch) -> dict[str, Ready]:
    sites = find_projections(model, PROJECTIONS)

    @contextmanager
    def ours() -> Iterator[Run]:
        with Engine(model, sites, workers=1) as engine:
            yield lambda: engine.measure(one)

    @contextmanager
    def alone() -> Iterator[Run]:
        with ours() as measure, without_spectra():
            yield measure

    return {
        "bare": lambda: nullcontext(lambda: frozen_pass(model, [one])),
        "training": lambda: nullcontext(lambda: training_pass(model, [one])),
        "no spectra": alone,
        "gradsweep": ours,
    }


def _call_cells(methods: Mapping[str, Ready], times: Sequence[float], layers: int) -> list[str]:
    found, of_pass = calls(methods["gradsweep"]), calls(methods["no spectra"])
    idle = 1 - found.busy_ms / statistics.median(times) if found.busy_ms else None
    return [
        f"{(found.launches - of_pass.launches) / layers:.1f}",
        *(str(found.waits - of_pass.waits), str(of_pass.waits)),
        "–" if idle is None else f"{100 * max(idle, 0.0):.0f} %",
    ]


def _fits(ready: Ready) -> bool:
    try:
        with ready() as run:
            run()
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return False
    return True


def _ms(times: Sequence[float] | None) -> str:
    return f"{statistics.median(times):.0f}" if times else "–"


def _ratio(times: Sequence[float], others: Sequence[float] | None) -> str:
    """The median of the rounds' ratios, and their range."""
    if not others:
        return "–"
    ratios = [own / other for own, other in zip(times, others, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


TIMES = ("bare", "training", "no spectra", "gradsweep")
HEAD = ("samples × tokens", *TIMES, "over bare", "over training")
CALLS = ("launches a layer", "waits", "waits of the pass", "idle")


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


def report(shape: Model, device: torch.device, given: argparse.Namespace) -> None:
    """Print the table of one model in one dtype."""
    for dtype in given.dtypes or [shape.dtype]:
        try:
            model = shape.build(device, dtype)
        except torch.OutOfMemoryError:
            print(f"\n{shape.title}, {_named(dtype)}: the weights do not fit")
            continue
        _table(shape, model, given)
        del model
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _table(shape: Model, model: LlamaForCausalLM, given: argparse.Namespace) -> None:
    head = HEAD + CALLS * given.calls + bergson_columns.HEAD * given.bergson
    print(f"\n{shape.title}, {_named(model.dtype)}: milliseconds of a batch\n")
    print(line(head) + line(["---"] * len(head)), end="", flush=True)
    for tokens in given.tokens:
        for case in [*(Case(tokens, n) for n in SAMPLES), Case(tokens, SAMPLES[-1], unequal=True)]:
            found = fitting_cells(model, case, given)
            print(line([str(case), *(found or ["does not fit"])]), end="", flush=True)
            if found is None:
                break  # nor do more samples
    if given.bergson:
        print(f"\n{bergson_columns.NOTE}", flush=True)
    if given.plain:
        seconds = plain_seconds(model)
        print(f"\nSVDs of every gradient of one sample, extrapolated: {seconds:.1f} s", flush=True)


def fitting_cells(
    model: LlamaForCausalLM, case: Case, given: argparse.Namespace
) -> list[str] | None:
    """`cells`, or None where the batch does not fit."""
    try:
        return cells(model, case, given.rounds, given.calls, given.bergson)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return None


def line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |\n"


def _named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table of each model; return the exit status."""
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=__doc__)
    add, sizes = parser.add_argument, [name for name in MODELS if name != "tiny"]
    add("--models", type=listed(list(MODELS)), default=sizes, metavar="NAME,…",
        help=f"of {', '.join(MODELS)} (default: all but tiny)")  # fmt: skip
    add("--dtypes", type=dtypes, metavar="NAME,…",
        help=f"of {', '.join(DTYPES)} (default: the model's own)")  # fmt: skip
    add("--tokens", type=lengths, default=[100, 500, 1000], metavar="N,…", help="of a sample")
    add("--rounds", type=int, default=7, help="timed, after a warm-up (default: 7)")
    add("--calls", action="store_true", help="count launches, waits and idle time; takes longer")
    add("--plain", action="store_true", help="also SVDs of one layer's weight.grad")
    add("--bergson", action="store_true",
        help="also bergson's collector with svdvals in its hook; takes its package")  # fmt: skip
    given = parser.parse_args(argv)
    if given.rounds < 1:
        parser.error("--rounds must be at least 1")
    if given.bergson and (missing := bergson_columns.why_not()):
        parser.error(f"--bergson: {missing}")
    device = resolve_device("auto")
    if device.type == "cpu" and given.models != ["tiny"]:
        parser.error("torch sees no CUDA device here; --models tiny runs on the CPU")
    for label, value in environment().items():
        print(f"- {label}: {value}")
    for name in given.models:
        report(MODELS[name], device, given)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
