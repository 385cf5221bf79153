"""The plain definition of what the engine measures: autograd's weight gradients and their SVD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.nn import functional as F

from gradsweep.models.projections import find_projections
from gradsweep.models.unwrapped import unwrapped
from gradsweep.records import SampleResult
from helpers.agreement import NORMS, TOLERANCE, largest_norms, near
from helpers.tiny_models import VOCABULARY

Model = torch.nn.Module
Gradients = Mapping[tuple[int, str], torch.Tensor]


def tokens(length: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, VOCABULARY, (length,), generator=generator)


def mask(length: int, response_start: int) -> torch.Tensor:
    return torch.arange(length) >= response_start


def weight_gradients(model: Model, projections: Sequence[str] = "qkvo") -> Gradients:
    """`.grad` of the weights, output features first, cut into projections; copies."""
    found = {}
    for site in find_projections(unwrapped(model), projections):
        gradient = site.module.weight.grad.clone()
        gradient = gradient.T if type(site.module).__name__ == "Conv1D" else gradient
        for name, columns in site.columns.items():
            found[site.layer, name] = gradient if columns is None else gradient[columns]
    return found


def plain_gradients(
    model: Model, ids: torch.Tensor, start: int, projections: Sequence[str] = "qkvo"
) -> Gradients:
    """Weight gradients of a response's mean loss by autograd."""
    for site in find_projections(model, projections):
        site.module.weight.requires_grad_(True)
    logits = model(input_ids=ids[None]).logits[0]
    F.cross_entropy(logits[start - 1 : -1], ids[start:]).backward()
    gradients = weight_gradients(model, projections)
    model.zero_grad()
    return gradients


def assert_close(ours: SampleResult, reference: Gradients, rel: float = TOLERANCE) -> None:
    """Norms of every row are those of the plain gradient, by a float64 SVD."""
    assert {(row.layer, row.projection) for row in ours.rows} == set(reference)
    largest = largest_norms(ours.rows)
    for row in ours.rows:
        sigma = torch.linalg.svdvals(reference[row.layer, row.projection].double())
        expected = (sigma.sum(), sigma[0], sigma.norm())
        for name, value in zip(NORMS, expected, strict=True):
            assert getattr(row, name) == near(float(value), row, largest, rel), (name, row)
        assert row.finite
