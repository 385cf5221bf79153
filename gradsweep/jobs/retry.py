"""Submits points that failed or got lost again, as they were: same configs, settings, code."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from gradsweep.config import Config
from gradsweep.config.composition import compose
from gradsweep.errors import ConfigError, DataError, GradsweepError, SchedulerError
from gradsweep.identity import point_id
from gradsweep.jobs.frozen import frozen_config, read_frozen
from gradsweep.jobs.queue import Known, ask_queue, known_submissions, submission_lease
from gradsweep.jobs.records import JobPaths, Submission
from gradsweep.jobs.schedulers import scheduler_class
from gradsweep.jobs.status.lines import LEFT, Line, State
from gradsweep.jobs.status.observer import Observer
from gradsweep.jobs.submit import Code, Order, hand_over
from gradsweep.plan import PlannedPoint
from gradsweep.store import PointState, SweepPaths
from gradsweep.store.lease import hold_lease
from gradsweep.store.metadata import read_manifest
from gradsweep.versions import code_digest


@dataclass(frozen=True)
class Resubmitted:
    """One new submission."""

    order: Order
    origin: Submission
    """Whose settings, and unless new code was asked for whose code, it has."""
    jobs: tuple[str, ...]
    paths: JobPaths

    @property
    def other_code(self) -> bool:
        """Whether today's package is not what these jobs run."""
        code = self.order.code
        return code is not None and code.snapshot is not None and code.digest != code_digest()


@dataclass(frozen=True)
class Retried:
    """The fate of every point that was to be submitted again."""

    submitted: tuple[Resubmitted, ...]
    refused: dict[str, str]
    """point_id -> why not, and what to do."""


def retry(
    results: Path,
    sweep: str | None,
    states: Collection[State],
    command: Sequence[str],
    new_code: bool = False,
    words: Sequence[str] = (),
) -> Retried:
    """Submit the points that are in one of these states.

    Args:
        results: the results folder.
        sweep: only its points; those of all sweeps when None.
        states: FAILED, and those of `LEFT`.
        command: what was typed.
        new_code: jobs run today's package, not the one that the points were submitted with.
        words: ids and filters of the points; all when there are none.

    Raises:
        SchedulerError: the queue does not answer: a point might be in it. Or it refuses the jobs.
        PointBusyError: another command is submitting into this results folder just now.
        DataError, ConfigError: nothing is there; the snapshot of the code is gone; a scheduler is
            not known here.
    """
    results = results.absolute()
    with hold_lease(submission_lease(results)):
        known = known_submissions(results)
        answer = ask_queue(known)
        if answer.complaint:
            raise SchedulerError(
                f"{answer.complaint}: without the queue nobody knows which points are in a job, "
                "and none is submitted twice; try again when it answers"
            )
        status = Observer(results, sweep, words=words).look(answer)
        groups, refused = _grouped(status.of(*states), known)
        if set(LEFT) & set(states):
            refused |= {line.point_id: _elsewhere(line) for line in status.of(State.SUBMITTED)}
        submitted = []
        for origin, lines in groups:
            with _working_folder(origin):
                points, bad = _planned(lines, results)
                refused |= bad
                if points:
                    submitted.append(_resubmit(results, origin, points, command, new_code))
    return Retried(tuple(submitted), refused)


def _grouped(
    lines: Sequence[Line], known: Known
) -> tuple[list[tuple[Submission, list[Line]]], dict[str, str]]:
    """Group lines whose last submissions differ in nothing that jobs depend on; refuse others.

    A point that no submission has (its command was killed) goes with the last one of its sweep.
    """
    of_point: dict[str, Submission] = {}
    of_sweep: dict[str, Submission] = {}
    for _, submission in known:
        of_sweep[submission.sweep] = submission
        for array in submission.arrays:
            for task in array.tasks:
                of_point |= dict.fromkeys(task.point_ids, submission)
    groups: dict[str, tuple[Submission, list[Line]]] = {}
    refused = {}
    for line in lines:
        origin = of_point.get(line.point_id) or of_sweep.get(line.point.sweep or "")
        if origin is None:
            refused[line.point_id] = _run_again(line)
        elif not origin.settings:
            refused[line.point_id] = f"an older version submitted it; run {_shell(origin.command)}"
        else:
            groups.setdefault(_alike(origin), (origin, []))[1].append(line)
    return list(groups.values()), refused


def _alike(submission: Submission) -> str:
    parts = [submission.sweep, submission.launcher, submission.settings, submission.snapshot]
    return json.dumps([*parts, submission.code, submission.working_folder], sort_keys=True)


def _planned(
    lines: Sequence[Line], results: Path
) -> tuple[tuple[PlannedPoint, ...], dict[str, str]]:
    points, refused = [], {}
    for line in lines:
        try:
            config = _config(line, results)
        except GradsweepError as error:
            refused[line.point_id] = str(error)
        else:
            state = PointState.NEW if line.state is State.NEW else PointState.STOPPED
            points.append(PlannedPoint(line.point_id, config.axes, state, (), config))
    return tuple(points), refused


def _config(line: Line, results: Path) -> Config:
    """Read the frozen config, or compose that of a point that was never frozen."""
    if line.point.frozen is not None:
        return frozen_config(read_frozen(line.point.frozen))
    try:
        config = compose(*line.point.overrides, f"store.root={results}", source=line.point.source)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"{error}; {_run_again(line)}") from error
    if point_id(config) != line.point_id:
        raise DataError(f"its YAML, data or model have changed: it is another point now; "
                        f"{_run_again(line)}")  # fmt: skip
    return config


def _resubmit(
    results: Path,
    origin: Submission,
    points: tuple[PlannedPoint, ...],
    command: Sequence[str],
    new_code: bool,
) -> Resubmitted:
    scheduler = scheduler_class(origin.launcher).restored(origin.settings)
    code = None if new_code else _code(origin)
    order = Order(results, origin.sweep, points, scheduler, tuple(command), code)
    jobs, paths = hand_over(order)
    return Resubmitted(order, origin, jobs, paths)


def _code(origin: Submission) -> Code:
    if origin.snapshot is not None and not Path(origin.snapshot).is_dir():
        raise ConfigError(
            f"the copy of the code that these points were submitted with, {origin.snapshot}, is "
            "gone: --code new runs today's"
        )
    return Code(origin.code, origin.snapshot)


@contextmanager
def _working_folder(origin: Submission) -> Iterator[None]:
    """Enter the folder of the submission, from which relative paths of data and models count."""
    before = Path.cwd()
    try:
        os.chdir(origin.working_folder)
    except OSError as error:
        raise DataError(
            f"these points were submitted in {origin.working_folder}, which cannot be entered: "
            f"{error.strerror}"
        ) from error
    try:
        yield
    finally:
        os.chdir(before)


def _elsewhere(line: Line) -> str:
    host = line.tasks[-1].submission.host if line.tasks else "another machine"
    return f"it may be in a local job on {host}: run retry there"


def _run_again(line: Line) -> str:
    """Say how to run a point that no launcher of ours has started."""
    if line.point.sweep is None:
        return "it was not started by a sweep; run its command again"
    manifest = SweepPaths(line.point.paths.results, line.point.sweep)
    if not manifest.manifest.exists():
        return f"it is of the sweep {line.point.sweep}, whose manifest is gone; run its command"
    return f"no job of ours has run it; run {_shell(read_manifest(manifest)['command'])}"


def _shell(command: Sequence[str]) -> str:
    return shlex.join(command)
