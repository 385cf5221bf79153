"""What each attention head looks at while the model reads a response.

Of the attention of a response's tokens, by head and in the mean over these tokens: the share that
falls on the very first token (where many heads put what they have no use for), on the rest of the
prompt, and on earlier steps of the response. What is left falls on the token's own step.

Fast kernels never write attention out. So this takes a forward pass of its own, in which the
family's plain attention (`eager`) runs, without a graph and without the output head.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gradsweep.errors import ModelError
from gradsweep.models.projections import ProjectionSite, parents_of
from gradsweep.models.unwrapped import unwrapped
from gradsweep.records import EncodedSample, SpectrumRow

EAGER = "eager"
OF = "q"
"""The projection whose rows of single heads have the shares: it has one head for each attention."""


class Shares(NamedTuple):
    """Shares of one head's attention; they sum to at most 1."""

    first: float
    """Of the first token of the text."""
    prompt: float
    """Of the other tokens before the response."""
    earlier: float
    """Of the response's steps before the token's own; NaN where the steps are not known."""


class AttentionReader:
    """Reads the shares of one encoded sample after the other; a context manager."""

    def __init__(self, model: nn.Module, sites: Sequence[ProjectionSite]) -> None:
        """Find the attention modules; nothing is installed yet.

        Args:
            model: a causal LM, frozen.
            sites: those of q tell where the attention of a layer is.

        Raises:
            ModelError: the family has no plain attention to switch to.
        """
        self._model: Any = unwrapped(model)
        inside = parents_of(model)
        self._attentions = {
            site.layer: inside[id(site.module)] for site in sites if OF in site.columns
        }
        self._read: dict[int, Float[Tensor, "heads parts"]] = {}
        self._parts: Float[Tensor, "parts queries keys"] | None = None

    @contextmanager
    def installed(self) -> Iterator[AttentionReader]:
        """Inside the block `shares` may be called, by one thread at a time."""
        handles = [
            attention.register_forward_hook(self._hook(layer))
            for layer, attention in self._attentions.items()
        ]
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def shares(self, sample: EncodedSample) -> Mapping[tuple[int, int], Shares]:
        """Run a forward pass and return the shares of each (layer, head).

        Raises:
            ModelError: an attention module that does not give its attention, in plain attention
                either.
        """
        ids = torch.tensor([sample.input_ids], device=self._model.device)
        self._parts = _parts(sample).to(ids.device)
        try:
            with torch.no_grad(), _eager(self._model):
                self._model.base_model(input_ids=ids, use_cache=False)
        finally:
            self._parts = None
        read, self._read = self._read, {}
        knows_steps = bool(sample.step_of_token)
        return {
            (layer, head): Shares(first, prompt, earlier if knows_steps else float("nan"))
            for layer, of_layer in read.items()
            for head, (first, prompt, earlier) in enumerate(of_layer.tolist())
        }

    def _hook(self, layer: int) -> Any:
        def read(module: nn.Module, args: Any, output: Any) -> None:
            if self._parts is None:
                return  # a pass of somebody else's
            weights = _attention_in(output)
            if weights is None:
                raise ModelError(
                    f"gradients.attention_shares=true: {type(module).__name__} of layer {layer} "
                    "does not give its attention; leave the option out"
                )
            n_queries = self._parts.shape[1]
            of_response = weights[0, :, -n_queries:].double()
            parts = self._parts.to(of_response.device)
            sums = torch.einsum("hqk,pqk->hp", of_response, parts.double())
            self._read[layer] = sums / n_queries

        return read


def _parts(sample: EncodedSample) -> Float[Tensor, "parts queries keys"]:
    """Which keys count for which part of each response token's attention, in `Shares`' order."""
    length, start = len(sample.input_ids), sample.response_start
    keys = torch.arange(length)
    n_queries = length - start
    first = (keys == 0).expand(n_queries, length)
    prompt = ((keys > 0) & (keys < start)).expand(n_queries, length)
    steps: Int[Tensor, " keys"] = torch.full((length,), -1)
    if sample.step_of_token:
        steps[start:] = torch.tensor(sample.step_of_token)
    earlier = (steps[None] >= 0) & (steps[None] < steps[start:, None])
    return torch.stack([first, prompt, earlier]).float()


def _attention_in(output: Any) -> Float[Tensor, "batch heads queries keys"] | None:
    parts = output if isinstance(output, tuple) else ()
    return next((p for p in parts[1:] if isinstance(p, Tensor) and p.dim() == 4), None)


@contextmanager
def _eager(model: Any) -> Iterator[None]:
    """Inside the block the model's attention is written out."""
    before = model.config._attn_implementation
    try:
        model.set_attn_implementation(EAGER)
    except (ValueError, AttributeError) as error:
        raise ModelError(
            f"gradients.attention_shares=true: {type(model).__name__} has no plain attention "
            f"({' '.join(str(error).split())[:120]}); leave the option out"
        ) from error
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def with_shares(
    rows: Sequence[SpectrumRow], shares: Mapping[tuple[int, int], Shares]
) -> tuple[SpectrumRow, ...]:
    """Give the shares to the rows of q's single heads; other rows stay as they are."""
    return tuple(
        replace(
            row,
            attention_to_first=found.first,
            attention_to_prompt=found.prompt,
            attention_to_earlier_steps=found.earlier,
        )
        if row.projection == OF
        and row.head is not None
        and (found := shares.get((row.layer, row.head)))
        else row
        for row in rows
    )
