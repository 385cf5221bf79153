"""A job: `python -m gradsweep.jobs.run FOLDER ARRAY [TASK]`.

It runs its points one by one from their frozen configs. What becomes of a point is in the
point's files; what becomes of the job, in its TaskRun. A failed point does not stop the next
one. Told to end, it finishes or drops the current batch and goes back into the queue; whatever
happens to it, the next start goes on at the first sample that is not stored.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradsweep.errors import GradsweepError, PointBusyError, RankLostError, StopRequested
from gradsweep.jobs.failures import record_failure, say_failure
from gradsweep.jobs.frozen import frozen_config, read_frozen
from gradsweep.jobs.place import keep_own_devices
from gradsweep.jobs.records import (
    JobPaths,
    Submission,
    TaskRun,
    read_submission,
    task_runs,
    write_run,
)
from gradsweep.jobs.schedulers import scheduler_class
from gradsweep.jobs.signals import StopSignal
from gradsweep.progress import console, show_error
from gradsweep.records import Axes, Shard
from gradsweep.store import PointPaths, PointState, point_state
from gradsweep.store.description import stored_axes
from gradsweep.store.lease import EXPIRY_SECONDS, HEARTBEAT_SECONDS, holder
from gradsweep.store.point import rivals, settled
from gradsweep.times import timestamp
from gradsweep.versions import code_digest

if TYPE_CHECKING:
    from gradsweep.models.rank_group import RankGroup

LOG_COLUMNS = 160
"""Width of a line in a log, which nothing else limits."""
POLL_SECONDS = 1.0
"""Pause between two looks at a lease that somebody else holds."""
WORDS = {
    "done": "done already",
    "cancelled": "cancelled",
    "elsewhere": "left to the process that is running it",
}
"""What is said of points that are not measured."""


class Job:
    """One start of one task."""

    def __init__(self, paths: JobPaths, array: int, task: int | None = None) -> None:
        """`task` is its number in the array; None where the scheduler's environment has it.

        Raises:
            ConfigError: the scheduler of the submission is not known here.
        """
        self.paths = paths
        self.submission: Submission = read_submission(paths.submission)
        self.scheduler = scheduler_class(self.submission.launcher)
        place = self.scheduler.place(os.environ)
        task = place.task if task is None else task
        assert task is not None, "the job's command has to say its task"
        self.task = self.submission.arrays[array].tasks[task]
        keep_own_devices(os.environ, place)
        self.shard = place.share_of(self.task.shard)
        earlier = [r for r in task_runs(paths, array, task) if r.process == place.process]
        self.run = TaskRun(
            array=array,
            task=task,
            restart=len(earlier),
            job_id=place.job_id,
            node=place.node,
            process_id=os.getpid(),
            started=timestamp(),
            process=place.process,
        )
        self.stop = StopSignal(self._drop_batch)

    def __call__(self) -> int:
        """Run the points; returns 1 when one failed or the job was told to end, else 0."""
        self.stop.install()
        if not console.is_terminal:
            console.width = LOG_COLUMNS
        write_run(self.paths, self.run)
        console.print(f"job {self.run.job_id} on {self.run.node}, start {self.run.restart + 1}")
        self._say_changed_code()
        try:
            for number, point_id in enumerate(self.task.point_ids, 1):
                self._note(point_id)
                label = f"[{number}/{len(self.task.point_ids)}] {point_id}{self.shard.suffix}"
                self.run.points[point_id] = self._run_point(point_id, label)
        except StopRequested:
            return self._end_early()
        self.stop.in_time()  # a warning during the last batch changes nothing
        self._end("ended")
        return int("failed" in self.run.points.values())

    def _run_point(self, point_id: str, label: str) -> str:
        """Returns what becomes of the point, as `TaskRun.points` has it."""
        record = read_frozen(self.paths.frozen(point_id))
        point = PointPaths(Path(record["config"]["store"]["root"]), point_id)
        ranks: RankGroup | None = None
        try:
            ranks = _ranks(record)
            with ranks.together() if ranks else nullcontext():
                outcome = self._without_measuring(point)
                if ranks:  # files may tell each process another thing
                    outcome = next(filter(None, ranks.gathered([outcome])), "")
            if outcome:
                console.print(f"{label}  {WORDS[outcome]}")
                return outcome
            label += f" {Axes(**stored_axes(record))}"
            console.print(label)
            self._measure(record, label, self.task.shard if ranks else self.shard)
        except PointBusyError as error:
            console.print(f"{label}  {error}", soft_wrap=True)
            return "elsewhere"
        except StopRequested:
            if self._is_to_end(ranks):
                raise
            console.print(f"{label}  cancelled; what is stored is kept")
            return "cancelled"
        except Exception as error:
            if isinstance(error, RankLostError) and self.stop():
                raise StopRequested("another process has ended, as was asked") from error
            say_failure(label, error)
            record_failure(point, record, error, self.shard)
            if isinstance(error, RankLostError):
                self._end_without_others(point_id)
            return "failed"
        done = point_state(point) is PointState.DONE
        console.print(f"{label}  {'done' if done else 'its share is done'}")
        return "done" if done else "shared"

    def _without_measuring(self, point: PointPaths) -> str:
        """Return what becomes of a point that is not to be measured here; empty where it is.

        Raises:
            StopRequested: told to end.
        """
        if self.stop():
            raise StopRequested("stopped between two points")
        if settled(point):
            return "done"
        if self._cancelled(point.point_id):
            return "cancelled"
        return "" if self._free(point) else "elsewhere"

    def _is_to_end(self, ranks: RankGroup | None) -> bool:
        """Whether the job was told to end, as far as any process that shares a model knows."""
        try:
            return ranks.any(self.stop()) if ranks else self.stop()
        except RankLostError:
            return True

    def _end_without_others(self, point_id: str) -> None:
        """End where nothing that waits for the others can be left in order."""
        self.run.points[point_id] = "failed"
        self._end("ended")
        sys.stdout.flush()
        os._exit(1)

    def _measure(self, record: dict[str, Any], label: str, shard: Shard) -> None:
        config = frozen_config(record)
        if not self.submission.settings.get("check_memory", True):
            config = replace(config, gradients=replace(config.gradients, check_memory=False))
        # torch and transformers take seconds to import: not for points that are done.
        from gradsweep.extraction import extract

        extract(
            config,
            label=label,
            stop=lambda: self.stop() or self._cancelled(record["point_id"]),
            shard=shard,
        )

    def _cancelled(self, point_id: str) -> bool:
        """Whether `cancel` has taken this point out of a job that has others to run."""
        return self.paths.cancelled(point_id).exists()

    def _free(self, point: PointPaths) -> bool:
        """Whether nobody alive is in the way, which a dead holder's lease shows by expiring.

        Raises:
            StopRequested: told to end while waiting for that.
        """
        in_the_way = [*rivals(point, self.shard), point.lease(self.shard)]
        beats = [_beat(lease) for lease in in_the_way]
        deadline = time.monotonic() + EXPIRY_SECONDS + 2 * HEARTBEAT_SECONDS
        while any(holder(lease) for lease in in_the_way):
            if self.stop():
                raise StopRequested("stopped while waiting for a lease")
            if [_beat(lease) for lease in in_the_way] != beats or time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def _end_early(self) -> int:
        self.stop.in_time()
        signal = self.stop.received
        who = signal.name if signal else "another process was told to end"
        console.print(f"{who}: stopped; what is stored is kept")
        self._requeue_or_stop()
        return 1

    def _drop_batch(self) -> None:
        """End in a batch that takes too long: stored is stored, so the process may end anywhere."""
        assert self.stop.received is not None
        console.print(f"{self.stop.received.name}: the current batch is dropped")
        with contextlib.suppress(GradsweepError):  # a full disk must not keep it from requeuing
            self._requeue_or_stop()
        sys.stdout.flush()
        os._exit(1)

    def _requeue_or_stop(self) -> None:
        again = self.scheduler.requeues and self.stop.wants_requeue
        if again and self.run.restart >= self.submission.max_restarts:
            show_error(
                f"started {self.run.restart + 1} times: hydra.launcher.max_restarts="
                f"{self.submission.max_restarts}; the same command submits it again"
            )
            again = False
        self._end("requeued" if again else "stopped")
        if not again:
            return
        refusal = self.scheduler.requeue(self.run.job_id)
        if refusal and not self._requeued_by_sibling():
            show_error(f"{refusal}; run the same command again to go on")

    def _requeued_by_sibling(self) -> bool:
        """Whether another process of the task has asked before: the later ones are refused."""
        return any(
            run.outcome == "requeued" and run.process != self.run.process
            for run in task_runs(self.paths, self.run.array, self.run.task)
            if run.restart == self.run.restart
        )

    def _note(self, point_id: str) -> None:
        self.run.current = point_id
        write_run(self.paths, self.run)

    def _end(self, outcome: str) -> None:
        self.run.outcome, self.run.ended, self.run.current = outcome, timestamp(), None
        write_run(self.paths, self.run)

    def _say_changed_code(self) -> None:
        if code_digest() != self.submission.code:
            console.print(
                "note: the code has changed since this job was submitted "
                "(hydra.launcher.snapshot=true keeps it)",
                soft_wrap=True,
            )


def _ranks(record: Mapping[str, Any]) -> RankGroup | None:
    """The job's processes, where they share the point's model."""
    if record["config"]["model"].get("placement") is None:
        return None
    from gradsweep.models.rank_group import rank_group

    return rank_group(record["config"]["gradients"]["device"])


def _beat(lease: Path) -> float | None:
    try:
        return lease.stat().st_mtime
    except FileNotFoundError:
        return None


def main() -> None:
    folder, array, *task = sys.argv[1:]
    sys.exit(Job(JobPaths(Path(folder)), int(array), int(task[0]) if task else None)())


if __name__ == "__main__":
    main()
