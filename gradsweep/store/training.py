"""Writing and reading training points: rows of every moment that was measured, and the steps.

A moment is stored at once, in one part; after a kill the run goes on from its last checkpoint and
comes to moments that are stored already. A training point need not measure them again: it trains
as before. Of somebody's own loop nobody knows that, so what it discards goes (`go_back_to`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from gradsweep.errors import DataError
from gradsweep.records import (
    POINT_LABELS,
    Moment,
    SampleResult,
    SampleStatus,
    Source,
    TrainingStep,
)
from gradsweep.store.atomic import write_parquet
from gradsweep.store.checksums import read_finished, read_part
from gradsweep.store.frames import (
    MOMENT_SCHEMA,
    ROW_SCHEMA,
    SAMPLE_SCHEMA,
    STEP_SCHEMA,
    at_moment,
    of_moment,
    own_metric_columns,
    rows_frame,
    samples_frame,
    steps_frame,
)
from gradsweep.store.lease import Lease
from gradsweep.store.paths import PointPaths, point_folders
from gradsweep.store.point import PointStore, opened, read_parts
from gradsweep.store.points import folder_labels, is_training_point


class TrainingStore(PointStore):
    """The one writer of a training point; get it from `open_training_point`."""

    def __init__(self, paths: PointPaths, lease: Lease) -> None:
        super().__init__(paths, lease)
        self._moments = _stored_moments(paths)

    def has(self, moment: Moment) -> bool:
        """Whether what was measured then is stored."""
        return moment in self._moments

    def append_moment(self, moment: Moment, results: Sequence[SampleResult]) -> None:
        """Store all that was measured at a moment, unless it is stored; raises as `append`."""
        if self.has(moment):
            return
        samples, rows = samples_frame(results), rows_frame(results)
        self.copy(at_moment(samples, moment), at_moment(rows, moment))
        self._moments.add(moment)

    def go_back_to(self, step: int) -> None:
        """Remove what is of later weights than those after `step` optimizer steps, and the step's
        own update: the run goes on from there, and may go another way. Raises as `append`.
        """
        self._lease.check()
        later = (pl.col("step") > step) | (
            (pl.col("step") == step) & (pl.col("source") == Source.update.value)
        )
        # Rows do not count without their samples, which therefore go first.
        for part in self.paths.parts.glob("samples-*.parquet"):
            if _without(part, later):
                part.with_name(f"rows{part.name[7:]}").unlink(missing_ok=True)
        for part in self.paths.parts.glob("steps-*.parquet"):
            _without(part, pl.col("step") >= step)
        # A probe of the step itself is of the same weights: it stays unless it comes again.
        self._moments = {moment for moment in self._moments if moment.step < step}

    def losses(self, moment: Moment) -> dict[str, float]:
        """Read the losses of what was measured well at a moment: sample_id -> nats."""
        found = of_moment(read_parts(self.paths, "samples"), moment)
        well = found.filter(pl.col("status") == SampleStatus.OK.value)
        return dict(well.select("sample_id", "loss").iter_rows())

    def copy_moment(self, moment: Moment, samples: pl.DataFrame, rows: pl.DataFrame) -> None:
        """Store what another training point has measured at a moment; raises as `append`."""
        self.copy(samples, rows)
        self._moments.add(moment)

    def append_steps(self, steps: Sequence[TrainingStep]) -> None:
        """Store optimizer steps; those stored before are replaced. Raises as `append`."""
        self._lease.check()
        write_parquet(self._part("steps"), steps_frame(steps))
        self._next_part += 1

    def steps(self) -> pl.DataFrame:
        """Read every stored step, in order."""
        return read_steps(self.paths)

    def samples(self) -> pl.DataFrame:
        """Read every stored sample, by step, then updates before probes, in sample order."""
        return in_order_of_steps(read_parts(self.paths, "samples"))

    def rows(self) -> pl.DataFrame:
        """Read every stored row, in the order of `samples`, then by layer as measured."""
        return in_order_of_steps(read_parts(self.paths, "rows"))

    def summary(self) -> dict[str, Any]:
        """Return what every training point's summary.json counts."""
        samples, rows = self.samples(), self.rows()
        bad = samples.filter(pl.col("status") != SampleStatus.OK.value)
        return {
            "samples": dict(Counter(samples["status"])),
            "reasons": dict(Counter(bad["reason"])),
            "flagged_rows": len(rows) - int(rows["finite"].sum()),
            "messages": [],
            "seconds": float(self.steps()["seconds"].fill_nan(0).sum()),
            "cost": {},
            "metrics": {},
        }

    def finish(self, summary: dict[str, Any]) -> None:
        """Join the parts, then write the summary and, last, DONE; raises as `append`."""
        self._lease.check()
        write_parquet(self.paths.steps, self.steps())
        super().finish(summary)


