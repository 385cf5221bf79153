"""Batches: which units run together, and their padded tensors.

A unit's rows lie together and are never torn apart: not here, not among shards, not where memory
runs out. Padding costs as much as tokens do, so units of similar length run together, sorted
within a window of some batches, not over the whole point: what is stored at any moment then is a
cross-section of the data, and the rate that a progress bar shows holds for the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, takewhile

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from gradsweep.records import EncodedUnit, Shard, Unit

RowReference = float | tuple[float, ...] | None
"""Log-probabilities of a response under a reference model, in nats: their sum, or one for each of
its tokens; None where the reference is the model itself."""

WINDOW_BATCHES = 16
"""Batches' worth of tokens within which samples are sorted by length."""


@dataclass(frozen=True)
class Layout:
    """Which tokens of a padded batch belong to which unit."""

    length: int
    """Tokens of a padded row."""
    spans: tuple[tuple[int, int], ...]
    """(first, past the last) real token of each row."""
    rows_of_unit: tuple[int, ...]
    """Number of rows of each unit; a unit's rows lie together, in the order of the batch."""
    shared: tuple[int, ...] = ()
    """Number of tokens that all rows of a unit begin with, 0 of a unit of one row; empty where
    nobody has looked."""

    @property
    def by_row(self) -> Layout:
        """The same rows as units of their own."""
        return Layout(self.length, self.spans, (1,) * len(self.spans))

    @property
    def unit_rows(self) -> list[range]:
        """Each unit's rows."""
        ends = list(accumulate(self.rows_of_unit))
        return [range(end - n, end) for end, n in zip(ends, self.rows_of_unit, strict=True)]


