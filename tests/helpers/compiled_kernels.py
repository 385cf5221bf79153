"""python -m helpers.compiled_kernels 80 90: kernels of our own, as launched, compiled for cards.

Prints a line for each: kernel, compute capability, bytes of shared memory. It needs Triton, which
must not interpret, and no GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from gradsweep.engine.spectra.backends import gram_products, two_stage
from gradsweep.engine.spectra.backends.transfers import FUSED

LANES = 32
SIZES = (64, 500, two_stage.LARGEST)
OPTIONS = ("num_warps", "num_stages", *FUSED)
Launch = tuple[Any, tuple[Any, ...], dict[str, Any]]


class Recorder:
    """Stands for a module of kernels: notes how they are launched, and launches none."""

    def __init__(self, module: Any, launches: list[Launch]) -> None:
        self._module, self._launches = module, launches

    def __getattr__(self, name: str) -> Any:
        return Launcher(getattr(self._module, name), self._launches)


class Launcher:
    """Stands for a kernel."""

    def __init__(self, kernel: Any, launches: list[Launch]) -> None:
        self._kernel, self._launches = kernel, launches

    def __getitem__(self, grid: object) -> Callable[..., None]:
        return lambda *given, **named: self._launches.append((self._kernel, given, named))


def launches() -> Iterator[Launch]:
    """Each kernel as it is launched first for matrices of each size."""
    found: list[Launch] = []
    modules, gram = two_stage._kernels, gram_products._kernel()
    two_stage._kernels = lambda name: Recorder(modules(name), found)  # type: ignore[assignment]
    gram_products._kernel = lambda: Recorder(gram, found)  # type: ignore[assignment]
    for n in SIZES:
        work, _ = two_stage._scaled(torch.zeros(2, n, n, dtype=torch.float64))
        two_stage._banded(work)
        two_stage._bisected(*torch.zeros(2, 2, n, dtype=torch.float64))
        gram_products.by_kernel(torch.zeros(2, n, 64, dtype=torch.float64))
    seen = set()
    for kernel, given, named in found:
        if (key := (kernel.__name__, *sorted(named.items()))) not in seen:
            seen.add(key)
            yield kernel, given, named


def shared_bytes(launch: Launch, capability: int) -> int:
    """Compile a launch down to machine code."""
    kernel, given, named = launch
    names = kernel.arg_names
    kinds = {
        name: "*fp64" if isinstance(value, torch.Tensor) else "i32"
        for name, value in zip(names, given, strict=False)
    }
    fixed = {name: value for name, value in named.items() if name not in OPTIONS}
    source = ASTSource(
        fn=kernel,
        signature={name: kinds.get(name, "constexpr") for name in names},
        constexprs={(names.index(name),): value for name, value in fixed.items()},
    )
    options = {name: named[name] for name in OPTIONS if name in named}
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, LANES), options=options)
    assert compiled.asm["cubin"]
    return int(compiled.metadata.shared)


if __name__ == "__main__":
    for one in launches():
        for card in map(int, sys.argv[1:]):
            print(one[0].__name__, card, shared_bytes(one, card), flush=True)
