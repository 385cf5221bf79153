"""Writing one point: parts as results come, one pair of tables when it is done.

A part is two files; the samples file is moved into place last and is what makes the
rows beside it count. So a kill at any moment leaves every stored sample with all its
rows, and a rerun goes on with the first sample that is not in a samples file.

Several processes may measure shares of a point at the same time, each with a lease and parts of
its own. Whoever finds everything stored takes the lease of the whole and finishes the point.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from gradsweep.errors import (
    ConfigError,
    DataError,
    GradsweepError,
    ModelError,
    PointBusyError,
)
from gradsweep.records import WHOLE, SampleResult, SampleStatus, Shard
from gradsweep.store.atomic import readable_disk_errors, write_json, write_parquet
from gradsweep.store.checksums import read_part
from gradsweep.store.frames import (
    ROW_SCHEMA,
    SAMPLE_SCHEMA,
    rows_frame,
    sample_key,
    samples_frame,
)
from gradsweep.store.lease import (
    ASIDE_SUFFIX,
    EXPIRY_SECONDS,
    Lease,
    held,
    hold_lease,
    holder,
)
from gradsweep.store.model_commit import write_config
from gradsweep.store.paths import PointPaths


class PointStore:
    """The one writer of a point, or of a share of it; get it from `open_point`."""

    def __init__(self, paths: PointPaths, lease: Lease) -> None:
        self.paths = paths
        self._lease = lease
        self._writer = uuid.uuid4().hex[:8]
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
            PointBusyError: another process has taken over; nothing is written.
        """
        twice = self.stored_ids & {result.sample_id for result in results}
        assert not twice, f"samples stored twice: {twice}"
        self.copy(samples_frame(results), rows_frame(results))

    def copy(self, samples: pl.DataFrame, rows: pl.DataFrame) -> None:
        """Store the tables of one part, as another point has them; raises as `append`."""
        self._lease.check()
        write_parquet(self._part("rows"), rows)
        write_parquet(self._part("samples"), samples)
        self._next_part += 1
        self.stored_ids |= set(samples["sample_id"])

    def _part(self, kind: str) -> Path:
        return self.paths.part(kind, self._next_part, self._writer)

    def samples(self) -> pl.DataFrame:
        """Read every stored sample, in the point's sample order."""
        return read_parts(self.paths, "samples").sort("index")

    def rows(self) -> pl.DataFrame:
        """Read every stored row, by sample order, layer and projection as measured."""
        order = self.samples().select("sample_id", "index")
        rows = read_parts(self.paths, "rows").join(order, on="sample_id", how="left")
        return rows.sort("index", "layer", maintain_order=True).drop("index")

    def finish(self, summary: dict[str, Any]) -> None:
        """Join the parts, then write the summary and, last, DONE; raises as `append`."""
        self._lease.check()
        write_parquet(self.paths.rows, self.rows())
        write_parquet(self.paths.samples, self.samples())
        write_json(self.paths.summary, summary)
        for path in [*self.paths.failures(), *rivals(self.paths, WHOLE)]:
            path.unlink()  # whoever was there before: the lease of the whole is ours
        write_json(self.paths.done, {p.name: _sha256(p) for p in _result_files(self.paths)})
        settled(self.paths)


def settled(paths: PointPaths) -> bool:
    """Return whether a point is DONE; what it needed before then goes, if a stop has left it."""
    if not paths.done.exists():
        return False
    for folder in (paths.parts, paths.checkpoints):
        shutil.rmtree(folder, ignore_errors=True)
    return True


def read_parts(paths: PointPaths, kind: str) -> pl.DataFrame:
    """Read all committed parts of `kind` ("rows" or "samples"); rows without samples are not.

    Only the last outcome and its rows count where a sample was measured again.
    """
    committed = sorted(paths.parts.glob("samples-*.parquet"), key=lambda p: (_part_number(p), p))
    stored = _joined(committed, SAMPLE_SCHEMA)
    key = sample_key(stored.columns)
    samples = stored.unique(key, keep="last", maintain_order=True)
    if kind == "samples":
        return samples.sort(_PART, maintain_order=True).drop(_PART)
    rows = _joined([p.with_name(f"rows{p.name[7:]}") for p in committed], ROW_SCHEMA)
    counted = [*key, _PART]
    kept = rows.join(
        samples.select(counted), on=counted, how="semi", maintain_order="left", nulls_equal=True
    )
    return kept.drop(_PART)


