"""States of points from files and queue; the queue may be silent, absent or not needed."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from helpers.submitted_grid import BEGAN, Cluster, sample
from rich.console import Console

from gradsweep.errors import DataError
from gradsweep.jobs.records import (
    JobPaths,
    SubmittedArray,
    write_submission,
    write_submitted_array,
)
from gradsweep.jobs.schedulers.local import LocalScheduler, LocalSettings
from gradsweep.jobs.status.lines import State
from gradsweep.jobs.status.observer import Observer
from gradsweep.jobs.status.table import status_table
from gradsweep.records import SampleStatus
from gradsweep.store.lease import EXPIRY_SECONDS
from gradsweep.store.point import PointStore
from gradsweep.store.state import PointState, point_statuses

Commands = Callable[[str, str], None]
InQueue = Callable[[str], None]
SILENT = "echo 'Unable to contact slurm controller' >&2; exit 1"


def test_a_planned_point_is_shown_before_anything_was_submitted(cluster: Cluster) -> None:
    first, second = cluster.lines()
    assert (first.state, second.state) == (State.NEW, State.NEW)
    assert (first.total, first.n_stored, first.point.axes["cot"]) == (4, 0, "none")


def test_an_empty_folder_is_an_error_that_says_what_to_pass(cluster: Cluster) -> None:
    empty = Observer(cluster.results.parent / "elsewhere")
    with pytest.raises(DataError, match="elsewhere: pass the folder"):
        empty.look(empty.ask())


def test_a_job_in_the_queue_is_waited_for_and_says_why_it_waits(
    cluster: Cluster, in_queue: InQueue
) -> None:
    cluster.submit()
    in_queue("PENDING|Priority")
    line, _ = cluster.lines()
    assert (line.state, line.note, line.tasks[0].job_id) == (State.QUEUED, "Priority", "12_0")


def test_a_running_job_measures_one_point_and_the_others_wait(
    cluster: Cluster, in_queue: InQueue
) -> None:
    paths, _ = cluster.submit()
    in_queue("RUNNING|None")
    cluster.began(paths, current=0)
    assert cluster.states() == [State.RUNNING, State.QUEUED], "also while it loads its data"

    states: list[State] = []
    cluster.store(0, lambda store: states.extend(cluster.states()))
    assert states == [State.RUNNING, State.QUEUED]
    assert cluster.lines()[0].tasks[0].last.node == "n01"  # type: ignore[union-attr]


def test_a_point_that_failed_in_a_job_which_goes_on_has_failed(
    cluster: Cluster, in_queue: InQueue
) -> None:
    paths, _ = cluster.submit()
    in_queue("RUNNING|None")
    cluster.fail(0)
    cluster.began(paths, current=1, points={cluster.points[0].point_id: "failed"})
    line, _ = cluster.lines()
    assert line.note == "RuntimeError: a bad point", "in one line"
    assert cluster.states() == [State.FAILED, State.RUNNING]


def test_a_killed_process_leaves_a_lost_point_and_accounting_may_say_why(
    cluster: Cluster, commands: Commands
) -> None:
    paths, _ = cluster.submit()
    cluster.began(paths, current=0)
    cluster.lose(0)
    line, other = cluster.lines()
    assert (line.state, other.state) == (State.LOST, State.NEW)
    assert "without a word" in line.note, "nothing but the files is needed to know that"

    commands("sacct", "echo '12_0|OUT_OF_MEMORY'")
    assert cluster.lines()[0].note.startswith("OUT_OF_MEMORY")


def test_a_lost_point_whose_job_is_in_the_queue_again_waits(
    cluster: Cluster, in_queue: InQueue
) -> None:
    paths, _ = cluster.submit()
    cluster.began(paths, current=0)
    cluster.lose(0)
    in_queue("PENDING|BeginTime")
    assert cluster.states() == [State.QUEUED, State.QUEUED]


@pytest.mark.parametrize("squeue", [SILENT, None])
def test_without_a_queue_the_files_tell_and_the_reason_is_given(
    cluster: Cluster, commands: Commands, squeue: str | None
) -> None:
    paths, _ = cluster.submit()
    if squeue:
        commands("squeue", squeue)
    else:
        (cluster.results.parent / "bin" / "squeue").unlink()
    status = cluster.look()
    assert {line.state for line in status.lines} == {State.SUBMITTED}
    assert ("Unable to contact" if squeue else "no squeue") in status.complaint

    cluster.finish(0)
    cluster.began(paths, current=1, points={cluster.points[0].point_id: "done"})
    states: list[State] = []
    cluster.store(1, lambda store: states.extend(cluster.states()))
    assert states == [State.DONE, State.RUNNING]

    cluster.began(paths, ended="2026-01-01T10:05:00+0000", outcome="stopped")
    assert cluster.states() == [State.DONE, State.STOPPED], "a job that wrote its end is over"


def test_a_point_that_several_jobs_hold_names_all_of_them(
    cluster: Cluster, commands: Commands
) -> None:
    paths, submission = cluster.submit()
    cluster.began(paths, current=0)
    other = JobPaths(paths.folder.with_name("abcd1234"))
    twin = replace(submission, submission_id="abcd1234")
    write_submission(other, twin)
    write_submitted_array(other, SubmittedArray(0, "13", BEGAN))
    cluster.began(other, current=0, job_id="13_0", node="n02")
    lines = (f"12_0|RUNNING|{submission.job_name(0)}|None", f"13_0|RUNNING|{twin.job_name(0)}|None")
    commands("squeue", "; ".join(f"echo '{line}'" for line in lines))
    line, _ = cluster.lines()
    assert [task.job_id for task in line.tasks] == ["12_0", "13_0"]
    console = Console(file=io.StringIO(), width=200)
    console.print(status_table(cluster.look(), console))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "2 jobs" in text
    assert "n01, n02" in text


def test_squeue_is_not_asked_where_nothing_was_submitted_to_slurm(
    cluster: Cluster, commands: Commands, local_process: Callable[[bool], None]
) -> None:
    commands("squeue", SILENT)
    cluster.submit(LocalScheduler(LocalSettings(snapshot=False)))
    local_process(True)
    status = cluster.look()
    assert status.complaint == ""
    assert {line.state for line in status.lines} == {State.QUEUED}
    local_process(False)
    assert cluster.states() == [State.NEW, State.NEW]


def test_a_silent_holder_on_another_host_is_lost_only_when_its_heartbeat_is_old(
    cluster: Cluster,
) -> None:
    cluster.stop(0)
    lease = cluster.files(0).running
    lease.write_text(f'{{"host": "elsewhere", "pid": 7, "since": "{BEGAN}"}}')
    assert cluster.states()[0] is State.RUNNING
    assert "process 7 on elsewhere" in cluster.lines()[0].note
    then = time.time() - 2 * EXPIRY_SECONDS
    os.utime(lease, (then, then))
    assert cluster.states()[0] is State.LOST


def test_a_holder_whose_clock_is_far_ahead_is_told_with_how_to_end_it(cluster: Cluster) -> None:
    cluster.stop(0)
    lease = cluster.files(0).running
    lease.write_text(f'{{"host": "elsewhere", "pid": 7, "since": "{BEGAN}"}}')
    ahead = time.time() + 1000 * EXPIRY_SECONDS
    os.utime(lease, (ahead, ahead))
    line = cluster.lines()[0]
    assert line.state is State.RUNNING
    assert f"process 7 on elsewhere; if that process has ended, rm {lease}: " in line.note
    (status,) = (s for s in point_statuses(cluster.results) if s.state is PointState.RUNNING)
    assert f"process 7 on elsewhere; if that process has ended, rm {lease}: " in status.note


def test_samples_of_a_finished_point_are_those_it_had(cluster: Cluster) -> None:
    cluster.finish(0, n_samples=3)
    cluster.store(
        1, lambda store: store.append([sample(0), sample(1, status=SampleStatus.EMPTY_RESPONSE)])
    )
    done, stopped = cluster.lines()
    assert (done.n_stored, done.total) == (3, 3), "its data had fewer than were asked for"
    assert (stopped.n_stored, stopped.n_bad, stopped.total) == (2, 1, 4)


def test_the_present_rate_says_how_long_what_waits_will_take(
    cluster: Cluster, in_queue: InQueue
) -> None:
    paths, _ = cluster.submit()
    in_queue("RUNNING|None")
    cluster.began(paths, current=0)
    found = []

    def write(store: PointStore) -> None:
        for number in range(3):
            store.append([sample(number)])
        now = time.time()
        for age, part in zip((20, 10, 0), sorted(store.paths.parts.glob("s*")), strict=True):
            os.utime(part, (now - age, now - age))
        found.append(cluster.look())

    cluster.store(0, write)
    (status,) = found
    assert status.rate == pytest.approx(2 / 20, rel=0.2)
    assert status.left_seconds == pytest.approx(5 / status.rate), "1 of this point, 4 queued"


def test_efficiency_is_the_measuring_share_of_all_starts(cluster: Cluster) -> None:
    paths, _ = cluster.submit()
    cluster.began(paths, ended="2026-01-01T10:00:10+0000", outcome="requeued")
    again = {"started": "2026-01-01T11:00:00+0000", "ended": "2026-01-01T11:00:30+0000"}
    cluster.began(paths, restart=1, outcome="ended", **again)
    for number in (0, 1):
        cluster.finish(number, n_samples=4)
    efficiency = cluster.look().efficiency
    assert efficiency is not None
    assert (efficiency.wall, efficiency.measuring) == (40.0, 16.0), "not the hour in the queue"


def test_one_look_follows_points_that_are_finished_between_two(cluster: Cluster) -> None:
    observer = Observer(cluster.results)
    cluster.stop(0, n_samples=2)
    (before, _) = observer.look(observer.ask()).lines
    first, *_ = sorted(cluster.files(0).parts.glob("samples-*.parquet"))
    first.unlink()  # joined just now
    cluster.finish(0)
    (after, _) = observer.look(observer.ask()).lines
    assert (before.state, before.n_stored) == (State.STOPPED, 2)
    assert (after.state, after.n_stored) == (State.DONE, 4)
