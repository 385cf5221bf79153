"""Other processes for a report of many points: a second one, and more where there are more cores.

They answer the open questions, test claims and draw, which takes as long as the numbers do, then
compute numbers, too. A process costs a second of processor time and some memory, so that few points
have none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from gradsweep.analysis import Finding
from gradsweep.analysis.open_questions import Answered
from gradsweep.cores import usable_cores
from gradsweep.report.content import claims_of
from gradsweep.report.open_questions.answers import kept_answers_of, questions_of_stored
from gradsweep.report.processes import new_processes, unless_killed
from gradsweep.report.stored_rows import StoredRows
from gradsweep.report.training.stored import trained_points

MANY_POINTS = 48
"""So many are worth the start of a process."""
_MOST_PROCESSES = 8
"""Beside this one: each takes up to half a GB."""
MOST_ROWS_ASKED = 12_000_000
"""Open questions look at every metric: of so many rows that takes a minute."""


class Beside:
    """The processes, and what they compute meanwhile: answers, then claims if nobody else has."""

    def __init__(
        self, executor: Executor, source: StoredRows, metric: str, n_processes: int = 1
    ) -> None:
        self.executor = executor
        self._n_processes = n_processes
        self._begun: list[Future[Any]] = []
        self._claims_of = source, metric, source.loss
        self._claims: Future[list[Finding]] | None = None
        self._taken = False
        self._writing: list[tuple[Future[Path], Callable[..., Path], tuple[Any, ...]]] = []
        self._lock = RLock()
        self._answers = self.submit(_answers, source)
        if n_processes > 1:
            self._go_on(self._answers)
        else:
            self._answers.add_done_callback(self._go_on)

    def _go_on(self, _: Future[list[Answered] | None]) -> None:
        with self._lock:
            if not self._taken:
                self._claims = self.submit(claims_of, *self._claims_of)

    def is_free(self) -> bool:
        """Tell whether a process has nothing to do, and none was killed."""
        with self._lock:
            self._begun = [one for one in self._begun if not one.done() or _was_killed(one)]
            killed = any(map(_was_killed, self._begun))
            return len(self._begun) < self._n_processes and not killed

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have something computed."""
        with self._lock:
            try:
                future = self.executor.submit(function, *arguments)
            except BrokenProcessPool as error:
                future = Future()
                future.set_exception(error)
            self._begun.append(future)
            return future

    def answered(self) -> list[Answered] | None:
        """Wait for the answers; None where there are none, or the process was killed."""
        return unless_killed(self._answers)

    def tested(self) -> list[Finding] | None:
        """Wait for the claims; None where the process has not begun with them and will not, or was
        killed."""
        with self._lock:
            self._taken = True
        return None if self._claims is None else unless_killed(self._claims)

    def write(self, function: Callable[..., Path], *arguments: Any) -> None:
        """Have a file written by and by, or write it where nobody is free.

        Args:
            function: writes it.
            arguments: of the function.
        """
        if self.is_free():
            self._writing.append((self.submit(function, *arguments), function, arguments))
        else:
            function(*arguments)

    def finish(self) -> None:
        """Wait for the files, and write what the process has not, because it was killed."""
        for future, function, arguments in self._writing:
            if unless_killed(future) is None:
                function(*arguments)


@contextmanager
def beside(source: StoredRows, metric: str) -> Iterator[Beside | None]:
    """Start other processes; None where it would not pay, or training points are asked about, too.

    It takes a main module that can be imported, as the command line's can.
    """
    if not _pays(source):
        yield None
        return
    n_processes = min(usable_cores() - 1, _MOST_PROCESSES, 1 + len(source.points) // MANY_POINTS)
    with new_processes(n_processes) as pool:
        other = Beside(pool, source, metric, n_processes)
        yield other
        other.finish()


def _was_killed(future: Future[Any]) -> bool:
    return future.done() and isinstance(future.exception(), BrokenProcessPool)


def _pays(source: StoredRows) -> bool:
    if len(source.points) < MANY_POINTS or usable_cores() < 2 or source.loss != "mean":
        return False
    return not trained_points(source.results) and kept_answers_of(source) is None


def _answers(source: StoredRows) -> list[Answered] | None:
    """Answers to the open questions; None where there are too many rows for it."""
    return None if _has_more_rows(source, MOST_ROWS_ASKED) else questions_of_stored(source)


def _has_more_rows(source: StoredRows, most: int) -> bool:
    """Count rows only until there are more: of thousands of points that takes seconds."""
    n_rows = 0
    for name in source.points["point_id"]:
        n_rows += source.n_rows([name])
        if n_rows > most:
            return True
    return False
