"""Nothing is submitted twice and nothing is lost, whenever the submitting command dies."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from helpers.model_files import write_model

from gradsweep.errors import DataError, SchedulerError
from gradsweep.identity import earlier_point_id
from gradsweep.jobs.frozen import frozen_config, read_frozen
from gradsweep.jobs.records import (
    SubmittedArray,
    TaskKey,
    TaskRun,
    read_submission,
    submissions,
    submitted_array,
    write_run,
)
from gradsweep.jobs.schedulers.base import Phase, TaskState
from gradsweep.jobs.schedulers.slurm import SlurmScheduler, SlurmSettings
from gradsweep.jobs.submit import Launched, submit
from gradsweep.plan import Plan
from gradsweep.store import PointPaths
from gradsweep.store.lease import hold_lease

MakePlan = Callable[..., Plan]
SETTINGS = SlurmSettings(points_per_job=1, snapshot=False)
FOUR = ("cot=none,detailed", "correctness=correct,irrelevant", "n_samples=2")


class FakeQueue(SlurmScheduler):
    """SLURM that keeps what it is given, and dies at an array of our choice."""

    names: ClassVar[set[str]]

    def __init__(self) -> None:
        super().__init__(SETTINGS)
        self.dies_after: int | None = None
        """Takes this many arrays; the next one is taken too, but nobody hears of it."""
        FakeQueue.names = set()

    def arrays(self, points: Any) -> Any:
        return self._arrays(points, max_array_size=2)

    @classmethod
    def live(cls, known: Any, seconds: float | None = None) -> dict[TaskKey, TaskState]:
        return {
            (submission.submission_id, array.number, task): TaskState(Phase.WAITING)
            for _, submission in known
            for array in submission.arrays
            if submission.job_name(array.number) in cls.names
            for task in range(len(array.tasks))
        }

    def start(self, paths: Any, submission: Any, array: Any, earlier: Any) -> SubmittedArray:
        self.names.add(submission.job_name(array.number))
        if len(self.names) - 1 == self.dies_after:
            raise KeyboardInterrupt
        return SubmittedArray(array.number, str(100 + array.number), "now")


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


def run(plan: Plan, queue: FakeQueue) -> Launched:
    return submit(plan, queue, ["command"])


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
    assert len(run(plan, queue).submitted) == 4
    second = run(plan, queue)
    assert (len(second.submitted), len(second.in_jobs)) == (0, 4)
    assert len(list(submissions(Path(plan.results)))) == 1


@pytest.mark.parametrize("dies_after", [0, 1])
def test_a_submitter_killed_in_the_middle_loses_and_doubles_nothing(
    grid: MakePlan, queue: FakeQueue, dies_after: int
) -> None:
    plan = grid(*FOUR)
    queue.dies_after = dies_after
    with pytest.raises(KeyboardInterrupt):
        run(plan, queue)
    queue.dies_after = None
    run(plan, queue)
    assert sorted(in_queue(Path(plan.results), queue)) == sorted(p.point_id for p in plan.points)


def test_another_sweep_with_the_same_points_leaves_them_to_their_jobs(
    grid: MakePlan, queue: FakeQueue
) -> None:
    run(grid(*FOUR), queue)
    wider = run(grid(*FOUR, "seed=0,1"), queue)
    assert (len(wider.submitted), len(wider.in_jobs)) == (4, 4)


def test_what_is_done_or_running_elsewhere_is_not_submitted(
    grid: MakePlan, queue: FakeQueue
) -> None:
    plan = grid(*FOUR)
    done, running, *rest = (PointPaths(Path(plan.results), p.point_id) for p in plan.points)
    done.folder.mkdir(parents=True)
    done.done.write_text("{}")
    with hold_lease(running.running):
        launched = run(plan, queue)
    assert launched.done == (done.point_id,)
    assert launched.running == (running.point_id,)
    assert launched.submitted == tuple(paths.point_id for paths in rest)


def test_a_queue_that_does_not_answer_submits_nothing(
    grid: MakePlan, queue: FakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = grid(*FOUR)
    run(plan, queue)

    def silent(known: Any, seconds: float | None = None) -> dict[TaskKey, TaskState]:
        raise SchedulerError("squeue does not answer")

    monkeypatch.setattr(queue, "live", silent)
    with pytest.raises(SchedulerError):
        run(plan, queue)
    assert len(list(submissions(Path(plan.results)))) == 1


def test_what_a_live_job_has_failed_is_not_waiting_in_it(grid: MakePlan, queue: FakeQueue) -> None:
    plan = grid(*FOUR)
    run(plan, queue)
    ((paths, submission),) = submissions(Path(plan.results))
    failed = submission.arrays[0].tasks[0].point_ids[0]
    start = TaskRun(0, 0, 0, "100_0", "n01", 1, "now", points={failed: "failed"})
    write_run(paths, start)
    assert run(plan, queue).submitted == (failed,)
    write_run(paths, replace(start, outcome="requeued"))
    assert run(plan, queue).submitted == (), "its next start tries all of its points again"


def test_a_submission_of_a_later_version_can_be_read_by_the_code_of_a_snapshot(
    grid: MakePlan, queue: FakeQueue
) -> None:
    plan = grid(*FOUR)
    run(plan, queue)
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
        run(plan, queue)
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
    run(plan, queue)
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
    run(plan, queue)
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
    run(plan, queue)
    ((paths, _),) = submissions(Path(plan.results))
    record = read_frozen(paths.frozen(plan.points[0].point_id))
    record["point_id"] = earlier_point_id(plan.points[0].config)
    del record["science"]["model"]["content"]
    record["science"]["model"]["path"] = str(folder)
    with pytest.raises(DataError, match=r"by its content, and not by its path.*submit it again"):
        frozen_config(record)
