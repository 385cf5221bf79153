"""Bring stored points to a W&B server: what was tracked offline, or cut short online.

A point's run is completed from the point's own files: the server is asked which rows it has, and
gets the others. So nothing arrives twice, whatever was uploaded before and wherever it stopped:
by an online start, by an earlier `sync` that was killed, or by `wandb sync` on the folders. The
ledger spares the question where the answer is known.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import wandb

from gradsweep.records import Axes
from gradsweep.store import (
    PointPaths,
    PointState,
    failure,
    load_rows,
    load_samples_table,
    point_folders,
    point_state,
)
from gradsweep.store.checksums import read_summary
from gradsweep.store.description import stored_axes
from gradsweep.store.points import is_training_point
from gradsweep.store.record import read_config
from gradsweep.store.training import load_training
from gradsweep.tracking.wandb.description import RunDescription
from gradsweep.tracking.wandb.ledger import UPLOADED, UPLOADING, Entry, Ledger, server_name
from gradsweep.tracking.wandb.pair_difference import difference
from gradsweep.tracking.wandb.run import FINISH_SECONDS, PointRun
from gradsweep.tracking.wandb.run_log import Segment, segments

QUIET_SECONDS = 2 * FINISH_SECONDS
"""After its last change, an online folder belongs to nobody who still uploads it."""


@dataclass(frozen=True)
class Outcome:
    """What became of one point."""

    point_id: str
    axes: str
    done: str
    """uploaded, nothing new, skipped or failed."""
    detail: str


class Uploader:
    """Completes the runs of one results folder's points; use it in a `with` block."""

    def __init__(self, root: Path, project: str | None = None, entity: str | None = None) -> None:
        self.root, self._project, self._entity = root, project, entity
        self._base_url = wandb.setup().settings.base_url
        self._scratch = tempfile.TemporaryDirectory(prefix="gradsweep-sync-")

    def __enter__(self) -> Uploader:
        return self

    def __exit__(self, *error: object) -> None:
        self._scratch.cleanup()

    def tracked(self, point_ids: Collection[str] | None = None) -> list[PointPaths]:
        """Points that a start has left folders of; of these ids, or of all."""
        runs = {segment.run_id for segment in segments(self.root)}
        chosen = runs if point_ids is None else runs & set(point_ids)
        return [paths for paths in point_folders(self.root) if paths.point_id in chosen]

    def upload(self, paths: PointPaths) -> Outcome:
        """Complete the point's run; a point that is being measured is left alone.

        Raises what the client raises; the next upload goes on where this one ended.
        """
        state = point_state(paths)
        if state is PointState.RUNNING:
            return outcome(paths, "skipped", "it is running; sync --live follows it")
        folders = segments(self.root, paths.point_id)
        if _in_use(folders):
            return outcome(paths, "skipped", "it was changed just now and may be uploading itself")
        ledger = self._ledger(paths)
        run_id, entry = ledger.of_point(paths.point_id)
        if entry is None and any(_is_on(ledger.server, folder) for folder in folders):
            return outcome(paths, "nothing new", "uploaded while it was measured")
        stored = _n_stored(paths)
        if entry and entry.state == UPLOADED:
            settled = state is not PointState.DONE and entry.samples == stored
            if entry.complete or settled:
                return outcome(paths, "nothing new", entry.place)
        return self.complete(paths, run_id)

    def rebuild(self, paths: PointPaths) -> Outcome:
        """Make another run from the stored rows, under an id that was not used before.

        Raises what the client raises; the next rebuild goes on with the same id.
        """
        if point_state(paths) is not PointState.DONE:
            return outcome(paths, "skipped", "only a point that is done can be rebuilt")
        newest, entry = self._ledger(paths).of_point(paths.point_id)
        number = int(newest.removeprefix(f"{paths.point_id}-r")) if newest != paths.point_id else 0
        if number and entry and entry.state == UPLOADING:
            return self.complete(paths, newest)
        return self.complete(paths, f"{paths.point_id}-r{number + 1}")

    def open(self, paths: PointPaths, run_id: str) -> PointRun:
        """A run of the point on the server, which the caller ends."""
        description = replace(self._description(paths), run_id=run_id)
        return PointRun(description, Path(self._scratch.name), "online", must_ask=True)

    def complete(self, paths: PointPaths, run_id: str, run: PointRun | None = None) -> Outcome:
        """Bring all that is stored of a point to its run (`run`, if it is open) and end it."""
        ledger = self._ledger(paths)
        done = point_state(paths) is PointState.DONE
        folders = segments(self.root, paths.point_id)
        names = tuple(segment.folder.name for segment in folders)
        entry = Entry(paths.point_id, UPLOADING, segments=names)
        ledger.write(run_id, entry)
        run = run or self.open(paths, run_id)
        added, stored = _bring(paths, run, done)
        whole = replace(entry, state=UPLOADED, samples=stored, complete=done, place=run.place)
        ledger.write(run_id, whole)
        for segment in folders if done else []:
            segment.marker.touch()  # `wandb sync` by hand would append all its rows again
        more = "layer curves, summary, table, rows" if done else "the point is not complete"
        things = "steps" if is_training_point(paths) else "samples"
        return outcome(paths, "uploaded", f"{added} {things}; {more} → {run.place}")

    def run_id(self, paths: PointPaths) -> str:
        """The id of the point's newest run."""
        return self._ledger(paths).of_point(paths.point_id)[0]

    def _description(self, paths: PointPaths) -> RunDescription:
        stored = RunDescription.of_record(read_config(paths))
        project, entity = self._project or stored.project, self._entity or stored.entity
        return replace(stored, project=project, entity=entity)

    def _ledger(self, paths: PointPaths) -> Ledger:
        place = self._description(paths)
        return Ledger(self.root, server_name(self._base_url, place.entity, place.project))


