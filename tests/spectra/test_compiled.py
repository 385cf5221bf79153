"""Kernels of our own compile for the GPUs that users have, where there is no GPU, too."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from gradsweep.engine.spectra.backends import two_stage

MOST_SHARED = {80: 163, 89: 99, 90: 227}
"""KiB that a block may have, by compute capability: A100, L40S, H100."""


@pytest.mark.long
@pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="Triton brings ptxas for x86-64")
def test_kernels_in_triton_compile_and_their_blocks_fit(tmp_path: Path) -> None:
    here = Path(__file__).parents[1]
    environment = {name: v for name, v in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": f"{here.parent}:{here}"}
    run = subprocess.run(
        [sys.executable, "-W", "error:TRITON_DEFAULT", "-m", "helpers.compiled_kernels",
         *map(str, MOST_SHARED)],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    lines = [line.split() for line in run.stdout.splitlines()]
    kernels = {"mirror", "reduce_panel", "update_rest", "bisect", "gram"}
    assert {(name, int(card)) for name, card, _ in lines} == {
        (name, card) for name in kernels for card in MOST_SHARED
    }
    for name, card, shared in lines:
        assert int(shared) <= 1024 * MOST_SHARED[int(card)], (name, card)


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("nvcc"), reason="needs nvcc")
@pytest.mark.parametrize("card", MOST_SHARED)
def test_the_chase_compiles(card: int, tmp_path: Path) -> None:
    source = Path(two_stage.__file__).with_name("chase.cu")
    built = tmp_path / "chase.cubin"
    subprocess.run(
        ["nvcc", f"-arch=sm_{card}", f"-DWIDTH={two_stage.WIDTH}", "-cubin", "-o", built, source],
        check=True,
    )
    assert built.stat().st_size > 0
    assert 1024 * MOST_SHARED[card] >= (two_stage.MOST_WARPS * 2 * two_stage.WIDTH) * 8
