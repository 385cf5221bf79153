"""What is submitted again, as what, and that nothing ever is submitted twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.submitted_grid import Cluster

from gradsweep.errors import ConfigError, PointBusyError, SchedulerError
from gradsweep.jobs import submit as submit_module
from gradsweep.jobs.frozen import frozen_config, read_frozen
from gradsweep.jobs.queue import submission_lease
from gradsweep.jobs.records import Submission, write_submission
from gradsweep.jobs.retry import Retried, retry
from gradsweep.jobs.schedulers.local import LocalScheduler, LocalSettings
from gradsweep.jobs.schedulers.slurm import SlurmScheduler, SlurmSettings
from gradsweep.jobs.status.lines import LEFT, State
from gradsweep.store.lease import hold_lease

Commands = Callable[[str, str], None]
InQueue = Callable[[str], None]
BOTH = (State.FAILED, *LEFT)


def again(cluster: Cluster, states: Any = BOTH, **options: Any) -> Retried:
    return retry(cluster.results, None, states, ["retry"], **options)


def points_of(submission: Submission) -> list[str]:
    return [i for array in submission.arrays for task in array.tasks for i in task.point_ids]


def test_failed_and_missing_points_are_told_apart(cluster: Cluster) -> None:
    cluster.submit(
        SlurmScheduler(SlurmSettings(snapshot=False, timeout_min=77, mem_gb=3, wait=True))
    )
    cluster.fail(0)
    cluster.lose(1)
    again(cluster, [State.FAILED])
    assert points_of(cluster.submissions()[-1][1]) == [cluster.points[0].point_id]
    again(cluster, LEFT)
    _, last = cluster.submissions()[-1]
    assert points_of(last) == [cluster.points[1].point_id]
    wanted = {"timeout_min": 77, "mem_gb": 3, "shards": 1, "tasks_per_node": 1}
    assert last.arrays[0].resources == wanted, "the same settings"
    assert last.max_restarts == SlurmSettings().max_restarts


def test_what_waits_runs_or_is_done_is_left_alone(cluster: Cluster, in_queue: InQueue) -> None:
    cluster.submit()
    in_queue("PENDING|Priority")
    cluster.stop(1)
    assert again(cluster) == Retried((), {})
    in_queue("PENDING|Priority")
    cluster.finish(0)
    assert again(cluster) == Retried((), {})
    assert len(cluster.submissions()) == 1


def test_retrying_twice_submits_once(cluster: Cluster, in_queue: InQueue) -> None:
    cluster.submit()
    cluster.fail(0)
    cluster.fail(1)
    assert len(again(cluster).submitted) == 1
    in_queue("PENDING|Priority")
    assert again(cluster) == Retried((), {})


def test_a_point_that_failed_in_a_job_which_goes_on_is_submitted(
    cluster: Cluster, in_queue: InQueue
) -> None:
    paths, _ = cluster.submit()
    in_queue("RUNNING|None")
    cluster.fail(0)
    cluster.began(paths, current=1, points={cluster.points[0].point_id: "failed"})
    again(cluster)
    assert points_of(cluster.submissions()[-1][1]) == [cluster.points[0].point_id]


def test_a_silent_queue_refuses(
    cluster: Cluster, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.submit()
    commands("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    monkeypatch.setattr("gradsweep.jobs.schedulers.slurm.commands.time.sleep", lambda seconds: None)
    with pytest.raises(SchedulerError, match=r"Unable to contact.*in a job"):
        again(cluster)
    assert len(cluster.submissions()) == 1


def test_a_local_job_on_another_machine_may_hold_what_it_has_not_started(
    cluster: Cluster, local_process: Callable[[bool], None]
) -> None:
    paths, submission = cluster.submit(LocalScheduler(LocalSettings(snapshot=False)))
    write_submission(paths, replace(submission, host="another-machine"))
    refused = again(cluster).refused
    assert set(refused) == {point.point_id for point in cluster.points}
    assert "another-machine: run retry there" in refused[cluster.points[0].point_id]
    assert again(cluster, [State.FAILED]) == Retried((), {})
    assert len(cluster.submissions()) == 1


def test_only_one_command_submits_at_a_time(cluster: Cluster) -> None:
    cluster.submit()
    with hold_lease(submission_lease(cluster.results)), pytest.raises(PointBusyError):
        again(cluster)


def test_the_frozen_config_is_run_whatever_was_edited_since(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, _ = cluster.submit()
    point = cluster.points[0]
    frozen = frozen_config(read_frozen(paths.frozen(point.point_id)))

    def edited(*overrides: str) -> None:
        raise AssertionError("composed from today's YAML")

    monkeypatch.setattr("gradsweep.jobs.retry.compose", edited)
    again(cluster)
    new, _ = cluster.submissions()[-1]
    assert frozen_config(read_frozen(new.frozen(point.point_id))) == frozen


def test_jobs_run_the_code_of_the_first_submission_unless_new_is_asked_for(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first = cluster.submit(SlurmScheduler(SlurmSettings(points_per_job=2)))
    for module in (submit_module, "gradsweep.jobs.retry"):
        name = module if isinstance(module, str) else module.__name__
        monkeypatch.setattr(f"{name}.code_digest", lambda: "edited")
    (same,) = again(cluster).submitted
    _, second = cluster.submissions()[-1]
    assert (second.code, second.snapshot) == (first.code, first.snapshot)
    assert same.other_code, "it is said"
    (new,) = again(cluster, new_code=True).submitted
    assert cluster.submissions()[-1][1].code == "edited"
    assert not new.other_code


def test_a_snapshot_that_is_gone_names_the_way_out(cluster: Cluster) -> None:
    paths, submission = cluster.submit()
    write_submission(paths, replace(submission, snapshot=str(cluster.results / "code" / "gone")))
    with pytest.raises(ConfigError, match="--code new"):
        again(cluster)


def test_a_point_that_no_submission_has_is_composed_from_the_manifest(cluster: Cluster) -> None:
    paths, _ = cluster.submit(SlurmScheduler(SlurmSettings(points_per_job=1, snapshot=False)))
    raw = json.loads(paths.submission.read_text())
    raw["arrays"][0]["tasks"].pop()  # as if the command had been killed before that
    paths.submission.write_text(json.dumps(raw))
    paths.frozen(cluster.points[1].point_id).unlink()
    cluster.finish(0)
    again(cluster)
    new, last = cluster.submissions()[-1]
    assert points_of(last) == [cluster.points[1].point_id]
    config = frozen_config(read_frozen(new.frozen(cluster.points[1].point_id)))
    assert (config.axes, config.sweep) == (cluster.points[1].axes, cluster.plan.name)


def test_points_without_any_job_are_refused_with_the_command_that_runs_them(
    cluster: Cluster,
) -> None:
    cluster.fail(0)
    refused = again(cluster).refused
    assert set(refused) == {point.point_id for point in cluster.points}
    assert "run python -m gradsweep -m cot=none,detailed" in refused[cluster.points[0].point_id]
    assert not cluster.submissions()


def test_data_that_have_changed_refuse_their_points_and_no_others(
    cluster: Cluster,
) -> None:
    paths, _ = cluster.submit()
    frozen = paths.frozen(cluster.points[0].point_id)
    frozen.write_text(frozen.read_text().replace("n_samples: 4", "n_samples: 3"))
    retried = again(cluster)
    assert "has changed since" in retried.refused[cluster.points[0].point_id]
    assert points_of(cluster.submissions()[-1][1]) == [cluster.points[1].point_id]


def test_relative_paths_are_meant_from_where_the_points_were_submitted(
    cluster: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    local_process: Callable[[bool], None],
) -> None:
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    cluster.submit(LocalScheduler(LocalSettings(snapshot=False)))
    monkeypatch.chdir(tmp_path)
    again(cluster)
    _, last = cluster.submissions()[-1]
    assert (last.working_folder, last.launcher) == (str(tmp_path / "there"), "local")
    assert Path.cwd() == tmp_path
