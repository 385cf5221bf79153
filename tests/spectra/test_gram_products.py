"""AAᵀ by a kernel of our own, run on the CPU by Triton's interpreter."""

from __future__ import annotations

import logging
import os
import re
from importlib.util import find_spec

import pytest
import torch

from gradsweep.engine.spectra.backends import gram_products

CPU = torch.device("cpu")


def noise(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


interpreted = pytest.mark.skipif(
    find_spec("triton") is None or os.environ.get("TRITON_INTERPRET") != "1",
    reason="needs Triton, and no GPU, where the kernel is tried before a pass",
)


@interpreted
@pytest.mark.parametrize("shape", [(2, 1, 1), (3, 2, 70, 40), (1, 130, 17), (2, 64, 16)])
def test_the_kernel_gives_both_triangles_of_the_product(shape: tuple[int, ...]) -> None:
    values = noise(*shape)
    found, known = gram_products.by_kernel(values), values @ values.mT
    assert (found - known).abs().max() <= 1e-14 * known.abs().max()
    assert torch.equal(found, found.mT)


@interpreted
@pytest.mark.parametrize("dims", [(0, 2, 1), (1, 0, 2), (2, 1, 0)])
def test_the_kernel_takes_values_however_they_lie(dims: tuple[int, int, int]) -> None:
    values = noise(3, 4, 5).permute(dims)
    found, known = gram_products.by_kernel(values), values @ values.mT
    assert (found - known).abs().max() <= 1e-14 * known.abs().max()


@pytest.mark.parametrize(
    ("kernel", "told"),
    [
        (lambda values: values @ values.mT * 1.001, "it is wrong on cpu"),
        (lambda values: values @ values.mT * torch.nan, "it is wrong on cpu"),
        (lambda values: values.no_such, "which fails: .*no_such"),
    ],
    ids=["wrong", "NaN", "failing"],
)
def test_a_kernel_that_is_wrong_or_fails_is_left_out_and_that_is_said(
    kernel: gram_products.Way,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(gram_products, "TRIAL", (2, 9, 5))
    monkeypatch.setattr(gram_products, "by_kernel", kernel)
    with caplog.at_level(logging.WARNING, "gradsweep"):
        assert gram_products.tried(CPU) is gram_products.by_library
    (record,) = caplog.records
    assert re.search(told, record.getMessage())


def test_the_faster_way_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gram_products, "TRIAL", (2, 9, 5))
    monkeypatch.setattr(gram_products, "by_kernel", lambda values: values @ values.mT)
    monkeypatch.setattr(
        gram_products, "_seconds", lambda way, trial: float(way is gram_products.by_library)
    )
    assert gram_products.tried(CPU) is gram_products.by_kernel
