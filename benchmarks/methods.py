"""The methods that are timed: each takes a model and batches, and leaves no gradient behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from gradsweep.engine import Batch, make_batch, trainable
from gradsweep.engine.passes import Engine
from gradsweep.models.projections import find_projections
from gradsweep.records import PROJECTIONS, SampleResult

IGNORED = -100
"""Label of a token without loss, in transformers' convention."""

Method = Callable[[nn.Module, Sequence[Batch]], object]


def ours(
    model: nn.Module, batches: Sequence[Batch], checkpointing: bool = False
) -> list[SampleResult]:
    """(a) gradsweep: every metric row of every sample."""
    sites = find_projections(model, PROJECTIONS)
    with Engine(model, sites, checkpointing=checkpointing) as engine:
        return [found for _, batch in engine.measure_all(batches) for found in batch]


def plain(model: nn.Module, batches: Sequence[Batch]) -> list[dict[str, float]]:
    """(b) The paper's definition, sample by sample: backward to the attention weights, then
    `torch.linalg.svd` of each `param.grad` as its script calls it (all singular vectors are
    formed), in the model's precision; two scalars are kept."""
    weights = [site.module.get_parameter("weight") for site in find_projections(model, PROJECTIONS)]
    rows = []
    for sample in (single for batch in batches for single in _one_by_one(batch)):
        with trainable(weights):
            _loss(model, sample).backward()
            for weight in weights:
                assert weight.grad is not None
                _, sigma, _ = torch.linalg.svd(weight.grad)
                nuclear = sigma.sum()
                rows.append({"nuclear": nuclear.item(), "ratio": (sigma[0] / nuclear).item()})
    return rows


def _one_by_one(batch: Batch) -> Iterator[Batch]:
    for i, (start, stop) in enumerate(batch.layout.spans):
        yield make_batch(
            batch.input_ids[i : i + 1, start:stop], batch.response_mask[i : i + 1, start:stop], None
        )


def frozen_pass(model: nn.Module, batches: Sequence[Batch]) -> None:
    """(c) Forward and backward down to the embedding's output; no weight gradient at all."""
    with _embedding_output_requires_grad(model):
        for batch in batches:
            _loss(model, batch).backward()


def training_pass(model: nn.Module, batches: Sequence[Batch]) -> None:
    """(d) An ordinary forward and backward with the gradients of all weights, as in training."""
    for batch in batches:
        with trainable(list(model.parameters())):
            _loss(model, batch).backward()


def ours_checkpointed(model: nn.Module, batches: Sequence[Batch]) -> list[SampleResult]:
    """(a) with gradient checkpointing: every layer runs its forward again in the backward."""
    return ours(model, batches, checkpointing=True)


METHODS: dict[str, Method] = {
    "gradsweep": ours,
    "plain": plain,
    "frozen": frozen_pass,
    "training": training_pass,
    "gradsweep_checkpointed": ours_checkpointed,
}


def _loss(model: nn.Module, batch: Batch) -> Tensor:
    mask = None if bool(batch.attention_mask.all()) else batch.attention_mask.long()
    loss = model(input_ids=batch.input_ids, attention_mask=mask, labels=_labels(batch)).loss
    assert isinstance(loss, Tensor)
    return loss


def _labels(batch: Batch) -> Tensor:
    return batch.input_ids.masked_fill(~batch.response_mask, IGNORED)


@contextmanager
def _embedding_output_requires_grad(model: Any) -> Iterator[None]:
    embedding: nn.Module = model.get_input_embeddings()
    handle = embedding.register_forward_hook(lambda module, args, out: out.requires_grad_(True))
    try:
        yield
    finally:
        handle.remove()
