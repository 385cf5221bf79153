"""Jobs end when nothing is left for them; points of a job with others are taken out of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from helpers.submitted_grid import Cluster

from gradsweep.jobs.cancel import Cancelled, cancel
from gradsweep.jobs.schedulers.local import LocalScheduler, LocalSettings
from gradsweep.jobs.schedulers.slurm import SlurmScheduler, SlurmSettings
from gradsweep.jobs.status.lines import State
from gradsweep.jobs.submit import submit

Commands = Callable[[str, str], None]
InQueue = Callable[[str], None]


def cancelled(cluster: Cluster, *numbers: int) -> Cancelled:
    return cancel(cluster.look(), {cluster.points[n].point_id for n in numbers})


def scancelled(cluster: Cluster) -> list[str]:
    file = cluster.results.parent / "scancelled"
    return file.read_text().split() if file.exists() else []


def test_a_job_with_other_points_goes_on_with_them(cluster: Cluster, in_queue: InQueue) -> None:
    cluster.submit()
    in_queue("PENDING|Priority")
    first, second = (point.point_id for point in cluster.points)
    found = cancelled(cluster, 0)
    assert (found.points, found.ended, scancelled(cluster)) == ((first,), (), [])
    assert [task.left for task in found.narrowed] == [[second]]
    assert cluster.states() == [State.NEW, State.QUEUED]
    assert cluster.lines()[0].note == "cancelled"


def test_the_job_ends_with_its_last_point(cluster: Cluster, in_queue: InQueue) -> None:
    paths, _ = cluster.submit()
    in_queue("RUNNING|None")
    cluster.finish(0)
    cluster.began(paths, current=1, points={cluster.points[0].point_id: "done"})
    found = cancelled(cluster, 1)
    assert [task.job_id for task in found.ended] == ["12_0"]
    assert scancelled(cluster)[-1] == "12_0"


def test_all_jobs_that_share_out_a_point_end_with_it(cluster: Cluster, commands: Commands) -> None:
    cluster.submit(SlurmScheduler(SlurmSettings(points_per_job=2, shards=2, snapshot=False)))
    _, submission = cluster.submissions()[-1]
    name = submission.job_name(0)
    commands("squeue", f"echo '12_0|PENDING|{name}|None'; echo '12_1|PENDING|{name}|None'")
    first = cancelled(cluster, 0)
    assert (len(first.narrowed), scancelled(cluster)) == (2, [])
    assert [task.job_id for task in cancelled(cluster, 1).ended] == ["12_0", "12_1"]
    assert scancelled(cluster)[-2:] == ["12_0", "12_1"]


def test_a_cancelled_point_can_be_submitted_while_its_job_goes_on(
    cluster: Cluster, in_queue: InQueue
) -> None:
    cluster.submit()
    in_queue("PENDING|Priority")
    cancelled(cluster, 0)
    launched = submit(cluster.plan, SlurmScheduler(SlurmSettings(snapshot=False)), ["command"])
    assert launched.submitted == (cluster.points[0].point_id,)
    assert launched.in_jobs == (cluster.points[1].point_id,)


def test_what_is_over_is_not_cancelled(cluster: Cluster) -> None:
    cluster.submit()
    assert cancelled(cluster, 0, 1) == Cancelled((), (), (), ())


def test_without_scancel_the_jobs_are_told_by_files_and_the_command_is_named(
    cluster: Cluster, commands: Commands, in_queue: InQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradsweep.jobs.schedulers.slurm.commands.time.sleep", lambda seconds: None)
    paths, _ = cluster.submit()
    in_queue("PENDING|Priority")
    commands("scancel", "echo 'Unable to contact slurm controller' >&2; exit 1")
    (problem,) = cancelled(cluster, 0, 1).problems
    assert "Unable to contact" in problem
    assert "scancel 12_0" in problem
    assert all(paths.cancelled(point.point_id).exists() for point in cluster.points)


def test_a_local_process_gets_sigterm_only_while_it_is_ours(
    cluster: Cluster, local_process: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    cluster.submit(LocalScheduler(LocalSettings(snapshot=False)))
    cancelled(cluster, 0, 1)
    assert sent == [], "the number may be another program's by now"
    local_process(True)
    cancelled(cluster, 0, 1)
    assert sent == [(os.getpid(), signal.SIGTERM)]


def test_a_point_that_runs_outside_of_jobs_is_left_to_its_owner(cluster: Cluster) -> None:
    found: list[Cancelled] = []
    cluster.store(0, lambda store: found.append(cancelled(cluster, 0)))
    assert f"process {os.getpid()}" in found[0].problems[0]
