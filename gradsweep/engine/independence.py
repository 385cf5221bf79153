"""Whether a unit's gradient is its own: a forward pass may take something from batch mates, from
padding, from a pass in another thread, or from what ran before. Batch mates are rows: a unit of
several rows is no exception.

Position encodings by the longest sequence of a pass (longrope, dynamic NTK), attention that sees
padding and modules that write to themselves in `forward` do so. No list of names would hold them
all, so it is tried, on the shortest and the longest row of a point and in forward passes alone:
where the log-probability of every response token is the same, so is the function, and its gradient.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import inf
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gradsweep.engine.batch import Batch, collate
from gradsweep.engine.frozen import frozen
from gradsweep.engine.response import ResponseHead, install_response_head
from gradsweep.engine.schedule import suppress_out_of_memory
from gradsweep.errors import ModelError
from gradsweep.models.load import LoadedModel
from gradsweep.models.rank_group import RankGroup
from gradsweep.records import EncodedSample, EncodedUnit, Unit

FULL_ROUNDINGS = 64
"""Roundings of the largest log-probability that two ways of one computation in float32 may lie
apart."""
HALF_ROUNDINGS = (1, 12)
"""The same in 16 bits, where every layer rounds: at least and at most. Between them each row twice
in a batch tells."""


@dataclass(frozen=True)
class Independence:
    """What a unit's forward pass does not depend on."""

    of_batch: bool = True
    """On the rows beside it in a batch, nor on padding."""
    of_threads: bool = True
    """On a pass of the same model in another thread."""

    def __str__(self) -> str:
        dependences = []
        if not self.of_batch:
            dependences.append("depends on what else is in its batch, so units run one by one")
        if not self.of_threads:
            dependences.append("writes to the model itself, so gradients.workers=1")
        return "a forward pass " + (" and ".join(dependences) or "depends on its own unit alone")


INDEPENDENT = Independence()
_FOUND: WeakKeyDictionary[nn.Module, dict[tuple[torch.dtype, int, int], Independence]] = (
    WeakKeyDictionary()
)
"""Points of a grid share a loaded model; of the same lengths, they need not be tried again."""
_RANGES: WeakKeyDictionary[nn.Module, dict[tuple[torch.dtype, bool, int, int], bool]] = (
    WeakKeyDictionary()
)
"""Whether rows were independent, by dtype, padding on the left, and their least and most tokens."""
log = logging.getLogger("gradsweep")