@dataclass(frozen=True)
class Batch:
    """Padded token ids with their masks, all of shape (rows, length), in whole units."""

    input_ids: Int[Tensor, "rows length"]
    attention_mask: Bool[Tensor, "rows length"]
    """True at real tokens, which form one run per row; padding may be on either side."""
    response_mask: Bool[Tensor, "rows length"]
    """True at the tokens that carry loss: response tokens with a real token before them."""
    rows_of_unit: tuple[int, ...]
    """Number of rows of each unit, whose rows lie together."""
    units: tuple[Unit, ...] = ()
    """What the units are of, for objectives that ask; empty for tensors of a user's own."""
    rewards: tuple[float, ...] = ()
    """What each row's response is worth; empty where nobody says, and then it is 1."""
    references: tuple[RowReference, ...] = ()
    """What a reference model says of each row; empty where that is the model itself."""

    @cached_property
    def layout(self) -> Layout:
        starts = self.attention_mask.int().argmax(dim=1).tolist()
        counts = self.attention_mask.sum(dim=1).tolist()
        spans = tuple((start, start + n) for start, n in zip(starts, counts, strict=True))
        layout = Layout(self.input_ids.shape[1], spans, self.rows_of_unit)
        if max(self.rows_of_unit) == 1:
            return layout
        ids = self.input_ids.tolist()
        rows = [of_row[slice(*span)] for of_row, span in zip(ids, spans, strict=True)]
        shared = tuple(_n_shared([rows[row] for row in unit]) for unit in layout.unit_rows)
        return replace(layout, shared=shared)

    @property
    def n_units(self) -> int:
        return len(self.rows_of_unit)

    @cached_property
    def unit_of_row(self) -> Int[Tensor, " rows"]:
        """Each row's unit."""
        places = [unit for unit, n in enumerate(self.rows_of_unit) for _ in range(n)]
        return torch.tensor(places).to(self.input_ids.device)

    @property
    def padded_tokens(self) -> int:
        """What a pass over it costs: rows times the longest of them."""
        return self.input_ids.numel()

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on that device."""
        return replace(
            self,
            input_ids=self.input_ids.to(device),
            attention_mask=self.attention_mask.to(device),
            response_mask=self.response_mask.to(device),
        )

    def part(self, places: Sequence[int]) -> Batch:
        """The units at these places, without the columns that only others need."""
        unit_rows = self.layout.unit_rows
        rows = [row for place in places for row in unit_rows[place]]
        attention = self.attention_mask[rows]
        columns = attention.any(dim=0).nonzero().flatten()
        kept = slice(int(columns[0]), int(columns[-1]) + 1)
        return Batch(
            self.input_ids[rows, kept],
            attention[:, kept],
            self.response_mask[rows, kept],
            tuple(self.rows_of_unit[place] for place in places),
            tuple(self.units[place] for place in places) if self.units else (),
            tuple(self.rewards[row] for row in rows) if self.rewards else (),
            tuple(self.references[row] for row in rows) if self.references else (),
        )


def _n_shared(rows: Sequence[Sequence[int]]) -> int:
    """How many tokens several rows begin with alike; 0 of one row."""
    if len(rows) == 1:
        return 0
    alike = (len(set(tokens)) == 1 for tokens in zip(*rows, strict=False))
    return sum(1 for _ in takewhile(bool, alike))


def make_batch(
    input_ids: Tensor,
    response_mask: Tensor,
    attention_mask: Tensor | None,
    rows_of_unit: Sequence[int] | None = None,
    units: Sequence[Unit] = (),
) -> Batch:
    """Check user tensors and drop from the mask what has no prediction.

    Args:
        input_ids: (rows, length) integers.
        response_mask: (rows, length), true at the tokens that carry loss.
        attention_mask: (rows, length), true at real tokens; None means no padding.
        rows_of_unit: number of rows of each unit, in order; None makes each row a unit.
        units: what the units are of; empty where nobody asks.

    Raises:
        ValueError: shapes differ, there are no rows, ids are not whole numbers, a mask holds
            something else than 0 and 1 or has holes, a row has no response token, or the units do
            not add up to the rows.
    """
    _check_values(input_ids, response_mask=response_mask, attention_mask=attention_mask)
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
    response = response & has_real_token_before(attention)
    empty = (~response.any(dim=1)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(
            f"samples {empty} of the batch have no response token that is predicted from another"
        )
    sizes = (1,) * len(input_ids) if rows_of_unit is None else tuple(rows_of_unit)
    if sum(sizes) != len(input_ids) or min(sizes) < 1:
        raise ValueError(f"units={sizes} does not divide {len(input_ids)} rows into units")
    return Batch(input_ids.long(), attention, response, sizes, tuple(units))


def _check_values(input_ids: Tensor, **masks: Tensor | None) -> None:
    """Labels with -100 in the place of a mask would make every token of the prompt a response."""
    if input_ids.is_floating_point() or input_ids.dtype is torch.bool:
        raise ValueError(f"input_ids must be token ids, which are integers; got {input_ids.dtype}")
    if input_ids.numel() == 0:
        raise ValueError(f"input_ids holds no token: its shape is {tuple(input_ids.shape)}")
    for name, mask in masks.items():
        if mask is None or mask.dtype is torch.bool:
            continue
        if mask.is_floating_point():
            raise ValueError(
                f"{name} must hold 0 and 1 as bool or integers; got {mask.dtype}, which may be "
                f"weights or an additive mask: for a mask of 0.0 and 1.0 pass {name}.bool()"
            )
        other = mask[(mask != 0) & (mask != 1)]
        if len(other):
            hint = "; for labels pass labels != -100" if bool((other < 0).any()) else ""
            raise ValueError(f"{name} must hold 0 and 1; got {other[0].item()}{hint}")


def has_real_token_before(attention: Tensor) -> Tensor:
    """Return true at each token that a real one precedes: (rows, length)."""
    before = torch.zeros_like(attention)
    before[:, 1:] = attention[:, :-1]
    return before


def collate(encoded: Sequence[EncodedUnit], device: torch.device | str) -> Batch:
    """Pad on the right: causal attention then never looks at padding, so no mask is needed."""
    rows = [row for unit in encoded for row in unit.rows]
    length = max(len(row.input_ids) for row in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    attention = torch.zeros(len(rows), length, dtype=torch.bool)
    response = torch.zeros(len(rows), length, dtype=torch.bool)
    for i, row in enumerate(rows):
        n = len(row.input_ids)
        ids[i, :n] = torch.tensor(row.input_ids)
        attention[i, :n] = True
        response[i, row.response_start : n] = True
    sizes = [len(unit.rows) for unit in encoded]
    batch = make_batch(
        ids.to(device),
        response.to(device),
        attention.to(device),
        sizes,
        [unit.unit for unit in encoded],
    )
    references = tuple(row.reference for row in rows)
    return replace(
        batch,
        rewards=tuple(row.sample.reward for row in rows),
        references=references if any(r is not None for r in references) else (),
    )


def shortest_row(units: Sequence[EncodedUnit]) -> EncodedUnit:
    """Return the row with the fewest tokens as a unit of its own, for trials of the model."""
    row = min((row for unit in units for row in unit.rows), key=lambda row: len(row.input_ids))
    return EncodedUnit(Unit((row.sample,)), (row,))


def smallest_unit(units: Sequence[EncodedUnit]) -> EncodedUnit:
    """Return the unit with the fewest padded tokens: what a pass costs least of."""
    return min(units, key=lambda unit: len(unit.rows) * unit.n_tokens)


def token_batches(units: Sequence[EncodedUnit], batch_tokens: int) -> Iterator[list[EncodedUnit]]:
    """Units of similar length whose padded size stays within `batch_tokens`; one at least.

    The batches of a window come longest first: what does not fit in memory shows early, and
    short batches even out the workers' ends. The same units always give the same batches.
    """
    for window in _windows(units, WINDOW_BATCHES * batch_tokens):
        batch: list[EncodedUnit] = []
        n_rows = 0
        for unit in sorted(window, key=lambda unit: unit.n_tokens, reverse=True):
            if batch and batch[0].n_tokens * (n_rows + len(unit.rows)) > batch_tokens:
                yield batch
                batch, n_rows = [], 0
            batch.append(unit)
            n_rows += len(unit.rows)
        yield batch


def dealt(batches: Sequence[list[EncodedUnit]], shard: Shard) -> list[list[EncodedUnit]]:
    """A shard's batches, in order: every batch is in one shard, and shards have about equal work.

    Whole batches are dealt, largest first to whoever has least, so that each unit is measured
    beside the same others, and gives the same numbers, whatever the number of shards.
    """
    tokens = [
        sum(len(unit.rows) for unit in batch) * max(unit.n_tokens for unit in batch)
        for batch in batches
    ]
    loads = [0] * shard.count
    mine = []
    for place in sorted(range(len(batches)), key=lambda i: tokens[i], reverse=True):
        least = loads.index(min(loads))
        loads[least] += tokens[place]
        if least == shard.index:
            mine.append(place)
    return [batches[place] for place in sorted(mine)]


def _windows(units: Sequence[EncodedUnit], most_tokens: int) -> Iterator[Sequence[EncodedUnit]]:
    """Consecutive runs of units that hold `most_tokens`, the last one whatever is left."""
    start = n_tokens = 0
    for i, unit in enumerate(units, start=1):
        n_tokens += sum(len(row.input_ids) for row in unit.rows)
        if n_tokens >= most_tokens or i == len(units):
            yield units[start:i]
            start, n_tokens = i, 0
