"""Per-sample response losses of a frozen causal LM, with logits only where they are needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from gradsweep.engine.batch import Batch
from gradsweep.models.quantization import no_inference_packing

MIN_HEAD_ROWS = 8
"""Fewest rows that go through the head. Below 4, CPU BLAS sums the head's backward over the
vocabulary term by term in float32: σ₁ was then off by 2e-4, against 4e-6 with 8 rows.
Repeated rows cost nothing and get no gradient."""


class ResponseHead:
    """Lets the output embedding see only response positions; `install_response_head` makes it."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    def losses(
        self, model: nn.Module, batch: Batch
    ) -> tuple[Float[Tensor, " batch"], Int[Tensor, " batch"]]:
        """Mean cross-entropy over each sample's response tokens, and how many there are.

        loss_i = −1/T_i · Σ_t log p(token_t | tokens before t) over response tokens t
        (paper section 3), in nats and float32. Sum over i and call `backward` to get
        every sample's own gradient factors.
        """
        rows, columns = batch.response_mask.nonzero(as_tuple=True)
        repeats = max(0, MIN_HEAD_ROWS - len(rows))
        self._of_thread.positions = tuple(
            torch.cat([index, index[:1].expand(repeats)]) for index in (rows, columns - 1)
        )
        try:
            logits = model(input_ids=batch.input_ids, use_cache=False, **_masks(batch)).logits
        finally:
            del self._of_thread.positions
        # Where the layers are spread over devices, the logits may be on another than the batch.
        targets = batch.input_ids[rows, columns].to(logits.device)
        token_losses = F.cross_entropy(logits[0, : len(rows)].float(), targets, reduction="none")
        counts = batch.response_mask.sum(dim=1).to(logits.device)
        sums = token_losses.new_zeros(len(counts))
        return sums.index_add(0, rows.to(logits.device), token_losses) / counts, counts

    def select(self, module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """Forward pre-hook of the head: the hidden states at those positions, as one row.

        Before the head rather than by slicing logits, so that the (N, vocabulary) block is
        all that is ever made and whatever follows the head (softcap, scale) still runs.
        """
        positions = getattr(self._of_thread, "positions", None)
        if positions is None:
            return None
        hidden = args[0]
        return (hidden[tuple(index.to(hidden.device) for index in positions)][None],)


@contextmanager
def install_response_head(model: nn.Module) -> Iterator[ResponseHead]:
    """Inside the block, `ResponseHead.losses` may be called by several threads at a time."""
    head = ResponseHead()
    embedding: nn.Module = model.get_output_embeddings()  # type: ignore[operator]
    handle = embedding.register_forward_pre_hook(head.select)
    try:
        yield head
    finally:
        handle.remove()


def _masks(batch: Batch) -> dict[str, Tensor]:
    """Padding on the right needs no mask under causal attention; on the left it does."""
    if bool(batch.attention_mask[:, 0].all()):
        return {}
    positions = (batch.attention_mask.long().cumsum(dim=1) - 1).clamp(min=0)
    return {"attention_mask": batch.attention_mask.long(), "position_ids": positions}


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Eval mode and no trainable parameter inside the block; restored afterwards.

    Frozen weights are what makes a factor pass cheap: autograd then never forms a
    weight gradient.

    Raises:
        ModelError: 4-bit weights that were repacked for inference (`no_inference_packing`).
    """
    training = {module for module in model.modules() if module.training}
    trainable = [p for p in model.parameters() if p.requires_grad]
    model.eval()
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        with no_inference_packing(model), torch.enable_grad():
            yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        for module in training:
            module.training = True


@contextmanager
def trainable(weights: Sequence[nn.Parameter]) -> Iterator[None]:
    """These weights, of a model that is frozen, get a gradient inside the block."""
    for weight in weights:
        weight.requires_grad_(True)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(False).grad = None
