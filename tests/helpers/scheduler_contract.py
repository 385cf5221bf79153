"""The tests that every scheduler passes: `class TestMine(SchedulerContract)` with a `stage`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gradsweep.errors import ConfigError
from gradsweep.jobs.cancel import cancel
from gradsweep.jobs.place import Place
from gradsweep.jobs.queue import ask_queue, known_submissions
from gradsweep.jobs.retry import retry
from gradsweep.jobs.schedulers import scheduler_class
from gradsweep.jobs.schedulers.base import Scheduler
from gradsweep.jobs.status.lines import LEFT, State, SweepStatus
from gradsweep.jobs.status.observer import Observer
from gradsweep.jobs.status.table import status_table
from gradsweep.jobs.submit import submit
from gradsweep.jobs.tasks import JobTask
from gradsweep.plan import Plan, freeze, make_plan
from gradsweep.plan.forecast import forecast, show_forecast
from gradsweep.store import PointPaths
from helpers.patience import wait_until


@dataclass
class Stage:
    """A scheduler, and how a test ends its jobs from outside as a fault would."""

    scheduler: Scheduler[Any]
    end: Callable[[list[JobTask]], None]
    environment: dict[str, str] | None = None
    """Variables of a job, where they tell its place."""


class SchedulerContract:
    """Give a fixture `stage` whose scheduler has `points_per_job=1` and `snapshot=False`, and whose
    jobs wait or do nothing until they are ended."""

    @pytest.fixture
    def plan(self, tmp_path: Path) -> Plan:
        root = f"store.root={tmp_path / 'results'}"
        plan = make_plan([root, "tracking=none", "n_samples=2", "cot=none,detailed"], True)
        freeze(plan, ["python", "-m", "gradsweep"])
        return plan

    def test_its_name_and_its_recorded_settings_restore_it(self, stage: Stage) -> None:
        scheduler = stage.scheduler
        restored = scheduler_class(scheduler.name).restored(
            asdict(scheduler.settings) | {"of_a_later_version": 1}
        )
        assert type(restored) is type(scheduler)
        assert restored.settings == scheduler.settings

    def test_a_setting_that_it_does_not_have_is_named(self, stage: Stage) -> None:
        with pytest.raises(ConfigError, match=r"hydra\.launcher\.no_such.*points_per_job"):
            stage.scheduler.configured({"no_such": 1})

    def test_every_share_of_every_point_is_in_one_task(self, stage: Stage, plan: Plan) -> None:
        arrays = stage.scheduler.arrays(plan.points)
        shares = [
            (point_id, task.shard.index)
            for array in arrays
            for task in array.tasks
            for point_id in task.point_ids
        ]
        shards = stage.scheduler.settings.shards
        wanted = {(point.point_id, i) for point in plan.points for i in range(shards)}
        assert (len(shares), set(shares)) == (len(wanted), wanted)
        assert [array.number for array in arrays] == list(range(len(arrays)))
        assert all(array.after is None or array.after < array.number for array in arrays)

    def test_plan_describes_what_would_be_submitted(self, stage: Stage, plan: Plan) -> None:
        scheduler = stage.scheduler
        expected = forecast(plan, scheduler, {})
        assert len(expected.starting) == 2
        sizes = [len(array.tasks) for array in expected.arrays]
        assert sizes == [len(array.tasks) for array in scheduler.arrays(plan.points)]
        assert all(seconds > 0 for jobs in expected.job_seconds.values() for seconds in jobs)
        console = Console(file=StringIO(), width=200)
        show_forecast(expected, console)
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert scheduler.summary(expected.arrays) in text
        for array in expected.arrays:
            for words in (scheduler.array_name(array), *scheduler.options(array)):
                assert words in text
        assert ("not counting the queue" in text) == scheduler.shared

    def test_what_is_submitted_lives_until_it_ends(self, stage: Stage, plan: Plan) -> None:
        launched = submit(plan, stage.scheduler, ["command"])
        assert launched.submitted == tuple(point.point_id for point in plan.points)
        tasks = look(plan).tasks
        assert len(launched.jobs) == len({task.array for task in tasks})
        assert all(task.live and task.job_id for task in tasks)
        again = submit(plan, stage.scheduler, ["command"])
        assert (again.submitted, set(again.in_jobs)) == ((), set(launched.submitted))
        stage.end(list(tasks))
        wait_until_over(plan)
        assert submit(plan, stage.scheduler, ["command"]).submitted == launched.submitted
        stage.end(list(look(plan).tasks))

    def test_status_shows_its_jobs(self, stage: Stage, plan: Plan) -> None:
        submit(plan, stage.scheduler, ["command"])
        status = look(plan)
        assert status.complaint == ""
        assert {line.state for line in status.lines} == {State.QUEUED}
        console = Console(file=StringIO(), width=400)
        console.print(status_table(status, console))
        text = console.file.getvalue()  # type: ignore[attr-defined]
        assert all(task.job_id in text for task in status.tasks)
        stage.end(list(status.tasks))

    def test_how_a_job_was_ended_is_told_or_left_open(self, stage: Stage, plan: Plan) -> None:
        submit(plan, stage.scheduler, ["command"])
        tasks = list(look(plan).tasks)
        stage.end(tasks)
        wait_until_over(plan)
        lost = PointPaths(Path(plan.results), plan.points[0].point_id)
        lost.folder.mkdir(parents=True)
        lost.running.write_text("{}")  # as kill -9 leaves it
        ids = [task.job_id for task in tasks]
        endings = stage.scheduler.endings(ids, tasks[0].submission.written)
        assert set(endings) <= set(ids)
        (line,) = look(plan).of(State.LOST)
        told = endings.get(line.tasks[-1].job_id)
        assert line.note.startswith(told or "its process ended without a word")

    def test_cancelled_jobs_end_and_no_others(self, stage: Stage, plan: Plan) -> None:
        submit(plan, stage.scheduler, ["command"])
        first, second = (point.point_id for point in plan.points)
        cancelled = cancel(look(plan), {first})
        assert (cancelled.points, cancelled.problems) == ((first,), ())
        wait_until(
            lambda: first not in live_points(plan), "the end of the cancelled job", pause=0.05
        )
        assert second in live_points(plan)
        assert cancel(look(plan), {first, second}).problems == ()
        wait_until_over(plan)
        assert cancel(look(plan), {first, second}).ended == ()

    def test_retry_submits_to_the_same_scheduler(self, stage: Stage, plan: Plan) -> None:
        submit(plan, stage.scheduler, ["command"])
        results = Path(plan.results)
        assert retry(results, None, LEFT, ["retry"]).submitted == (), "they are in jobs"
        stage.end(list(look(plan).tasks))
        wait_until_over(plan)
        (again,) = retry(results, None, LEFT, ["retry"]).submitted
        assert len(again.order.points) == 2
        assert type(again.order.scheduler) is type(stage.scheduler)
        assert again.order.scheduler.settings == stage.scheduler.settings
        (_, first), (_, second) = known_submissions(results)
        assert (first.launcher, first.settings) == (second.launcher, second.settings)
        assert live_points(plan) == {point.point_id for point in plan.points}
        stage.end([task for task in look(plan).tasks if task.live])

    def test_requeued_jobs_live_on_and_a_refusal_says_why(self, stage: Stage, plan: Plan) -> None:
        scheduler = stage.scheduler
        submit(plan, scheduler, ["command"])
        task, *others = look(plan).tasks
        refusal = scheduler.requeue(task.job_id)
        assert refusal is None or len(refusal.split()) > 2
        assert scheduler.requeues or refusal
        assert task.key in {task.key for task in look(plan).tasks if task.live}
        stage.end([task, *others])

    def test_a_process_of_a_job_knows_its_place(self, stage: Stage) -> None:
        place = stage.scheduler.place(stage.environment or {})
        assert isinstance(place, Place)
        assert place.job_id
        assert place.node
        assert 0 <= place.process < place.processes

    def test_an_enclosing_job_hands_nothing_down(self, stage: Stage) -> None:
        inside = {"HOME": "/root", **(stage.environment or {})}
        assert stage.scheduler.outside(inside) == {"HOME": "/root"}


def look(plan: Plan) -> SweepStatus:
    observer = Observer(Path(plan.results))
    return observer.look(observer.ask())


def live_points(plan: Plan) -> set[str]:
    return {point_id for task in look(plan).tasks if task.live for point_id in task.left}


def wait_until_over(plan: Plan) -> None:
    known = known_submissions(Path(plan.results))
    wait_until(lambda: not ask_queue(known).states, "the end of all jobs", pause=0.05)