_PART = "part"


def _joined(files: Sequence[Path], schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """Put tables one below the other, with the place of each one's file."""
    empty = pl.DataFrame(schema=schema | {_PART: pl.UInt32()})
    frames = [
        read_part(file).with_columns(pl.lit(place, pl.UInt32()).alias(_PART))
        for place, file in enumerate(files)
    ]
    # A part from before a column was there has none: it reads as null.
    return pl.concat([empty, *frames], how="diagonal")


Store = TypeVar("Store", bound=PointStore)


@contextmanager
def open_point(
    paths: PointPaths, config: dict[str, Any], shard: Shard = WHOLE, keep_failure: bool = False
) -> Iterator[PointStore]:
    """Take the lease of a point, or of a share of it, and write its config.

    A failure in the block is recorded in FAILED.json; that of a share has a file of its own. What
    a user can mend before the first sample is stored (a model that is not found, a typo) leaves
    nothing behind, unless `keep_failure`: a job's failure is told by its files alone.

    Raises:
        PointBusyError: another live process is writing this point, or this share of it.
        StoreError: the disk is full.
    """
    with opened(PointStore, paths, config, shard, keep_failure) as store:
        yield store


@contextmanager
def opened(
    make: Callable[[PointPaths, Lease], Store],
    paths: PointPaths,
    config: dict[str, Any],
    shard: Shard = WHOLE,
    keep_failure: bool = False,
) -> Iterator[Store]:
    """Do what `open_point` does for a store of any kind."""
    with hold_lease(paths.lease(shard)) as lease:
        # Each takes its own lease before it looks for others: of two, at least one gives way.
        for rival in rivals(paths, shard):
            if record := holder(rival):
                raise held(rival, record)
        try:
            if not paths.done.exists():  # somebody else may have finished it just now
                _prepare(paths, config, shard)
            yield make(paths, lease)
        except PointBusyError:
            raise  # whoever has it now goes on: nothing has failed
        except Exception as error:
            if keep_failure or shard != WHOLE or _has_begun(paths, error):
                _record_failure(paths.failure(shard), error)
            else:
                shutil.rmtree(paths.folder, ignore_errors=True)
            raise


def _has_begun(paths: PointPaths, error: Exception) -> bool:
    """Whether more than a user's mistake would be lost with the point's folder."""
    mistake = isinstance(error, (ConfigError, DataError, ModelError))
    return not mistake or paths.done.exists() or any(paths.parts.glob("samples-*.parquet"))


def rivals(paths: PointPaths, shard: Shard) -> list[Path]:
    """Find leases, other than its own, whose holders must not be alive while this share is written.

    Shares of one splitting do not overlap; everything else does.
    """
    siblings = {paths.lease(Shard(i, shard.count)) for i in range(shard.count)}
    return [path for path in paths.leases() if path not in siblings]


def _prepare(paths: PointPaths, config: dict[str, Any], shard: Shard) -> None:
    for failed in paths.failures() if shard == WHOLE else [paths.failure(shard)]:
        failed.unlink(missing_ok=True)
    write_config(paths, config)
    with readable_disk_errors(paths.parts):
        paths.parts.mkdir(exist_ok=True)
        if shard == WHOLE:  # else they may be another process's, on their way
            _remove_leftovers(paths)


def _remove_leftovers(paths: PointPaths) -> None:
    """Remove what writers that were killed in the middle have left."""
    for leftover in paths.folder.rglob("*.tmp"):
        leftover.unlink()
    for aside in paths.folder.glob(f".*{ASIDE_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - aside.stat().st_mtime > EXPIRY_SECONDS:
                aside.unlink()


def _part_number(path: Path) -> int:
    """Read the number in `samples-000012-<writer>.parquet`; early files have no writer."""
    return int(path.stem.split("-")[1])


def _record_failure(file: Path, error: Exception) -> None:
    """Write FAILED.json, if the disk lets us: a full disk must not hide the first error."""
    record = {
        "error": type(error).__name__,
        "message": str(error),
        "user_error": isinstance(error, GradsweepError),
        "traceback": traceback.format_exception(error),
    }
    try:
        write_json(file, record)
    except GradsweepError as second:
        logging.getLogger(__name__).error("FAILED.json could not be written: %s", second)


def _result_files(paths: PointPaths) -> list[Path]:
    return [*(p for p in (paths.steps,) if p.exists()), paths.rows, paths.samples, paths.summary]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
