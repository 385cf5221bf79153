"""What is stored of points that are not done, and how fast it came."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gradsweep.records import SampleResult, SampleStatus
from gradsweep.store import PointPaths
from gradsweep.store.point import open_point
from gradsweep.store.progress import Part, Progress, ProgressReader


def result(index: int, status: SampleStatus = SampleStatus.OK) -> SampleResult:
    return SampleResult(f"s{index}", f"q{index}", index, status, seconds=2.0)


@pytest.fixture
def paths(tmp_path: Path) -> PointPaths:
    return PointPaths(tmp_path / "results", "abc")


def test_a_sample_that_was_tried_again_counts_once_and_its_time_twice(paths: PointPaths) -> None:
    with open_point(paths, {}) as store:
        store.append([result(0, SampleStatus.OUT_OF_MEMORY), result(1)])
    with open_point(paths, {}) as store:
        store.append([result(0)])
    progress = ProgressReader().read([paths])["abc"]
    assert progress.outcomes == {"s0": (True, 2.0), "s1": (True, 2.0)}
    assert progress.seconds == 6.0


def test_parts_are_read_once(paths: PointPaths) -> None:
    reader = ProgressReader()
    with open_point(paths, {}) as store:
        store.append([result(0)])
        reader.read([paths])
        (first,) = paths.parts.glob("samples-*")
        first.write_bytes(b"not read again")
        store.append([result(1)])
    assert set(reader.read([paths])["abc"].outcomes) == {"s0", "s1"}


def test_nothing_stored_is_no_progress(paths: PointPaths) -> None:
    assert ProgressReader().read([paths]) == {"abc": Progress()}


def parts(*times: float, size: int = 3) -> Progress:
    return Progress(tuple(Part(t, {f"s{t}-{i}": (True, 1.0) for i in range(size)}) for t in times))


def test_the_rate_is_that_of_the_present_process_of_late() -> None:
    steady = parts(*range(0, 1000, 10))
    assert steady.rate(since=0, now=990) == pytest.approx(0.3)
    assert parts(0, 10, 5000, 5010, 5020).rate(since=4000, now=5020) == pytest.approx(0.3)
    faster = parts(*range(0, 1000, 10), *range(1000, 1400, 2))
    assert faster.rate(since=0, now=1400) == pytest.approx(1.5, rel=0.05)


def test_a_silent_process_slows_down() -> None:
    assert parts(0, 10).rate(since=0, now=100) == pytest.approx(0.03)


def test_the_first_part_alone_tells_no_rate() -> None:
    assert parts(10).rate(since=0, now=20) is None
    assert parts(10, 10).rate(since=0, now=10) is None


def test_clocks_that_differ_give_no_negative_rate() -> None:
    assert parts(0, 10, 20).rate(since=0, now=5) == pytest.approx(0.3)


def test_a_point_that_is_finished_meanwhile_is_asked_for_again(
    paths: PointPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_point(paths, {}) as store:
        store.append([result(0)])
    real = Path.glob

    def then_gone(folder: Path, pattern: str) -> list[Path]:
        found = list(real(folder, pattern))
        for path in found:
            os.unlink(path)
        return found

    monkeypatch.setattr(Path, "glob", then_gone)
    with pytest.raises(FileNotFoundError):
        ProgressReader().read([paths])