@contextmanager
def open_training_point(paths: PointPaths, config: dict[str, Any]) -> Iterator[TrainingStore]:
    """Take the lease of a training point and write its config, as `open_point` does."""
    with opened(TrainingStore, paths, config) as store:
        yield store


@dataclass(frozen=True)
class TrainingTables:
    """What training points have stored; each frame begins with point_id, the axes, series, seed."""

    rows: pl.DataFrame
    """A line per (`Moment`, sample, `ROW_KEY`): columns of `MOMENT`, then those of `load_rows`."""
    samples: pl.DataFrame
    """A line per (`Moment`, sample), as `load_samples_table` has them; of updates one a step."""
    steps: pl.DataFrame
    """A line per optimizer step (`TrainingStep`)."""


def load_training(results: str | Path, point_ids: Collection[str] | None = None) -> TrainingTables:
    """Read what training points have stored, finished or not.

    Args:
        results: the results folder (`store.root`).
        point_ids: only these points; all training points when None.

    Raises:
        DataError: a damaged file, or an id that is no training point here.
    """
    results = Path(results)
    points = [p for p in point_folders(results) if point_ids is None or p.point_id in point_ids]
    points = [paths for paths in points if is_training_point(paths)]
    missing = set(point_ids or ()) - {paths.point_id for paths in points}
    if missing:
        raise DataError(f"{', '.join(sorted(missing))}: no training point of {results}")
    labels = {line["point_id"]: line for line in folder_labels(results).to_dicts()}
    schemas = {
        "rows": MOMENT_SCHEMA | ROW_SCHEMA,
        "samples": MOMENT_SCHEMA | SAMPLE_SCHEMA,
        "steps": STEP_SCHEMA,
    }
    frames = {
        kind: pl.concat(
            [
                _labelled(schema, {}),
                *(_labelled(schema, labels[p.point_id], _table(p, kind)) for p in points),
            ],
            how="diagonal",
        )
        for kind, schema in schemas.items()
    }
    return TrainingTables(**frames)


def _labelled(
    schema: dict[str, pl.DataType], labels: dict[str, Any], frame: pl.DataFrame | None = None
) -> pl.DataFrame:
    """A point's table with its names before it; no lines without a table."""
    empty = pl.DataFrame(schema=schema)
    whole = empty if frame is None else pl.concat([empty, frame], how="diagonal")
    names = [pl.lit(labels.get(n), pl.String()).alias(n) for n in ("point_id", *POINT_LABELS)]
    own = own_metric_columns(whole) if "layer" in whole.columns else []
    return whole.select(*names, pl.lit(labels.get("seed"), pl.Int64()).alias("seed"), *schema, *own)


def _table(paths: PointPaths, kind: str) -> pl.DataFrame:
    if paths.done.exists():
        return read_finished(paths, getattr(paths, kind))
    return read_steps(paths) if kind == "steps" else in_order_of_steps(read_parts(paths, kind))


def in_order_of_steps(frame: pl.DataFrame) -> pl.DataFrame:
    """Sort samples or rows by step, updates before probes, and else as they were stored."""
    if "step" not in frame.columns:
        return frame
    updates = pl.col("source") != Source.update.value
    order = ["probe_cot", "probe_correctness", *(n for n in ("index",) if n in frame.columns)]
    return frame.sort("step", updates, *order, maintain_order=True)


def read_steps(paths: PointPaths) -> pl.DataFrame:
    """Read the steps that a point which is not DONE has stored so far, in order."""
    parts = sorted(paths.parts.glob("steps-*.parquet"))
    frames = [pl.DataFrame(schema=STEP_SCHEMA), *map(read_part, parts)]
    # `diagonal`: a part from before a column was there has none.
    steps = pl.concat(frames, how="diagonal")
    return steps.unique("step", keep="last", maintain_order=True).sort("step")


def _without(part: Path, gone: pl.Expr) -> bool:
    """Take these lines out of a part; return whether none is left, nor the file."""
    whole = read_part(part)
    kept = whole.filter(~gone)
    if kept.is_empty():
        part.unlink()
    elif len(kept) < len(whole):
        write_parquet(part, kept)
    return kept.is_empty()


def _stored_moments(paths: PointPaths) -> set[Moment]:
    stored = read_parts(paths, "samples")
    if "step" not in stored.columns:
        return set()
    lines = stored.select(list(MOMENT_SCHEMA)).unique().iter_rows()
    return {Moment(step, Source(source), *probe) for step, source, *probe in lines}
