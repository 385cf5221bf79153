"""The plain definition of what the engine measures: autograd's weight gradients and their SVD."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch.nn import functional as F

from gradsweep.engine.passes import Measurement
from gradsweep.models.projections import find_projections
from helpers.tiny_models import VOCABULARY

Model = torch.nn.Module
TOLERANCE = 1e-5
NORMS = ("nuclear_norm", "sigma_max", "frobenius_norm")


def tokens(length: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, VOCABULARY, (length,), generator=generator)


def mask(length: int, response_start: int) -> torch.Tensor:
    return torch.arange(length) >= response_start


def plain_gradients(
    model: Model, ids: torch.Tensor, start: int, projections: Sequence[str] = "qkvo"
) -> dict[tuple[int, str], torch.Tensor]:
    """Weight gradients by autograd, output features first, cut into projections."""
    sites = find_projections(model, projections)
    for site in sites:
        site.module.weight.requires_grad_(True)
    logits = model(input_ids=ids[None]).logits[0]
    F.cross_entropy(logits[start - 1 : -1], ids[start:]).backward()
    gradients = {}
    for site in sites:
        grad = site.module.weight.grad
        grad = grad.T if type(site.module).__name__ == "Conv1D" else grad
        for name, columns in site.columns.items():
            gradients[site.layer, name] = grad if columns is None else grad[columns]
    model.zero_grad()
    return gradients


def assert_close(ours: Measurement, reference: dict[tuple[int, str], torch.Tensor]) -> None:
    assert {(row.layer, row.projection) for row in ours.rows} == set(reference)
    for row in ours.rows:
        sigma = torch.linalg.svdvals(reference[row.layer, row.projection].double())
        expected = (sigma.sum(), sigma[0], sigma.norm())
        for name, value in zip(NORMS, expected, strict=True):
            assert getattr(row, name) == pytest.approx(float(value), rel=TOLERANCE), (name, row)
        assert row.finite


def assert_same(a: Measurement, b: Measurement, rel: float = TOLERANCE) -> None:
    assert a.loss == pytest.approx(b.loss, rel=rel)
    assert len(a.rows) == len(b.rows) > 0
    for x, y in zip(a.rows, b.rows, strict=True):
        assert (x.layer, x.projection) == (y.layer, y.projection)
        for name in NORMS:
            assert getattr(x, name) == pytest.approx(getattr(y, name), rel=rel), (name, x)
