"""Writing one point: parts as results come, one pair of tables when it is done.

A part is two files; the samples file is moved into place last and is what makes the
rows beside it count. So a kill at any moment leaves every stored sample with all its
rows, and a rerun goes on with the first sample that is not in a samples file.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from gradsweep.errors import GradsweepError
from gradsweep.records import SampleResult, SampleStatus
from gradsweep.store.atomic import readable_disk_errors, write_json, write_parquet, write_text
from gradsweep.store.frames import ROW_SCHEMA, SAMPLE_SCHEMA, rows_frame, samples_frame
from gradsweep.store.lease import hold_lease
from gradsweep.store.paths import PointPaths


class PointStore:
    """The one writer of a point; get it from `open_point`."""

    def __init__(self, paths: PointPaths) -> None:
        self.paths = paths
        numbers = [_part_number(path) for path in paths.parts.glob("*.parquet")]
        self._next_part = max(numbers, default=-1) + 1
        stored = read_parts(paths, "samples")
        retried = pl.col("status") == SampleStatus.OUT_OF_MEMORY.value
        self.stored_ids = set(stored.filter(~retried)["sample_id"])
        """Samples with an outcome on disk, good or bad, that stands: what did not fit in memory
        may fit in the next run of the point, with other settings or on another machine."""

    def append(self, results: Sequence[SampleResult]) -> None:
        """Store what became of these samples; on disk when it returns.

        Raises:
            StoreError: the disk is full; everything stored before is kept.
        """
        twice = self.stored_ids & {result.sample_id for result in results}
        assert not twice, f"samples stored twice: {twice}"
        write_parquet(self.paths.part("rows", self._next_part), rows_frame(results))
        write_parquet(self.paths.part("samples", self._next_part), samples_frame(results))
        self._next_part += 1
        self.stored_ids |= {result.sample_id for result in results}

    def samples(self) -> pl.DataFrame:
        """Every stored sample, in the point's sample order."""
        return read_parts(self.paths, "samples").sort("index")

    def rows(self) -> pl.DataFrame:
        """Every stored row, by sample order, layer and projection as measured."""
        order = self.samples().select("sample_id", "index")
        rows = read_parts(self.paths, "rows").join(order, on="sample_id", how="left")
        return rows.sort("index", "layer", maintain_order=True).drop("index")

    def finish(self, summary: dict[str, Any]) -> None:
        """Join the parts, then write the summary and, last, DONE."""
        write_parquet(self.paths.rows, self.rows())
        write_parquet(self.paths.samples, self.samples())
        write_json(self.paths.summary, summary)
        self.paths.failed.unlink(missing_ok=True)
        write_json(self.paths.done, {p.name: _sha256(p) for p in _result_files(self.paths)})
        shutil.rmtree(self.paths.parts)


def read_parts(paths: PointPaths, kind: str) -> pl.DataFrame:
    """All committed parts of `kind` ("rows" or "samples"); rows without their samples are not.

    Of a sample that was tried again, the last outcome counts; the ones before have no rows.
    """
    committed = sorted(map(_part_number, paths.parts.glob("samples-*.parquet")))
    frames = [pl.read_parquet(paths.part(kind, number)) for number in committed]
    schema = SAMPLE_SCHEMA if kind == "samples" else ROW_SCHEMA
    # A part from before a column was there has none: it reads as null.
    table = pl.concat([pl.DataFrame(schema=schema), *frames], how="diagonal")
    if kind == "rows":
        return table
    return table.unique("sample_id", keep="last", maintain_order=True)


@contextmanager
def open_point(paths: PointPaths, config: dict[str, Any]) -> Iterator[PointStore]:
    """Take the point's lease and write its config; record a failure in FAILED.json.

    Raises:
        PointBusyError: another live process is writing this point.
        StoreError: the disk is full.
    """
    with hold_lease(paths.running):
        try:
            if not paths.done.exists():  # somebody else may have finished it just now
                _prepare(paths, config)
            yield PointStore(paths)
        except Exception as error:
            _record_failure(paths, error)
            raise


def _prepare(paths: PointPaths, config: dict[str, Any]) -> None:
    paths.failed.unlink(missing_ok=True)
    write_text(paths.config, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    with readable_disk_errors(paths.parts):
        paths.parts.mkdir(exist_ok=True)
        for leftover in paths.folder.rglob("*.tmp"):
            leftover.unlink()  # of a writer that was killed in the middle


def _part_number(path: Path) -> int:
    return int(path.stem.rsplit("-", 1)[1])


def _record_failure(paths: PointPaths, error: Exception) -> None:
    """FAILED.json, as far as the disk lets us: a full disk must not hide the first error."""
    record = {
        "error": type(error).__name__,
        "message": str(error),
        "user_error": isinstance(error, GradsweepError),
        "traceback": traceback.format_exception(error),
    }
    try:
        write_json(paths.failed, record)
    except GradsweepError as second:
        logging.getLogger(__name__).error("FAILED.json could not be written: %s", second)


def _result_files(paths: PointPaths) -> list[Path]:
    return [paths.rows, paths.samples, paths.summary]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
