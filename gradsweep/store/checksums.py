"""Files of points, read as they were written, or said to be damaged with what heals them.

DONE has the SHA-256 of the files of a finished point. Each is compared when the file is read first,
and again when its size, its times or its place on the disk have changed (`gradsweep.store.kept`):
about a second for a gigabyte.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import polars as pl

from gradsweep.errors import DataError
from gradsweep.store.kept import kept, mark_of
from gradsweep.store.parquet import UNREADABLE, read_table
from gradsweep.store.paths import PointPaths, SweepPaths


def read_finished(
    paths: PointPaths, file: Path, wanted: Callable[[str], bool] | None = None
) -> pl.DataFrame:
    """Read a table of a finished point, all columns or those that are `wanted` by name.

    Raises:
        DataError: it is not there, cut short or edited; names it and the command that heals it.
    """
    require_whole(paths, file)
    try:
        return read_table(file, wanted)
    except UNREADABLE as error:  # of a point whose DONE has no checksums
        raise DataError(f"{file} is damaged: no table any more. {how_to_heal(paths)}") from error


def read_summary(paths: PointPaths) -> dict[str, Any]:
    """Read summary.json of a finished point; raises as `read_finished`."""
    require_whole(paths, paths.summary)
    try:
        summary = json.loads(paths.summary.read_text(encoding="utf-8"))
    except ValueError:  # of a point whose DONE has no checksums
        summary = None
    if not isinstance(summary, dict):
        raise DataError(f"{paths.summary} is damaged: no summary. {how_to_heal(paths)}")
    return summary


def require_whole(paths: PointPaths, *files: Path) -> None:
    """Raise DataError, as `read_finished`, unless files are as the finished point wrote them."""
    if finding := _damage(paths, files):
        raise DataError(f"{finding}. {how_to_heal(paths)}")


def is_to_be_read(paths: PointPaths, file: Path) -> bool:
    """Tell whether `require_whole` would read a file, every byte of it."""
    try:
        return _known_sha256(paths, file, mark_of(file)) is None
    except FileNotFoundError:
        return False


def damage(paths: PointPaths) -> str:
    """Say what is wrong with the files of a point; empty where they are as they were written.

    Every byte is read, whatever was seen before.
    """
    if not paths.done.exists():
        return ""
    files = [paths.rows, paths.samples, paths.summary]
    files += [paths.steps] if paths.steps.exists() else []
    return _damage(paths, files, afresh=True)


def how_to_heal(paths: PointPaths) -> str:
    """The command after which the point is measured again."""
    remove = f"rm -r {shlex.quote(str(paths.folder))}"
    if command := command_of(paths):
        return f"Copy it back from where it is whole, or measure again: {remove} && {command}"
    return (
        f"Copy it back from where it is whole, or measure again: {remove}, then the command that "
        "made the point"
    )


def read_part(file: Path) -> pl.DataFrame:
    """Read what one batch has stored of a point that is not finished.

    Raises:
        DataError: it cannot be read; says what to delete, so that its samples come again.
    """
    try:
        return read_table(file)
    except UNREADABLE as error:
        kind, _, place = file.name.partition("-")
        twins = [str(file.with_name(f"{name}-{place}")) for name in ("rows", "samples")]
        raise DataError(
            f"{file} is damaged ({kind} of one batch): {shlex.join(['rm', *twins])}, and the "
            "point's command measures them again"
        ) from error


def finished_checksums(paths: PointPaths) -> dict[str, str]:
    """Return file name -> SHA-256 as DONE has them; nothing where it is damaged or not there."""
    try:
        checksums = json.loads(paths.done.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return checksums if isinstance(checksums, dict) else {}


def _damage(paths: PointPaths, files: Iterable[Path], *, afresh: bool = False) -> str:
    """Of the first that is not as it was written."""
    try:
        checksums = json.loads(paths.done.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        return f"{error.filename} is gone"
    except ValueError:
        return f"{paths.done} is damaged"
    known = checksums if isinstance(checksums, dict) else {}
    return next(filter(None, (_fault(paths, f, known.get(f.name), afresh) for f in files)), "")


def _fault(paths: PointPaths, file: Path, expected: str | None, afresh: bool) -> str:
    try:
        mark = mark_of(file)
    except FileNotFoundError as error:
        return f"{error.filename} is gone"
    if expected in (None, _sha256(paths, file, mark, afresh)):
        return ""
    return (
        f"{file} is not as it was written: cut short, or edited (its SHA-256 is not that in DONE)"
    )


def _sha256(paths: PointPaths, file: Path, mark: str, afresh: bool) -> str:
    """The checksum of a file that has this mark; computed once unless `afresh`."""
    found = None if afresh else _known_sha256(paths, file, mark)
    if found is None:
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        kept(paths.results, "checksums").put(f"{paths.point_id}/{file.name}", mark, found)
    return found


def _known_sha256(paths: PointPaths, file: Path, mark: str) -> str | None:
    return kept(paths.results, "checksums").get(f"{paths.point_id}/{file.name}", mark)


def command_of(paths: PointPaths) -> str:
    """The command of the sweep that a point belongs to; empty where none is known."""
    for manifest in sorted(SweepPaths(paths.results, "*").manifest.parent.parent.glob("*/*.json")):
        try:
            record = json.loads(manifest.read_text(encoding="utf-8"))
            ids = [point["point_id"] for point in record["points"]]
            command = shlex.join(record["command"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if paths.point_id in ids:
            return command
    return ""
