"""Batch after batch on ranks that share one model's weights, and so run every pass together.

In a round, each rank runs a pass over a batch of its own; one that has none left runs a filler,
whose results nobody reads, until the last rank is through. Where memory runs out on one rank, all
drop the pass; that rank cuts its batch, the others repeat theirs. The numbers are those of one
process: a batch is the same wherever it runs, and gathered weights are the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from gradsweep.engine.batch import Batch
from gradsweep.engine.out_of_memory import is_out_of_memory
from gradsweep.engine.schedule import Result, Schedule, free
from gradsweep.errors import ModelError
from gradsweep.models.rank_group import PeerOutOfMemory, RankGroup, Vote


@dataclass(frozen=True)
class Lockstep:
    """What passes in step take."""

    group: RankGroup
    filler: Batch
    """The smallest unit that there is, on the model's device."""


class LockstepSchedule(Schedule[Result]):
    """A `Schedule` with one worker, which all ranks run together."""

    def __init__(
        self,
        measure: Callable[[Batch], list[Result]],
        does_not_fit: Callable[[Batch], Result],
        lockstep: Lockstep,
    ) -> None:
        super().__init__(measure, does_not_fit, workers=1)
        self._group = lockstep.group
        self._filler = lockstep.filler
        self._was_dropped = False

    def run(self, batches: Iterable[Batch]) -> Iterator[tuple[int, list[Result]]]:
        """This rank's batches, in their order; ends when those of all ranks are measured.

        Raises:
            StopRequested, RankFailedError, RankLostError: of another rank.
            ModelError: not even the filler fits in memory.
        """
        yield from super().run(batches)
        while self._group.any(False):
            if self._pass(self._filler) is None and not self._was_dropped:
                raise ModelError(
                    f"the shortest sample does not fit in the memory of rank "
                    f"{self._group.rank.index}: give more processes, or "
                    "gradients.checkpointing=true"
                )

    def _attempt(self, batch: Batch, alone: bool = False) -> list[Result] | None:
        while True:
            self._group.any(True)
            with self.budget.hold(batch.padded_tokens):
                found = self._pass(batch)
                if found is not None:
                    self.budget.succeeded()
                    return found
                if not self._was_dropped:
                    self.budget.halve()
                    return None

    def _pass(self, batch: Batch) -> list[Result] | None:
        """One pass of this round; None where memory ran out, here or elsewhere (`_was_dropped`)."""
        found: list[Result] | None = None
        self._was_dropped = False
        try:
            found = self._measure(batch)
            self._group.vote()
        except PeerOutOfMemory:
            self._was_dropped = True
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        else:
            return found
        # Outside the handler: the error's traceback held the frames of the pass until here.
        free()
        if not self._was_dropped:
            self._group.vote(Vote.OUT_OF_MEMORY)
        return found
