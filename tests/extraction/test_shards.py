"""Several processes measure shares of one point: together they give what one process gives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from helpers.patience import PATIENCE_SECONDS
from helpers.process_state import THREADS
from helpers.tiny_point import tiny_point
from polars.testing import assert_frame_equal

from gradsweep import compose, extract
from gradsweep.engine import dealt
from gradsweep.errors import PointBusyError, StopRequested
from gradsweep.extraction import PointResult
from gradsweep.models.cache import ModelCache
from gradsweep.records import EncodedSample, EncodedUnit, Sample, Shard, Unit
from gradsweep.store import PointPaths, PointState, point_state
from gradsweep.store.lease import hold_lease
from gradsweep.store.point import read_parts

SHARE = f"""
import sys
import torch
torch.set_num_threads({THREADS})
from gradsweep import compose, extract
from gradsweep.records import Shard
index, count, *overrides = sys.argv[1:]
stored = 0

def wait_in_the_middle():
    global stored
    stored += 1
    if stored == 2:
        print("two stored", flush=True)
        sys.stdin.readline()
    return False

extract(compose(*overrides), shard=Shard(int(index), int(count)), stop=wait_in_the_middle)
"""


@pytest.fixture
def overrides(saved_model: Path, tmp_path: Path) -> list[str]:
    more = "tracking=none", "n_samples=9", "gradients.batch_tokens=256", "gradients.workers=1"
    return tiny_point(saved_model, tmp_path / "results", *more)


def share(overrides: list[str], index: int, count: int, **more: object) -> PointResult:
    config = compose(*overrides)
    return extract(config, show_progress=False, shard=Shard(index, count), **more)  # type: ignore[arg-type]


def whole(overrides: list[str], folder: Path) -> PointResult:
    return extract(compose(*overrides, f"store.root={folder}"), show_progress=False)


def assert_identical(ours: PointResult, theirs: PointResult) -> None:
    """To the last bit: every sample was measured beside the same others, on as many threads."""
    assert_frame_equal(ours.rows(), theirs.rows(), check_exact=True)
    assert_frame_equal(ours.samples().drop("seconds"), theirs.samples().drop("seconds"))


@pytest.mark.long
@pytest.mark.parametrize("count", [2, 3, 12])
def test_shares_one_after_the_other_equal_the_whole(
    overrides: list[str], tmp_path: Path, count: int
) -> None:
    """With more shards than batches too: some have nothing to do."""
    for index in reversed(range(count)):
        point = share(overrides, index, count)
        assert (point_state(point.paths) is PointState.DONE) == (index == 0)
    assert_identical(point, whole(overrides, tmp_path / "other"))
    assert not list(point.paths.folder.glob("RUNNING*"))


@pytest.mark.long
def test_processes_at_the_same_time_with_one_killed_equal_the_whole(
    overrides: list[str], tmp_path: Path
) -> None:
    slow = [*overrides, "gradients.batch_tokens=1"]
    paths = PointPaths(tmp_path / "results", whole(slow, tmp_path / "other").paths.point_id)

    def start(index: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SHARE, str(index), "3", *slow]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )

    def go_on(process: subprocess.Popen[str]) -> int:
        process.communicate("\n", timeout=PATIENCE_SECONDS)
        return process.returncode

    processes = [start(index) for index in range(3)]
    assert [process.stdout.readline() for process in processes] == ["two stored\n"] * 3
    with pytest.raises(PointBusyError):  # the whole is not free while shares are measured
        extract(compose(*slow), show_progress=False)
    processes[1].send_signal(signal.SIGKILL)
    assert processes[1].wait() == -signal.SIGKILL
    assert [go_on(processes[0]), go_on(processes[2])] == [0, 0]
    assert point_state(paths) is PointState.STOPPED
    assert go_on(start(1)) == 0
    assert point_state(paths) is PointState.DONE
    assert_identical(PointResult(compose(*slow).axes, paths), whole(slow, tmp_path / "other"))


@pytest.mark.long
def test_a_point_begun_in_shares_goes_on_whole_and_the_other_way_round(
    overrides: list[str], tmp_path: Path
) -> None:
    share(overrides, 1, 2)
    assert_identical(extract(compose(*overrides)), whole(overrides, tmp_path / "other"))
    root = f"store.root={tmp_path / 'third'}"
    stopped = iter([False, True])
    with pytest.raises(StopRequested):
        extract(compose(*overrides, root), stop=lambda: next(stopped))
    for index in range(3):
        point = share([*overrides, root], index, 3)
    assert_identical(point, whole(overrides, tmp_path / "other"))


def test_a_share_gives_way_to_the_whole_and_to_another_splitting(
    overrides: list[str],
) -> None:
    point = share(overrides, 0, 2)
    for other in (point.paths.running, point.paths.lease(Shard(1, 3))):
        with hold_lease(other), pytest.raises(PointBusyError):
            share(overrides, 1, 2)
    with hold_lease(point.paths.lease(Shard(0, 2))):
        share(overrides, 1, 2)
        assert not point.paths.done.exists(), "the other share may still be writing"
    assert not point.paths.failures(), "a busy point has not failed"


def test_another_may_finish_the_point_while_a_share_looks_whether_it_is_complete(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def joined_just_now(paths: PointPaths, kind: str) -> pl.DataFrame:
        monkeypatch.undo()
        share(overrides, 1, 2)
        raise FileNotFoundError(paths.parts)

    share(overrides, 1, 2)
    monkeypatch.setattr("gradsweep.extraction.read_parts", joined_just_now)
    assert point_state(share(overrides, 0, 2).paths) is PointState.DONE


def test_the_failure_of_a_share_stays_until_it_is_mended(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no weights today")

    with monkeypatch.context() as patched:
        patched.setattr("gradsweep.extraction._models.get", broken)
        with pytest.raises(RuntimeError):
            share(overrides, 1, 2)
    point = share(overrides, 0, 2)
    assert point_state(point.paths) is PointState.FAILED
    assert point_state(share(overrides, 1, 2).paths) is PointState.DONE
    assert not point.paths.failures()


@pytest.mark.long
def test_a_writer_that_was_thought_dead_stops_and_doubles_nothing(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its node froze, its heartbeat got old, another host took over: then it wakes up."""
    slow = [*overrides, "gradients.batch_tokens=1"]
    wanted = whole(slow, tmp_path / "other")
    point = PointPaths(tmp_path / "results", wanted.paths.point_id)

    def taken_over() -> bool:
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr("socket.gethostname", lambda: "another-host")
            elsewhere.setattr("gradsweep.extraction._models", ModelCache())
            os.utime(point.running, (0, 0))
            extract(compose(*slow), show_progress=False)
        return False

    with pytest.raises(PointBusyError, match="taken over"):
        extract(compose(*slow), show_progress=False, stop=taken_over)
    assert point_state(point) is PointState.DONE
    assert_identical(PointResult(compose(*slow).axes, point), wanted)