def check_independence(loaded: LoadedModel, units: Sequence[EncodedUnit]) -> Independence:
    """Run the shortest and the longest row of these units alone, together, and in two threads.

    About four forward passes of the longest one, without a graph.

    Args:
        loaded: the model; it is left as it was.
        units: all units of a point, so that every share of it decides alike.

    Raises:
        ModelError: a row alone gives something else after another one ran.
    """
    model = loaded.model
    by_length = sorted((row for unit in units for row in unit.rows), key=_n_tokens)
    lengths = (model.dtype, _n_tokens(by_length[0]), _n_tokens(by_length[-1]))
    found = _FOUND.setdefault(model, {})
    if lengths not in found:
        pairs = (
            collate([_alone(by_length[0]), _alone(long)], model.device)
            for long in (by_length[-1], by_length[len(by_length) // 2])
        )
        found[lengths] = _tried(model, pairs, loaded.group is None, loaded.group)
    return found[lengths]


def independent_parts(model: nn.Module, batch: Batch) -> list[Batch]:
    """Cut a batch of tensors so that every unit is what it would be alone: mostly not at all.

    A model is tried once for a range of lengths: four forward passes of the longest row.

    Raises:
        ModelError: units of several rows that depend on each other; a row alone gives something
            else after another one ran.
    """
    if len(batch.input_ids) == 1:
        return [batch.part([0])]  # without its padding
    if _rows_are_independent(model, batch):
        return [batch]
    if max(batch.rows_of_unit) > 1:
        raise ModelError(
            f"{Independence(of_batch=False)}, and the units of this batch have several rows, none "
            "of which would have a gradient of its own: give batches of one row per unit"
        )
    log.warning("gradient_spectra: %s", Independence(of_batch=False))
    return [batch.part([unit]) for unit in range(batch.n_units)]


def _rows_are_independent(model: nn.Module, batch: Batch) -> bool:
    """Of each other and of padding; a trial of shorter and longer rows answers for these too."""
    rows = replace(batch, rows_of_unit=(1,) * len(batch.input_ids), units=())
    n_tokens = batch.attention_mask.sum(dim=1)
    by_length = n_tokens.argsort(stable=True).tolist()
    short, long = int(n_tokens.min()), int(n_tokens.max())
    on_the_left = not bool(batch.attention_mask[:, 0].all())
    dtype = _dtype(model)
    tried = _RANGES.setdefault(model, {})
    for (of_dtype, left, least, most), independent in tried.items():
        within = least <= short and long <= most
        beyond = short <= least and most <= long
        if (of_dtype, left) == (dtype, on_the_left) and (within if independent else beyond):
            return independent
    pair = rows.part([by_length[0], by_length[-1]])
    independent = _tried(model, [pair], in_threads=False).of_batch
    tried[dtype, on_the_left, short, long] = independent
    return independent


def _dtype(model: nn.Module) -> torch.dtype:
    dtype: torch.dtype = model.dtype  # type: ignore[assignment]
    return dtype


def _n_tokens(row: EncodedSample) -> int:
    return len(row.input_ids)


def _alone(row: EncodedSample) -> EncodedUnit:
    return EncodedUnit(Unit((row.sample,)), (row,))


def _tried(
    model: nn.Module,
    pairs: Iterable[Batch],
    in_threads: bool = True,
    group: RankGroup | None = None,
) -> Independence:
    """Try the first pair, a short and a long row, that fits in memory; in `group`, on all ranks.

    Threads would gather weights crosswise, so that ranks try, and measure, in one.
    """
    with frozen(model), install_response_head(model) as head:
        for pair in pairs:
            with suppress_out_of_memory(group):
                found = _Trial(model, head, pair).result(in_threads)
                if group:
                    group.vote()
                return found
    return INDEPENDENT  # what does not fit without a graph is not measured at all


class _Trial:
    def __init__(self, model: nn.Module, head: ResponseHead, pair: Batch) -> None:
        self._model = model
        self._head = head
        self._pair = pair
        self._short, self._long = pair.part([0]), pair.part([1])

    def result(self, in_threads: bool) -> Independence:
        short = self._log_probs(self._short)
        state = _State(self._model)
        long = self._log_probs(self._long)
        writes = state.has_changed()
        tolerance = self._tolerance(short, long)
        if writes:
            self._check_history(short, tolerance)
        together = self._log_probs(self._pair)
        of_batch = _distance(together, torch.cat([short, long])) <= tolerance
        if not in_threads:
            return Independence(of_batch)
        of_threads = not writes and self._distance_in_threads(short, long) <= tolerance
        return Independence(of_batch, of_threads)

    def _tolerance(self, short: Tensor, long: Tensor) -> float:
        """How far rounding may move a log-probability."""
        precision = torch.finfo(_dtype(self._model))
        largest = max(1.0, float(short.abs().nan_to_num(0.0, posinf=0.0).max()))
        if precision.bits >= 32:
            return FULL_ROUNDINGS * torch.finfo(torch.float32).eps * largest
        rounding = precision.eps * largest
        # A long row goes through more sums, and is rounded more often.
        seen = 4 * max(
            _distance(self._log_probs(self._pair.part([row, row])), torch.cat([alone, alone]))
            for row, alone in enumerate((short, long))
        )
        least, most = HALF_ROUNDINGS
        return min(max(least * rounding, seen), most * rounding)

    def _check_history(self, short: Tensor, tolerance: float) -> None:
        distance = _distance(self._log_probs(self._short), short)
        if distance > tolerance:
            raise ModelError(
                "the model's forward pass keeps something of the samples before: the "
                f"log-probabilities of the shortest sample change by up to {distance:.1e} after "
                "the longest one, so that no sample has a gradient of its own; look for a module "
                "that writes to itself in forward"
            )

    def _distance_in_threads(self, short: Tensor, long: Tensor) -> float:
        """How far passes that run at the same time lie from those that ran alone."""
        threads = torch.get_num_threads()
        distance = 0.0
        with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            running = pool.submit(self._log_probs, self._long)
            is_last = False
            while not is_last:
                is_last = running.done()
                beside = pool.submit(self._log_probs, self._short).result()
                distance = max(distance, _distance(beside, short))
        torch.set_num_threads(threads)  # a worker's setting is the next thread's default
        return max(distance, _distance(running.result(), long))

    def _log_probs(self, batch: Batch) -> Float[Tensor, " tokens"]:
        """Of the response tokens of this batch."""
        with torch.no_grad():  # which is a thread's own
            return self._head.tokens(self._model, batch).log_probs


def _distance(ours: Float[Tensor, " tokens"], theirs: Float[Tensor, " tokens"]) -> float:
    """The largest difference; infinite where only one side is a number."""
    close = torch.isclose(ours, theirs, rtol=0.0, atol=0.0, equal_nan=True)
    difference = (ours.double() - theirs.double()).abs().nan_to_num(inf)
    return float(difference.masked_fill(close, 0.0).max())


class _State:
    """What modules hold besides parameters and submodules, as far as a write to it would show."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._values = dict(_values(model))  # holds tensors, so that no other takes their place
        self._versions = _versions(self._values)

    def has_changed(self) -> bool:
        now = dict(_values(self._model))
        same = now.keys() == self._values.keys() and all(
            value is now[key] or (not isinstance(value, Tensor) and value == now[key])
            for key, value in self._values.items()
        )
        return not same or _versions(now) != self._versions


def _values(model: nn.Module) -> Iterator[tuple[tuple[str, str], Any]]:
    for name, module in model.named_modules():
        for key, value in {**vars(module), **module._buffers}.items():
            if isinstance(value, Tensor | bool | int | float | str | torch.Size):
                yield (name, key), value


def _versions(values: dict[tuple[str, str], Any]) -> list[int]:
    """Counters of writes in place."""
    return [value._version for value in values.values() if isinstance(value, Tensor)]
