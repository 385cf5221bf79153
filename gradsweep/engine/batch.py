"""Batches: which samples run together, and their padded tensors.

Padding costs as much as tokens do, so samples of similar length run together. They are sorted
within a window of some batches, not over the whole point: what is stored at any moment then is a
cross-section of the data, and the rate that a progress bar shows holds for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from gradsweep.records import EncodedSample, Shard

WINDOW_BATCHES = 16
"""Batches' worth of tokens within which samples are sorted by length."""


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

    @property
    def padded_tokens(self) -> int:
        """What a pass over it costs: samples times the longest of them."""
        return self.input_ids.numel()

    def part(self, places: Sequence[int]) -> Batch:
        """The samples at these places, without the columns that only others need."""
        attention = self.attention_mask[list(places)]
        columns = attention.any(dim=0).nonzero().flatten()
        kept = slice(int(columns[0]), int(columns[-1]) + 1)
        return Batch(
            self.input_ids[list(places), kept],
            attention[:, kept],
            self.response_mask[list(places), kept],
        )


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
    """Samples of similar length whose padded size stays within `batch_tokens`; one at least.

    The batches of a window come longest first: what does not fit in memory shows early, and
    short batches even out the workers' ends. The same samples always give the same batches.
    """
    for window in _windows(samples, WINDOW_BATCHES * batch_tokens):
        batch: list[EncodedSample] = []
        for sample in sorted(window, key=lambda s: len(s.input_ids), reverse=True):
            if batch and len(batch[0].input_ids) * (len(batch) + 1) > batch_tokens:
                yield batch
                batch = []
            batch.append(sample)
        yield batch


def dealt(batches: Sequence[list[EncodedSample]], shard: Shard) -> list[list[EncodedSample]]:
    """A shard's batches, in order: every batch is in one shard, and shards have about equal work.

    Whole batches are dealt, largest first to whoever has least, so that each sample is measured
    beside the same others, and gives the same numbers, whatever the number of shards.
    """
    tokens = [len(batch) * max(len(s.input_ids) for s in batch) for batch in batches]
    loads = [0] * shard.count
    mine = []
    for place in sorted(range(len(batches)), key=lambda i: tokens[i], reverse=True):
        least = loads.index(min(loads))
        loads[least] += tokens[place]
        if least == shard.index:
            mine.append(place)
    return [batches[place] for place in sorted(mine)]


def _windows(
    samples: Sequence[EncodedSample], most_tokens: int
) -> Iterator[Sequence[EncodedSample]]:
    """Consecutive runs of samples that hold `most_tokens`, the last one whatever is left."""
    start = n_tokens = 0
    for i, sample in enumerate(samples, start=1):
        n_tokens += len(sample.input_ids)
        if n_tokens >= most_tokens or i == len(samples):
            yield samples[start:i]
            start, n_tokens = i, 0