def test_of_a_sample_measured_twice_one_outcome_counts(overrides: list[str]) -> None:
    """Two writers that knew nothing of each other, as after a takeover in the middle of a write."""
    point = share(overrides, 0, 2)
    rows, samples = read_parts(point.paths, "rows"), read_parts(point.paths, "samples")
    for part in list(point.paths.parts.glob("*.parquet")):
        part.with_name(part.name.replace(".parquet", "x.parquet")).write_bytes(part.read_bytes())
    assert_frame_equal(read_parts(point.paths, "rows"), rows, check_row_order=False)
    assert_frame_equal(read_parts(point.paths, "samples"), samples, check_row_order=False)


def test_batches_are_dealt_whole_evenly_and_the_same_way_each_time() -> None:
    sample = Sample("s", "q", "p", "r", 0)

    def unit(length: int) -> EncodedUnit:
        return EncodedUnit(Unit((sample,)), (EncodedSample(sample, [0] * length, 1, False),))

    batches = [[unit(length)] * 2 for length in range(3, 60)]
    hands = [dealt(batches, Shard(i, 4)) for i in range(4)]
    assert sorted((b for hand in hands for b in hand), key=lambda b: b[0].n_tokens) == batches
    work = [sum(unit.n_tokens for b in hand for unit in b) for hand in hands]
    assert max(work) - min(work) <= 2 * 59
    assert dealt(batches, Shard()) == batches
    assert pl.Series(work).sum() == sum(2 * n for n in range(3, 60))
