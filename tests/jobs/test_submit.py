"""Nothing is submitted twice and nothing is lost, whenever the submitting command dies."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from helpers.model_files import write_model

from gradsweep.errors import DataError, SchedulerError
from gradsweep.identity import earlier_point_id
from gradsweep.jobs import submit as submit_module
from gradsweep.jobs.frozen import frozen_config, read_frozen
from gradsweep.jobs.grouping import group_points, make_arrays
from gradsweep.jobs.records import (
    SubmittedArray,
    TaskRun,
    read_submission,
    submissions,
    submitted_array,
    write_run,
)
from gradsweep.jobs.settings import SlurmSettings
from gradsweep.jobs.submit import Launched, submit
from gradsweep.plan import Plan
from gradsweep.store import PointPaths
from gradsweep.store.lease import hold_lease

MakePlan = Callable[..., Plan]
SETTINGS = SlurmSettings(points_per_job=1, snapshot=False)
FOUR = ("cot=none,detailed", "correctness=correct,irrelevant", "n_samples=2")


@dataclass
class FakeQueue:
    """A scheduler that keeps what it is given, and dies at an array of our choice."""

    max_array_size: int = 2
    dies_after: int | None = None
    """Takes this many arrays; the next one is taken too, but nobody hears of it."""
    names: set[str] = field(default_factory=set)
    name: str = "slurm"

    def arrays(self, points: Any) -> Any:
        return make_arrays(group_points(points, 1), SETTINGS, self.max_array_size)

    def live(self, known: Any) -> set[tuple[str, int, int]]:
        return {
            (one.submission_id, array.number, task)
            for _, one in known
            for array in one.arrays
            if one.job_name(array.number) in self.names
            for task in range(len(array.tasks))
        }

    def start(self, paths: Any, submission: Any, array: Any, earlier: Any) -> SubmittedArray:
        self.names.add(submission.job_name(array.number))
        if len(self.names) - 1 == self.dies_after:
            raise KeyboardInterrupt
        return SubmittedArray(array.number, str(100 + array.number), "now")


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> FakeQueue:
    queue = FakeQueue()
    monkeypatch.setattr(submit_module, "scheduler_of", lambda settings: queue)
    return queue


def run(plan: Plan) -> Launched:
    return submit(plan, SETTINGS, ["command"])


def in_queue(results: Path, queue: FakeQueue) -> list[str]:
    return [
        point_id
        for _, submission in submissions(results)
        for array in submission.arrays
        if submission.job_name(array.number) in queue.names
        for task in array.tasks
        for point_id in task.point_ids
    ]


def test_the_same_command_twice_submits_once(grid: MakePlan, queue: FakeQueue) -> None:
    plan = grid(*FOUR)
    assert len(run(plan).submitted) == 4
    second = run(plan)
    assert (len(second.submitted), len(second.in_jobs)) == (0, 4)
    assert len(list(submissions(Path(plan.results)))) == 1


@pytest.mark.parametrize("dies_after", [0, 1])
def test_a_submitter_killed_in_the_middle_loses_and_doubles_nothing(
    grid: MakePlan, queue: FakeQueue, dies_after: int
) -> None:
    plan = grid(*FOUR)
    queue.dies_after = dies_after
    with pytest.raises(KeyboardInterrupt):
        run(plan)
    queue.dies_after = None
    run(plan)
    assert sorted(in_queue(Path(plan.results), queue)) == sorted(p.point_id for p in plan.points)


def test_another_sweep_with_the_same_points_leaves_them_to_their_jobs(
    grid: MakePlan, queue: FakeQueue
) -> None:
    run(grid(*FOUR))
    wider = run(grid(*FOUR, "seed=0,1"))
    assert (len(wider.submitted), len(wider.in_jobs)) == (4, 4)


def test_what_is_done_or_running_elsewhere_is_not_submitted(
    grid: MakePlan, queue: FakeQueue
) -> None:
    plan = grid(*FOUR)
    done, running, *rest = (PointPaths(Path(plan.results), p.point_id) for p in plan.points)
    done.folder.mkdir(parents=True)
    done.done.write_text("{}")
    with hold_lease(running.running):
        launched = run(plan)
    assert launched.done == (done.point_id,)
    assert launched.running == (running.point_id,)
    assert launched.submitted == tuple(paths.point_id for paths in rest)


def test_a_queue_that_does_not_answer_submits_nothing(
    grid: MakePlan, queue: FakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = grid(*FOUR)
    run(plan)

    def silent(known: Any) -> set[tuple[str, int, int]]:
        raise SchedulerError("squeue does not answer")

    monkeypatch.setattr(queue, "live", silent)
    with pytest.raises(SchedulerError):
        run(plan)
    assert len(list(submissions(Path(plan.results)))) == 1


def test_what_a_live_job_has_failed_is_not_waiting_in_it(grid: MakePlan, queue: FakeQueue) -> None:
    plan = grid(*FOUR)
    run(plan)
    ((paths, submission),) = submissions(Path(plan.results))
    failed = submission.arrays[0].tasks[0].point_ids[0]
    start = TaskRun(0, 0, 0, "100_0", "n01", 1, "now", points={failed: "failed"})
    write_run(paths, start)
    assert run(plan).submitted == (failed,)
    write_run(paths, replace(start, outcome="requeued"))
    assert run(plan).submitted == (), "its next start tries all of its points again"


def test_a_submission_of_a_later_version_can_be_read_by_the_code_of_a_snapshot(
    grid: MakePlan, queue: FakeQueue
) -> None:
    plan = grid(*FOUR)
    run(plan)
    ((paths, submission),) = submissions(Path(plan.results))
    raw = json.loads(paths.submission.read_text())
    raw["arrays"][0]["colour"] = raw["colour"] = "of a later version"
    paths.submission.write_text(json.dumps(raw))
    assert read_submission(paths.submission) == submission
    assert submission.settings["points_per_job"] == 1


def test_everything_a_job_needs_is_written_before_it_is_submitted(
    grid: MakePlan, queue: FakeQueue
) -> None:
    plan = grid(*FOUR)
    queue.dies_after = 0
    with pytest.raises(KeyboardInterrupt):
        run(plan)
    ((paths, _),) = submissions(Path(plan.results))
    assert submitted_array(paths, 0) is None
    for point in plan.points:
        config = frozen_config(read_frozen(paths.frozen(point.point_id)))
        assert config.axes == point.axes
        assert config.sweep == plan.name
        assert config.results.is_absolute()


def test_data_edited_after_submission_are_noticed(
    grid: MakePlan, queue: FakeQueue, tmp_path: Path
) -> None:
    data = tmp_path / "mine.jsonl"
    data.write_text('{"prompt": "1 + 1?", "responses": {"none": "2"}}\n')
    plan = grid("dataset=jsonl", f"dataset.path={data}", "cot=none")
    run(plan)
    ((paths, _),) = submissions(Path(plan.results))
    data.write_text('{"prompt": "1 + 1?", "responses": {"none": "3"}}\n')
    with pytest.raises(DataError, match=r"^dataset=.* has changed since"):
        frozen_config(read_frozen(paths.frozen(plan.points[0].point_id)))


def test_weights_replaced_after_submission_are_noticed(
    grid: MakePlan, queue: FakeQueue, tmp_path: Path
) -> None:
    folder = tmp_path / "last"
    write_model(folder, b"before")
    plan = grid("model=folder", f"model.source.path={folder}", "cot=none")
    run(plan)
    ((paths, _),) = submissions(Path(plan.results))
    record = read_frozen(paths.frozen(plan.points[0].point_id))
    assert frozen_config(record).model == plan.points[0].config.model
    write_model(folder, b"after!")
    with pytest.raises(DataError, match=rf"model\.source\.path={folder}\) have changed since"):
        frozen_config(record)


def test_a_job_frozen_when_a_folder_counted_by_its_path_says_what_has_changed(
    grid: MakePlan, queue: FakeQueue, tmp_path: Path
) -> None:
    folder = tmp_path / "last"
    write_model(folder, b"weights")
    plan = grid("model=folder", f"model.source.path={folder}", "cot=none")
    run(plan)
    ((paths, _),) = submissions(Path(plan.results))
    record = read_frozen(paths.frozen(plan.points[0].point_id))
    record["point_id"] = earlier_point_id(plan.points[0].config)
    del record["science"]["model"]["content"]
    record["science"]["model"]["path"] = str(folder)
    with pytest.raises(DataError, match=r"by its content, and not by its path.*submit it again"):
        frozen_config(record)
