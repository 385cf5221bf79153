"""What a causal LM says of a batch's response tokens, with logits only where they are needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor, nn
from torch.nn import functional as F

from gradsweep.engine.batch import Batch, has_real_token_before

MIN_HEAD_ROWS = 8
"""Fewest rows that go through the head. Below 4, CPU BLAS sums the head's backward over the
vocabulary term by term in float32: σ₁ was then off by 2e-4, against 4e-6 with 8 rows.
Repeated rows cost nothing and get no gradient."""


@dataclass(frozen=True)
class ResponseTokens:
    """The response tokens of a batch, row after row, and what the model says of them.

    What an objective makes its losses from. Everything is on the device of the logits.
    """

    batch: Batch
    logits: Float[Tensor, "tokens vocabulary"]
    """In the model's dtype; differentiable."""
    targets: Int[Tensor, " tokens"]
    """The tokens themselves."""
    rows: Int[Tensor, " tokens"]
    """The batch row that each token belongs to."""
    of_response: Bool[Tensor, " tokens"] | None = None
    """False at the tokens of prompts, which an objective that reads prompts sees, too; None where
    all are of responses."""
    teacher_logits: Float[Tensor, "tokens vocabulary"] | None = None
    """The teacher's at the same places, without a graph; None for objectives without a teacher."""

    @cached_property
    def log_probs(self) -> Float[Tensor, " tokens"]:
        """log p(token | tokens before it), in nats and float32."""
        return -F.cross_entropy(self.logits.float(), self.targets, reduction="none")

    @cached_property
    def counts(self) -> Int[Tensor, " rows"]:
        """Response tokens of each row, at least 1."""
        return self.batch.response_mask.sum(dim=1).to(self.logits.device)

    @cached_property
    def rewards(self) -> Float[Tensor, " rows"]:
        """What each row's response is worth: 1 where the batch does not say."""
        given = self.batch.rewards or (1.0,) * len(self.batch.input_ids)
        return torch.tensor(given, device=self.logits.device)

    @cached_property
    def reference_log_probs(self) -> Float[Tensor, " tokens"]:
        """log p of each token under the reference, in nats: the model's own where none is given.

        Raises:
            ValueError: of a row only the sum over its response is known.
        """
        own = self.log_probs.detach()
        parts = []
        for row, reference in enumerate(self.batch.references):
            of_row = own[self.rows == row]
            if isinstance(reference, float):
                raise ValueError(
                    "the objective needs the reference's log-probability of every token, and the "
                    "data record the sum over a response: give objective.reference=<model option>"
                )
            parts.append(of_row if reference is None else _like(reference, of_row))
        return torch.cat(parts) if parts else own

    @cached_property
    def reference_sums(self) -> Float[Tensor, " rows"]:
        """Σ_t log p of each row's response under the reference, in nats."""
        own = self.row_sums(self.log_probs.detach())
        given = self.batch.references
        sums = [
            value if reference is None else _like(reference, value[None]).sum()
            for value, reference in zip(own, given, strict=True)
        ] if given else []  # fmt: skip
        return torch.stack(sums) if sums else own

    def row_sums(self, values: Float[Tensor, " tokens"]) -> Float[Tensor, " rows"]:
        """Sums of a value per token over each row."""
        sums = values.new_zeros(len(self.counts))
        return sums.index_add(0, self.rows, values)

    def unit_sums(self, values: Num[Tensor, " rows"]) -> Num[Tensor, " units"]:
        """Sums of a value per row over each unit."""
        sums = values.new_zeros(self.batch.n_units)
        return sums.index_add(0, self.batch.unit_of_row.to(values.device), values)


def _like(reference: float | tuple[float, ...], values: Tensor) -> Tensor:
    given = (reference,) if isinstance(reference, float) else reference
    return torch.tensor(given, dtype=values.dtype, device=values.device)


class ResponseHead:
    """Lets the output embedding see only response positions; `install_response_head` makes it."""

    def __init__(self, reads_prompts: bool = False) -> None:
        """`reads_prompts`: prompt positions, too, for an objective whose loss has them."""
        self._of_thread = threading.local()
        self._reads_prompts = reads_prompts

    def tokens(
        self, model: nn.Module, batch: Batch, teacher_logits: Tensor | None = None
    ) -> ResponseTokens:
        """One forward pass; the (N, vocabulary) block of logits is all that is ever made."""
        mask = predicted(batch) if self._reads_prompts else batch.response_mask
        rows, columns = mask.nonzero(as_tuple=True)
        repeats = max(0, MIN_HEAD_ROWS - len(rows))
        self._of_thread.positions = tuple(
            torch.cat([index, index[:1].expand(repeats)]) for index in (rows, columns - 1)
        )
        try:
            logits = model(input_ids=batch.input_ids, use_cache=False, **_masks(batch)).logits
        finally:
            del self._of_thread.positions
        # Where the layers are spread over devices, the logits may be on another than the batch.
        device = logits.device
        targets = batch.input_ids[rows, columns].to(device)
        of_response = batch.response_mask[mask].to(device) if self._reads_prompts else None
        return ResponseTokens(
            batch, logits[0, : len(rows)], targets, rows.to(device), of_response, teacher_logits
        )

    def select(self, module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """Forward pre-hook of the head: the hidden states at those positions, as one row.

        Before the head rather than by slicing logits, so that whatever follows the head
        (softcap, scale) still runs.
        """
        positions = getattr(self._of_thread, "positions", None)
        if positions is None:
            return None
        hidden = args[0]
        return (hidden[tuple(index.to(hidden.device) for index in positions)][None],)


@contextmanager
def install_response_head(model: nn.Module, reads_prompts: bool = False) -> Iterator[ResponseHead]:
    """Inside the block, `ResponseHead.tokens` may be called by several threads at a time."""
    head = ResponseHead(reads_prompts)
    embedding: nn.Module = model.get_output_embeddings()  # type: ignore[operator]
    handle = embedding.register_forward_pre_hook(head.select)
    try:
        yield head
    finally:
        handle.remove()


def predicted(batch: Batch) -> Bool[Tensor, "rows length"]:
    """True at every real token that another one precedes: all that a causal LM predicts."""
    return batch.attention_mask & has_real_token_before(batch.attention_mask)


def _masks(batch: Batch) -> dict[str, Tensor]:
    """Padding on the right needs no mask under causal attention; on the left it does."""
    if bool(batch.attention_mask[:, 0].all()):
        return {}
    positions = (batch.attention_mask.long().cumsum(dim=1) - 1).clamp(min=0)
    return {"attention_mask": batch.attention_mask.long(), "position_ids": positions}
