"""What a model reads where one output column of a module is disturbed: what columns do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from gradsweep.models.projections import ProjectionSite, find_projections

Model = torch.nn.Module
LENGTH, PLACE = 6, 2
"""Tokens of the probe, and the position at which a column is disturbed."""


def in_double(model: Model) -> Model:
    """The model in float64, for which transformers' fast products of experts are not made."""
    model.set_experts_implementation("eager")  # type: ignore[operator]
    return model.double()


@contextmanager
def disturbed(module: Model, size: float, place: int = PLACE) -> Iterator[None]:
    """In sample b of the batch, output column b of `module` is off by `size` at one position."""

    def add(module: Model, args: object, output: torch.Tensor) -> torch.Tensor:
        noise = torch.zeros(output.shape[-1], LENGTH, output.shape[-1], dtype=output.dtype)
        noise[:, place] = size * torch.eye(output.shape[-1])
        return output + noise.view_as(output)

    handle = module.register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()


class _Read(Exception):
    """The sink has its input: nothing behind it matters."""


def input_of(sink: Model, model: Model, width: int) -> torch.Tensor:
    """What `sink` reads, (width, LENGTH, features), for `width` copies of the probe."""

    def stop(module: Model, args: tuple[torch.Tensor]) -> None:
        raise _Read(args[0])

    handle = sink.register_forward_pre_hook(stop)
    with torch.no_grad(), pytest.raises(_Read) as read:
        model(input_ids=torch.arange(3, 3 + LENGTH).expand(width, -1), use_cache=False)
    handle.remove()
    return read.value.args[0].reshape(width, LENGTH, -1)


def effects(model: Model, source: Model, sink: Model) -> tuple[torch.Tensor, torch.Tensor]:
    """By column of `source`: change of `sink`'s input, and how far from linear it is (float64)."""
    width = source.out_features if hasattr(source, "out_features") else source.nf
    plain = input_of(sink, model, width)
    with disturbed(source, 1.0):
        once = input_of(sink, model, width) - plain
    with disturbed(source, 2.0):
        twice = input_of(sink, model, width) - plain
    return once, (twice - 2 * once).abs().amax(dim=(1, 2))


def first_layer(model: Model, names: str) -> tuple[list[ProjectionSite], Model]:
    """Sites of all but the last of `names` in the first layer that has it, and its module."""
    *sources, sink = names.split()
    sites = find_projections(model, [*sources, sink])
    first = next(site for site in sites if sink in site.columns)
    of_layer = [site for site in sites if site.layer == first.layer and site is not first]
    return of_layer, first.module
