"""Batches: which samples run together, and their padded tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from gradsweep.records import EncodedSample


@dataclass(frozen=True)
class Batch:
    """Padded token ids with their masks, all of shape (batch, length)."""

    input_ids: Int[Tensor, "batch length"]
    attention_mask: Bool[Tensor, "batch length"]
    """True at real tokens, which form one run per sample; padding may be on either side."""
    response_mask: Bool[Tensor, "batch length"]
    """True at the tokens that carry loss: response tokens with a real token before them."""

    @property
    def token_spans(self) -> list[tuple[int, int]]:
        """(first, past the last) real token of each sample."""
        starts = self.attention_mask.int().argmax(dim=1)
        return [
            (int(start), int(start + n))
            for start, n in zip(starts, self.attention_mask.sum(dim=1), strict=True)
        ]


def make_batch(input_ids: Tensor, response_mask: Tensor, attention_mask: Tensor | None) -> Batch:
    """Check user tensors and drop from the mask what has no prediction.

    Raises:
        ValueError: shapes differ, the mask has holes, or a sample has no response token.
    """
    attention = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    if not input_ids.shape == response_mask.shape == attention.shape or input_ids.dim() != 2:
        raise ValueError(
            "input_ids, response_mask and attention_mask must be (batch, length) alike; got "
            f"{tuple(input_ids.shape)}, {tuple(response_mask.shape)}, {tuple(attention.shape)}"
        )
    attention, response = attention.bool(), response_mask.bool() & attention.bool()
    edges = (attention[:, 1:] != attention[:, :-1]).sum(dim=1) + attention[:, 0] + attention[:, -1]
    if not bool((attention.any(dim=1) & (edges <= 2)).all()):
        raise ValueError("attention_mask must be one run of real tokens per sample")
    response = response & _has_real_token_before(attention)
    empty = (~response.any(dim=1)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(
            f"samples {empty} of the batch have no response token that is predicted from another"
        )
    return Batch(input_ids, attention, response)


def _has_real_token_before(attention: Tensor) -> Tensor:
    before = torch.zeros_like(attention)
    before[:, 1:] = attention[:, :-1]
    return before


def collate(samples: Sequence[EncodedSample], device: torch.device | str) -> Batch:
    """Pad on the right: causal attention then never looks at padding, so no mask is needed."""
    length = max(len(sample.input_ids) for sample in samples)
    ids = torch.zeros(len(samples), length, dtype=torch.long)
    attention = torch.zeros(len(samples), length, dtype=torch.bool)
    response = torch.zeros(len(samples), length, dtype=torch.bool)
    for i, sample in enumerate(samples):
        n = len(sample.input_ids)
        ids[i, :n] = torch.tensor(sample.input_ids)
        attention[i, :n] = True
        response[i, sample.response_start : n] = True
    return make_batch(ids.to(device), response.to(device), attention.to(device))


def token_batches(
    samples: Sequence[EncodedSample], batch_tokens: int
) -> Iterator[list[EncodedSample]]:
    """Consecutive samples whose padded size stays within `batch_tokens`; one sample at least."""
    batch: list[EncodedSample] = []
    longest = 0
    for sample in samples:
        longest = max(longest, len(sample.input_ids))
        if batch and longest * (len(batch) + 1) > batch_tokens:
            yield batch
            batch, longest = [], len(sample.input_ids)
        batch.append(sample)
    if batch:
        yield batch
