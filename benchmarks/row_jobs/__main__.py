"""`row_jobs PART …`: measure one part and write each of its tables as parquet."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .families import families
from .ids import ids
from .job import Job, Skipped, Table
from .points import demo, golden

PARTS: dict[str, Callable[[Job], Iterator[Table]]] = {
    "ids": ids,
    "families": families,
    "golden": golden,
    "demo": demo,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Write `OUT/<label>.<table>.parquet`, or `OUT/<label>.skipped` with the reason."""
    job = _job(argv)
    _require_side(job.side)
    try:
        for name, frame in PARTS[job.part](job):
            frame.write_parquet(job.out / f"{job.label}.{name}.parquet")
    except Skipped as reason:
        (job.out / f"{job.label}.skipped").write_text(str(reason), encoding="utf-8")


def _job(argv: Sequence[str] | None) -> Job:
    parser = argparse.ArgumentParser("row_jobs", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--side", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--label", required=True)
    parser.add_argument("--samples", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--families", type=lambda text: text.split(","))
    return Job(**vars(parser.parse_args(argv)))


def _require_side(side: Path) -> None:
    """Another installed gradsweep in front would compare a commit with itself."""
    import gradsweep

    imported = Path(str(gradsweep.__file__)).resolve().parent
    if imported != side.resolve() / "gradsweep":
        sys.exit(f"gradsweep is imported from {imported}, not from {side}")


if __name__ == "__main__":
    main()
