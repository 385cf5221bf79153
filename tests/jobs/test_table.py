"""What a person sees of a status, at every width and for hundreds of points."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from gradsweep.jobs.status.efficiency import Efficiency
from gradsweep.jobs.status.lines import Line, State, SweepStatus
from gradsweep.jobs.status.points import KnownPoint
from gradsweep.jobs.status.table import fitting_table, status_table
from gradsweep.store import PointPaths


def line(number: int, state: State, note: str = "") -> Line:
    axes = {
        "model": "llama3_8b" if number % 2 else "qwen2_1.5b",
        "dataset": f"data{number // 2}",
        "cot": "none",
        "correctness": "correct",
    }
    point = KnownPoint(PointPaths(Path("results"), f"{number:016x}"[::-1]), axes, 50, None)
    stored, rate = (50, None) if state is State.DONE else (20, 0.5)
    running = rate if state is State.RUNNING else None
    return Line(point, state, stored, 0, 50, 1.0, running, (), note)


def status_of(*lines: Line, complaint: str = "") -> SweepStatus:
    return SweepStatus(lines, (), Efficiency(30.0, 60.0), complaint)


def shown(status: SweepStatus, width: int = 120, rows: int | None = 40) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(status_table(status, console, rows))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


MANY = status_of(
    *(line(n, State.DONE) for n in range(300)),
    *(line(n, State.QUEUED) for n in range(300, 500)),
    *(line(n, State.RUNNING) for n in range(500, 590)),
    line(590, State.FAILED, "RuntimeError: bad"),
    line(591, State.LOST),
)


def test_what_all_points_share_is_said_once() -> None:
    text = shown(status_of(line(0, State.DONE), line(1, State.NEW)))
    assert text.count("correct") == 1
    assert text.splitlines()[0] == "data0 · none · correct"
    assert "≤50" in text


def test_hundreds_of_points_show_those_that_need_a_look_and_count_the_rest() -> None:
    text = shown(MANY)
    assert len(text.splitlines()) < 65
    for number in (590, 591):
        assert MANY.lines[number].point_id[:8] in text
    assert "more running; --all shows every point" in text
    assert "90 running, 1 failed, 1 lost, 200 queued, 300 done" in text
    everything = shown(MANY, rows=None)
    assert all(one.point_id[:8] in everything for one in MANY.lines)


@pytest.mark.parametrize("height", [20, 24, 50])
def test_a_live_table_fits_the_terminal(height: int) -> None:
    more = (line(n, State.FAILED, f"reason {n}") for n in range(600, 610))
    status = status_of(*MANY.lines, *more)
    console = Console(file=io.StringIO(), width=120, height=height)
    console.print(fitting_table(status, console))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert len(text.splitlines()) <= height
    assert "50 %" in text.splitlines()[-1], "the totals are there"
    assert MANY.lines[500].point_id[:8] in text, "and at least one point that runs"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_point_state_and_samples_stay_at_every_width(width: int) -> None:
    status = status_of(line(0, State.RUNNING), line(1, State.FAILED, "RuntimeError: " + "x" * 300))
    text = shown(status, width)
    assert max(map(len, text.splitlines())) <= width
    for word in (status.lines[0].point_id[:8], "running", "20/≤50", "RuntimeError: "):
        assert word in text
    assert ("2.0 s/sample" in text.split("points ")[0]) == (width > 40)


def test_equal_reasons_are_one_line() -> None:
    text = shown(status_of(*(line(n, State.FAILED, "RuntimeError: bad") for n in range(4))))
    assert text.count("RuntimeError: bad") == 1
    assert "4 points" in text


def test_totals_say_how_long_and_how_much_of_it_was_measuring() -> None:
    text = shown(status_of(line(0, State.RUNNING), line(1, State.QUEUED), line(2, State.STOPPED)))
    assert "60 of ≤150 (40 %), about 2 min left at 2.0 s/sample" in text, "stopped ones wait for us"
    assert "60 s, 30 s of it measuring (50 %)" in text


def test_a_silent_queue_is_said() -> None:
    complaint = "squeue does not answer (no squeue here)"
    text = shown(status_of(line(0, State.SUBMITTED), complaint=complaint), width=200)
    assert "squeue does not answer (no squeue here): states are from the files" in text