def outcome(paths: PointPaths, done: str, detail: str) -> Outcome:
    axes = str(Axes(**stored_axes(read_config(paths))))
    return Outcome(paths.point_id, axes, done, detail)


def _n_stored(paths: PointPaths) -> int:
    """Samples of a point, or steps of a training point, that are on disk."""
    if is_training_point(paths):
        return len(load_training(paths.results, [paths.point_id]).steps)
    return len(load_samples_table(paths.results, [paths.point_id]))


def _bring_training(paths: PointPaths, run: PointRun, done: bool) -> tuple[int, int]:
    stored = load_training(paths.results, [paths.point_id])
    if done:
        scalars = read_summary(paths).get("metrics", {})
        added = run.finish_training(stored.steps, stored.rows, paths.rows, scalars)
    else:
        added = run.log_steps(stored.steps)
        run.fail(_why(paths))
    return added, len(stored.steps)


def _bring(paths: PointPaths, run: PointRun, done: bool) -> tuple[int, int]:
    """Bring what is stored to a run that is open, and end it; raises what the client raises."""
    try:
        return (_bring_training if is_training_point(paths) else _bring_samples)(paths, run, done)
    except Exception:
        with suppress(Exception):  # the first error is the one to tell
            run.fail("its upload failed")
        raise


def _bring_samples(paths: PointPaths, run: PointRun, done: bool) -> tuple[int, int]:
    """Samples that were added to the run, and samples that it has now."""
    samples = load_samples_table(paths.results, [paths.point_id])
    rows = load_rows(paths.results, [paths.point_id])
    if done:
        scalars = read_summary(paths).get("metrics", {})
        added = run.finish(samples, rows, paths.rows, scalars, difference(paths))
    else:
        added = run.log_samples(samples, rows)
        run.fail(_why(paths))
    return added, len(samples)


def _is_on(server: str, segment: Segment) -> bool:
    """Whether an online start brought the whole point there by itself."""
    marker = segment.marker
    return not segment.offline and marker.exists() and marker.read_text() == server


def _in_use(folders: Collection[Segment]) -> bool:
    """Whether an online start may still be uploading, after its point was done."""
    left = [f.log for f in folders if not f.offline and f.log.exists() and not f.marker.exists()]
    return any(time.time() - log.stat().st_mtime < QUIET_SECONDS for log in left)


def _why(paths: PointPaths) -> str:
    failed = failure(paths)
    return str(failed["message"]) if failed else "stopped before it was complete"
