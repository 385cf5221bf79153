"""`chase.cu` compiled for the CPU, where there is a compiler of C++."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from gradsweep.engine.spectra.backends import two_stage

COMPILER = shutil.which("g++") or shutil.which("clang++")
SHARED_ELEMENTS = 2**15
_LAUNCH = """
double shared[%d];
extern "C" void launch(
    int blocks, int threads, double* bands, double* diagonals, double* besides, int n, int row,
    int slots, int is_shared
) {
    run_blocks(blocks, threads, [=] {
        chase(bands, diagonals, besides, n, row, slots, is_shared);
    });
}
"""


class ChaseOnCpu:
    """Is called as torch calls the kernel."""

    def __init__(self, folder: Path, width: int) -> None:
        """Compile it in `folder`."""
        assert COMPILER
        source, library = folder / "chase.cpp", folder / f"chase{width}.so"
        header = Path(__file__).with_suffix(".h")
        kernel = Path(two_stage.__file__).with_name("chase.cu")
        lines = [f"#define WIDTH {width}", f'#include "{header}"', f'#include "{kernel}"']
        source.write_text("\n".join([*lines, _LAUNCH % SHARED_ELEMENTS]), encoding="utf-8")
        flags = ["-std=c++17", "-O1", "-shared", "-fPIC", "-pthread"]
        subprocess.run([COMPILER, *flags, str(source), "-o", str(library)], check=True)
        self._launch = ctypes.CDLL(str(library)).launch

    def __call__(
        self,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        shared_mem: int,
        args: Sequence[Tensor | int],
    ) -> None:
        assert shared_mem <= 8 * SHARED_ELEMENTS
        given = [arg if isinstance(arg, int) else ctypes.c_void_p(arg.data_ptr()) for arg in args]
        self._launch(grid[0], block[0], *given)
