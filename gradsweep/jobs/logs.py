"""Shows what the jobs of a point have printed about it, without its neighbours in the job."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gradsweep.errors import DataError
from gradsweep.jobs.schedulers import schedulers
from gradsweep.jobs.status.lines import GOING_ON, Line, State
from gradsweep.jobs.status.observer import Observer
from gradsweep.jobs.tasks import JobTask
from gradsweep.progress import console
from gradsweep.store import PointPaths, failure

_START = re.compile(r"job \S+ on \S+, start \d+")
"""The first line of every start of a job."""
_LABEL = re.compile(r"(?:failed: )?\[\d+/\d+\] ([0-9a-f]{16})\b")
"""Beginning of a line of a point; lines without it belong to the point before."""
LOOK_SECONDS = 1.0
QUEUE_SECONDS = 10.0


class PointLines:
    """A filter that keeps the lines of one point, and what each start says before its points."""

    def __init__(self, point_id: str, everything: bool = False) -> None:
        self._point_id = point_id
        self._everything = everything
        self._mine = True

    def keep(self, line: str) -> bool:
        if _START.match(line):
            self._mine = True
        elif label := _LABEL.match(line):
            self._mine = label[1] == self._point_id
        return self._mine or self._everything


class Tail:
    """A log file that grows."""

    def __init__(self, path: Path, lines: PointLines) -> None:
        self.path = path
        self._lines = lines
        self._offset = 0
        self._rest = b""

    def new(self, latest: bool = False) -> str:
        """Read what has come since the last call and is the point's; whole lines.

        `latest` leaves out what earlier starts have printed.
        """
        with self.path.open("rb") as file:
            file.seek(self._offset)
            content = self._rest + file.read()
            self._offset = file.tell()
        whole, newline, self._rest = content.rpartition(b"\n")
        lines = (whole + newline).decode(errors="replace").splitlines(keepends=True)
        starts = [number for number, line in enumerate(lines) if _START.match(line)]
        if latest and starts:
            lines = lines[starts[-1] :]
        return "".join(line for line in lines if self._lines.keep(line))


def show_logs(
    observer: Observer,
    out: Callable[[str], None],
    *,
    everything: bool = False,
    follow: bool = False,
) -> None:
    """Print the log of the one point that `observer` looks at; files' names go to stderr.

    Args:
        observer: of one point.
        out: takes text for stdout.
        everything: all starts and all points of its jobs.
        follow: go on until the point is over; a job that waits is waited for.

    Raises:
        DataError: it was never in a job, so nobody has kept what was printed.
    """
    answer = observer.ask()
    (line,) = observer.look(answer).lines
    if not line.tasks:
        _outside(line, out)
        return
    asked = time.monotonic()
    tails: dict[Path, Tail] = {}
    printed = _print_new(line, tails, out, everything)
    while follow and line.state in GOING_ON:
        time.sleep(LOOK_SECONDS)
        if time.monotonic() - asked >= QUEUE_SECONDS:
            asked, answer = time.monotonic(), observer.ask()
        (line,) = observer.look(answer).lines
        printed += _print_new(line, tails, out, everything)
    if not printed:
        console.print(_nothing_yet(line), soft_wrap=True)
    if line.state is State.FAILED:
        out(_why_unless_in(line.point.paths, printed))


def _print_new(
    line: Line, tails: dict[Path, Tail], out: Callable[[str], None], everything: bool
) -> str:
    printed = ""
    for path in _files(line.tasks):
        first = path not in tails
        if first:
            console.print(f"==> {path}", style="dim", soft_wrap=True)
            tails[path] = Tail(path, PointLines(line.point_id, everything))
        text = tails[path].new(latest=first and not everything)
        out(text)
        printed += text
    return printed


def _files(tasks: Sequence[JobTask]) -> Iterator[Path]:
    for task in tasks:
        yield from task.logs


def _nothing_yet(line: Line) -> str:
    task = line.tasks[-1]
    why = f" ({task.reason})" if task.reason else ""
    if line.state in GOING_ON:
        return f"{line.point_id} has not begun: job {task.job_id or '?'} is {task.phase.value}{why}"
    return f"job {task.job_id or '?'} has printed nothing: {line.note or line.state.value}"


def _outside(line: Line, out: Callable[[str], None]) -> None:
    """Show a point without a job, of which only a failure has left words."""
    if line.state is State.FAILED:
        console.print(
            f"{line.point_id} ran outside of jobs: what it printed went to its terminal; "
            f"this is {(failure(line.point.paths) or {}).get('file')}",
            soft_wrap=True,
        )
        out(_why_unless_in(line.point.paths, ""))
        return
    ran = "has not started" if line.state is State.NEW else "ran outside of jobs"
    raise DataError(
        f"{line.point_id} ({line.state.value}) {ran}: jobs of hydra/launcher="
        f"{', '.join(schedulers())} keep a log; anything else prints to its own terminal, and "
        "stock submitit to the .submitit folder below multirun/"
    )


def _why_unless_in(paths: PointPaths, printed: str) -> str:
    """Quote FAILED.json when the log does not; a user's error by its message alone."""
    failed = failure(paths)
    if failed is None or failed["message"] in printed:
        return ""
    if failed["user_error"]:
        return f"{failed['error']}: {failed['message']}\n"
    return "".join(failed["traceback"])
