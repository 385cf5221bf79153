"""What would start, in which jobs, for how long: from files and settings alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.stored_costs import cost
from helpers.submitted_grid import taken_by_slurm
from rich.console import Console

from gradsweep.config import TrainingKind
from gradsweep.jobs.queue import points_in_jobs
from gradsweep.jobs.schedulers.base import LaunchSettings
from gradsweep.jobs.schedulers.local import LocalScheduler, LocalSettings
from gradsweep.jobs.schedulers.slurm import SlurmScheduler, SlurmSettings
from gradsweep.plan import Plan, PlannedPoint, make_plan
from gradsweep.plan.estimate import Basis, Cost
from gradsweep.plan.estimate.training import RunLength
from gradsweep.plan.forecast import Forecast, show_forecast
from gradsweep.plan.forecast import forecast as make_forecast
from gradsweep.plan.grouping import Task
from gradsweep.store import PointPaths
from gradsweep.store.lease import hold_lease

MakePlan = Callable[..., Plan]
A100 = SlurmSettings(gpus_per_node=1, gpu="A100", gpu_memory_gb=80, points_per_job=2)


def forecast(plan: Plan, given: LaunchSettings | None) -> Forecast:
    """The forecast of jobs with these settings, which knows the jobs of the results folder."""
    scheduler: Any = None
    if given is not None:
        kind = SlurmScheduler if isinstance(given, SlurmSettings) else LocalScheduler
        scheduler = kind(given)
    return make_forecast(plan, scheduler, points_in_jobs(Path(plan.results)))


@pytest.fixture
def grid(tmp_path: Path) -> MakePlan:
    def plan(*overrides: str) -> Plan:
        root = f"store.root={tmp_path / 'results'}"
        given = [root, "tracking=none", "model=llama3_8b", "dataset=gsm8k", *overrides]
        return make_plan(given, multirun=True)

    return plan


@pytest.fixture(autouse=True)
def no_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Whatever this machine has, its commands are not found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def finish(point: PlannedPoint, measured: Cost) -> None:
    """As if it had been run and had cost this."""
    paths = PointPaths(point.config.results, point.point_id)
    paths.folder.mkdir(parents=True)
    for name in (paths.rows, paths.samples):
        name.write_bytes(b"0" * 1000)
    raw = {name: value for name, value in vars(measured).items() if "stored" not in name}
    paths.summary.write_text(json.dumps({"samples": {"ok": measured.samples}, "cost": raw}))
    paths.done.write_text("{}")


def states(found: Forecast) -> dict[str, str]:
    return {point.planned.axes.cot: point.state for point in found.points}


def test_every_state_is_told_apart_and_only_what_is_left_starts(grid: MakePlan) -> None:
    plan = grid("cot=none,simplified,detailed", "n_samples=4")
    none, simplified, detailed = plan.points
    finish(none, cost())
    failed = PointPaths(detailed.config.results, detailed.point_id).failed
    failed.parent.mkdir(parents=True)
    failed.write_text("{}")
    running = PointPaths(simplified.config.results, simplified.point_id).running
    with hold_lease(running):
        again = grid("cot=none,simplified,detailed", "n_samples=4")
        found = forecast(again, A100)
    assert states(found) == {"none": "done", "simplified": "running", "detailed": "failed"}
    assert [point.planned.axes.cot for point in found.starting] == ["detailed"]
    (array,) = found.arrays
    assert [task.point_ids for task in array.tasks] == [(detailed.point_id,)]


def test_points_in_jobs_are_queued_and_do_not_start_again(grid: MakePlan) -> None:
    plan = grid("cot=none,detailed")
    queued = plan.points[0].point_id
    taken_by_slurm(Path(plan.results), Task("llama3_8b", (queued,)))
    found = forecast(grid("cot=none,detailed"), A100)
    assert states(found) == {"none": "queued", "detailed": "run"}
    assert found.points[0].job == "12_0"
    assert len(found.starting) == 1


def test_measured_points_replace_the_model(grid: MakePlan) -> None:
    plan = grid("cot=none,detailed", "n_samples=10", "seed=0,1")
    before = forecast(plan, A100)
    assert before.bases == {Basis.FLOPS: 4}
    finish(plan.points[2], cost(samples=10, tokens=5000, seconds=1000.0))
    found = forecast(grid("cot=none,detailed", "n_samples=10", "seed=0,1"), A100)
    assert found.bases == {Basis.CONDITION: 1, Basis.MODEL: 2}
    by_cot = {point.planned.axes.cot: point.seconds for point in found.starting}
    assert by_cot["detailed"] == pytest.approx(1000)
    assert by_cot["none"] == pytest.approx(1000 / 5000 * 64 * 10)
    assert found.wall_seconds > before.wall_seconds


def test_jobs_are_those_that_would_be_submitted(grid: MakePlan) -> None:
    found = forecast(grid("model=llama3_8b,qwen2_1.5b", "cot=none,detailed", "seed=0,1"), A100)
    (array,) = found.arrays
    assert [len(task.point_ids) for task in array.tasks] == [2, 2, 2, 2]
    assert len(found.job_seconds[0]) == 4
    assert found.wall_seconds == max(found.job_seconds[0]), "all at the same time"
    hours = found.device_hours["cuda"]
    assert hours == pytest.approx(sum(found.job_seconds[0]) / 3600)
    assert hours == pytest.approx(sum(model.device_hours for model in found.models))


def test_fewer_jobs_at_a_time_take_longer_and_as_many_gpu_hours(grid: MakePlan) -> None:
    plan = grid("cot=none,detailed", "seed=0,1,2,3")
    wide, narrow = (
        forecast(plan, SlurmSettings(gpus_per_node=1, points_per_job=1, array_parallelism=n))
        for n in (64, 1)
    )
    assert narrow.wall_seconds == pytest.approx(sum(wide.job_seconds[0]))
    assert narrow.wall_seconds > wide.wall_seconds
    assert narrow.device_hours == wide.device_hours


def test_without_slurm_its_default_limit_is_taken(grid: MakePlan, no_slurm: Path) -> None:
    plan = grid("cot=none", "seed=0,1,2")
    assert "its default MaxArraySize" in forecast(plan, A100).caveat
    command = no_slurm / "scontrol"
    command.write_text("#!/bin/sh\necho 'MaxArraySize            = 1'\n")
    command.chmod(0o755)
    found = forecast(plan, A100)
    assert not found.caveat
    assert [len(array.tasks) for array in found.arrays] == [1, 1]


def test_a_slurm_that_does_not_answer_is_done_without(grid: MakePlan, no_slurm: Path) -> None:
    command = no_slurm / "scontrol"
    command.write_text("#!/bin/sh\nexit 1\n")
    command.chmod(0o755)
    found = forecast(grid("cot=none"), A100)
    assert len(found.arrays) == 1
    assert "its default MaxArraySize" in found.caveat


def test_without_a_launcher_points_run_one_after_the_other(grid: MakePlan) -> None:
    found = forecast(grid("model=smollm2_135m_instruct", "cot=none,detailed"), None)
    assert found.arrays == ()
    measuring = sum(point.seconds for point in found.points)
    (model,) = found.models
    assert found.wall_seconds == pytest.approx(measuring + model.load_seconds)


def test_local_processes_share_the_cores(grid: MakePlan) -> None:
    plan = grid("model=smollm2_135m_instruct", "cot=none", "seed=0,1")
    alone, beside = (forecast(plan, LocalSettings(array_parallelism=n)) for n in (1, 1000))
    assert [len(array.tasks) for array in beside.arrays] == [2]
    assert beside.points[0].hardware.cores == 1
    assert (beside.points[0].duration.seconds or 0) >= (alone.points[0].duration.seconds or 0)


def test_a_model_that_does_not_fit_is_named_with_its_jobs_kept(grid: MakePlan) -> None:
    one_gpu = "model.device_map=null"
    found = forecast(grid("model=qwen2_1.5b,llama3.1_70b", one_gpu, "cot=none"), A100)
    misfits: dict[str, Any] = {m.config.model.name: m.misfit for m in found.models}
    assert misfits["qwen2_1.5b"] is None
    assert "model=llama3.1_70b in float32 needs" in misfits["llama3.1_70b"].problem


def test_shards_and_processes_take_their_share_of_the_time(grid: MakePlan) -> None:
    plan = grid("model=qwen2_1.5b", "cot=none,detailed")
    one = forecast(plan, replace(A100, gpus_per_node=4))
    shared = replace(A100, gpus_per_node=4, shards=2, tasks_per_node=4)
    eight = forecast(plan, shared)
    assert len(eight.arrays[0].tasks) == 2 * len(one.arrays[0].tasks)
    (alone,), (model,) = one.models, eight.models
    measuring = [seconds - alone.load_seconds for seconds in one.job_seconds[0]]
    for i, seconds in enumerate(eight.job_seconds[0]):
        assert seconds - model.load_seconds == pytest.approx(measuring[i // 2] / 8)
    assert model.n_loads == 8 * alone.n_loads
    assert model.hardware.gpus == 1


def test_training_points_have_steps_epochs_and_the_memory_of_what_they_train(
    grid: MakePlan,
) -> None:
    run = ("training.steps=30", "training.batch_size=4", "training.held_out=0.25", "n_samples=80")
    found = forecast(grid("training=none,full", "cot=none", *run), A100)
    plain, trained = found.points
    assert plain.run is None
    assert trained.run == RunLength(30, 2.0), "30 steps of 4 among 60 that are trained on"
    (model,) = found.models
    assert model.config.training.kind is TrainingKind.full, "the memory of the larger one"
    with (console := Console(width=140)).capture() as captured:
        show_forecast(found, console)
    lines = captured.get().splitlines()
    (header,) = (line for line in lines if "epochs" in line)
    assert header.split()[-5:] == ["steps", "epochs", "passes", "tokens", "time"]
    (shown,) = (line for line in lines if line.startswith(trained.planned.point_id))
    assert "  30       2  " in shown


def test_nothing_left_to_run_takes_nothing(grid: MakePlan) -> None:
    plan = grid("cot=none")
    finish(plan.points[0], cost())
    found = forecast(grid("cot=none"), A100)
    assert (found.starting, found.arrays, found.wall_seconds, found.disk_bytes) == ([], (), 0, 0)
