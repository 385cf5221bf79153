"""What a person sees while a point runs: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from gradsweep.times import duration_text

NARROWEST = 20
"""Columns of a terminal; fewer in COLUMNS are a mistake, and nothing could be read in them."""
LOG_LINE_SECONDS = 15.0
"""Pause between progress lines where there is no terminal (a SLURM log, CI)."""

Advance = Callable[[int], None]


class _Console(Console):
    """Asks the stream of the moment for its encoding: where it is not UTF-8, lines are of ASCII."""

    def __init__(self, **options: Any) -> None:
        columns = os.environ.get("COLUMNS", "")
        if columns.isdigit() and int(columns) < NARROWEST:
            options["width"] = 80
        super().__init__(**options)

    @property
    def encoding(self) -> str:
        return (getattr(self.file, "encoding", None) or "utf-8").lower()


console = _Console(stderr=True, highlight=False, markup=False)
"""Everything that is not a result goes to stderr, so that stdout can be piped."""


def output_console() -> Console:
    """Make a console for results: stdout, where brackets in paths and values are no markup."""
    return _Console(highlight=False, markup=False)


def step_bar(*, transient: bool = False, disable: bool = False) -> Progress:
    """A bar on stderr for a task of countable steps: what it does, how far it is, for how long."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=transient,
        disable=disable,
    )


def show_error(message: str, title: str = "error:") -> None:
    """One error, as it is: brackets in paths and values are no markup."""
    console.print(Text.assemble((title, "bold red"), " ", message), soft_wrap=True)


_said: set[str] = set()


def say_once(line: str) -> None:
    """Print, the first time alone, what is the same for every point of a sweep."""
    if line not in _said:
        _said.add(line)
        console.print(line, style="dim", soft_wrap=True)


class _RateColumn(ProgressColumn):
    """Speed over this run and the time it leaves; samples of an earlier run are no speed."""

    def render(self, task: Task) -> Text:
        measured = task.completed - task.fields["stored"]
        if not measured or not task.elapsed:
            return Text("")
        rate = measured / task.elapsed
        left = "" if task.finished else f", {duration_text(task.remaining / rate)} left"
        return Text(rate_text(rate) + left, style="progress.data.speed")


def rate_text(samples_per_second: float) -> str:
    if samples_per_second >= 1:
        return f"{samples_per_second:.1f} samples/s"
    return f"{1 / samples_per_second:.1f} s/sample"


@contextmanager
def sample_progress(label: str, total: int, stored: int, shown: bool) -> Iterator[Advance]:
    """Yield a function to call with each number of samples that has just been stored."""
    if not shown:
        yield lambda n: None
    elif console.is_terminal:
        with _bar() as progress:
            task = progress.add_task(label, total=total, completed=stored, stored=stored)
            yield lambda n: progress.advance(task, n)
    else:
        yield _log_lines(label, total, stored)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def _log_lines(label: str, total: int, stored: int) -> Advance:
    start = last = time.monotonic()
    done = 0

    def advance(n: int) -> None:
        nonlocal last, done
        done += n
        now = time.monotonic()
        finished = stored + done >= total
        if finished or now - last > LOG_LINE_SECONDS:
            last = now
            rate = done / (now - start)
            left = "" if finished else f", {duration_text((total - stored - done) / rate)} left"
            console.print(f"{label}  {stored + done}/{total}  {rate_text(rate)}{left}")

    return advance


@contextmanager
def training_progress(
    label: str, total: int, made: int, shown: bool
) -> Iterator[Callable[[int, str], None]]:
    """Yield a function to call with the number of steps made and how training stands there."""
    if not shown:
        yield lambda steps, words: None
    elif console.is_terminal:
        columns = [TextColumn("{task.description}", markup=False), BarColumn(bar_width=30)]
        words_column = TextColumn("{task.fields[words]}", markup=False)
        with Progress(
            *columns, MofNCompleteColumn(), words_column, TimeElapsedColumn(), console=console
        ) as progress:
            task = progress.add_task(label, total=total, completed=made, words="")
            yield lambda steps, words: progress.update(task, completed=steps, words=words)
    else:
        yield _step_lines(label, total)


def _step_lines(label: str, total: int) -> Callable[[int, str], None]:
    last = time.monotonic()

    def show(steps: int, words: str) -> None:
        nonlocal last
        now = time.monotonic()
        if steps >= total or now - last > LOG_LINE_SECONDS:
            last = now
            console.print(f"{label}  step {steps}/{total}  {words}")

    return show
