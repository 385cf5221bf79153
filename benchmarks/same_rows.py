"""`python -m benchmarks.same_rows BASE [HEAD]`: does a change leave every stored number as it was?

Both sides measure the same things on this machine, each in processes of its own, and the tables
are compared bit for bit. Timings are left out. A side is a commit, which is checked out into a
temporary folder, or a folder with a checkout.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from benchmarks.row_differences import Differences, differences, largest_relative_difference

CHECKOUT = Path(__file__).resolve().parents[1]
RUN_JOB = """
import runpy, sys
sys.path.append(sys.argv.pop(1))
runpy.run_module("row_jobs", run_name="__main__", alter_sys=True)
"""
"""`python -m benchmarks.row_jobs` would be that of the side, which may have none."""

SHOWN = 10
"""Changed lines that are printed of each column."""


@dataclass(frozen=True)
class Part:
    """Something that both sides measure."""

    name: str
    """Its name in `benchmarks.row_jobs`."""
    title: str
    workers: int | None = None
    """Workers and torch threads; None is what a user gets."""
    may_change: tuple[tuple[str, str], ...] = ()
    """(table, column) that may differ without being allowed on the command line."""

    @property
    def label(self) -> str:
        return f"{self.name}-{self.workers}" if self.workers else self.name


PARTS = (
    # What a folder or a file is known by depends on how its content is read.
    Part("ids", "ids of points", may_change=(("local_models", "point_id"),)),
    Part("families", "tiny models of every family", workers=1),
    Part("golden", "the paper's own questions", workers=1),
    Part("demo", "demo grid, one worker", workers=1),
    Part("demo", "demo grid, default workers"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status: 1 when anything differs that `--allow` does not name."""
    given = _arguments(argv)
    status = 0
    with ExitStack() as stack:
        sides = {
            name: stack.enter_context(checkout(where))
            for name, where in (("base", given.base), ("head", given.head))
        }
        out = (given.keep or Path(stack.enter_context(TemporaryDirectory()))).resolve()
        for part in PARTS:
            if part.name in given.parts:
                for name, side in sides.items():
                    _measure(part, side, out / name, given)
                status |= _compare(part, out, given.allow)
    print("different" if status else "identical, as far as it was measured")
    return status


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.same_rows", description=__doc__)
    names = tuple(dict.fromkeys(part.name for part in PARTS))
    parser.add_argument("base", help="commit, or folder of a checkout")
    parser.add_argument("head", nargs="?", default=str(CHECKOUT), help="default: this checkout")
    parser.add_argument(
        "--allow", type=_listed, default=[], metavar="COLUMN,…", help="columns that may differ"
    )
    parser.add_argument(
        "--parts", type=_listed, default=names, metavar="PART,…", help=f"of: {', '.join(names)}"
    )
    parser.add_argument(
        "--samples", type=int, metavar="N", help="per point of the demo (default: its own 16)"
    )
    parser.add_argument("--families", metavar="NAME,…", help="of tests/helpers/tiny_models.py")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep both sides' tables there")
    given = parser.parse_args(argv)
    unknown = set(given.parts) - set(names)
    if unknown:
        parser.error(f"--parts: {', '.join(sorted(unknown))} unknown; there are {', '.join(names)}")
    if given.samples is not None and given.samples < 1:
        parser.error(f"--samples must be at least 1, got {given.samples}")
    return given


def _listed(text: str) -> list[str]:
    return text.split(",")


@contextmanager
def checkout(where: str) -> Iterator[Path]:
    """Give the folder of a checkout: `where` itself, or a temporary one of the commit `where`.

    Raises:
        SystemExit: it is neither a folder with gradsweep nor a commit of this repository.
    """
    if (Path(where) / "gradsweep").is_dir():
        yield Path(where).resolve()
        return
    with TemporaryDirectory() as parent:
        folder = Path(parent).resolve() / "checkout"
        _git(f"{where} is no commit here", "worktree", "add", "--detach", str(folder), where)
        try:
            yield folder
        finally:
            _git("", "worktree", "remove", "--force", str(folder))


def _git(problem: str, *command: str) -> None:
    answer = subprocess.run(["git", "-C", str(CHECKOUT), *command], capture_output=True, text=True)
    if answer.returncode:
        sys.exit(f"{problem}, nor a folder with gradsweep: {answer.stderr.strip()}".lstrip(", "))


def _measure(part: Part, side: Path, folder: Path, given: argparse.Namespace) -> None:
    """Run one part on one side, in a process of its own, which writes its tables to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{part.label}.*"):
        old.unlink()
    print(f"{part.title}: measuring {folder.name}", file=sys.stderr, flush=True)
    command = [part.name, "--side", str(side), "--out", str(folder), "--label", part.label]
    command += ["--workers", str(part.workers)] if part.workers else []
    command += ["--samples", str(given.samples)] if given.samples else []
    command += ["--families", given.families] if given.families else []
    answer = subprocess.run(
        [sys.executable, "-c", RUN_JOB, str(Path(__file__).parent), *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(side), str(side / "launchers")])},
        capture_output=True,
        text=True,
    )
    if answer.returncode:
        told = answer.stderr.strip()[-3000:] or "(it said nothing; a negative status is a signal)"
        sys.exit(f"{part.title} on {side} ended with status {answer.returncode}:\n{told}")


def _compare(part: Part, out: Path, allow: Sequence[str]) -> int:
    """Print how a part's tables differ; returns 1 when they do in what is not allowed."""
    base, head = out / "base", out / "head"
    skipped = base / f"{part.label}.skipped"
    if skipped.exists():
        print(f"{part.title}: SKIPPED, {skipped.read_text(encoding='utf-8')}")
        return 0
    status = 0
    for path in sorted(base.glob(f"{part.label}.*.parquet")):
        table = path.name.split(".")[1]
        allowed = [*allow, *(column for of, column in part.may_change if of == table)]
        tables = pl.read_parquet(path), pl.read_parquet(head / path.name)
        result = differences(*tables)
        for line in report(f"{part.title}, {table}", result, allowed):
            print(line)
        status |= bool(result.forbidden(allowed))
    return status


def report(title: str, result: Differences, allowed: Sequence[str]) -> Iterator[str]:
    """Write what differs, line by line; one line when nothing does."""
    size = f"{title}: {result.n_rows} rows, {len(result.columns)} columns"
    same = not result.changed and not result.forbidden(())
    yield f"{size}: identical" if same else f"{size}: DIFFERENT"
    if result.added:
        yield f"  only in head: {', '.join(result.added)}"
    if result.lost:
        yield f"  only in base: {', '.join(result.lost)}"
    for side, lines in (("base", result.lines_lost), ("head", result.lines_added)):
        if len(lines):
            yield f"  {len(lines)} rows only in {side}, for example {lines.row(0, named=True)}"
    for name, changed in result.changed.items():
        yield _summary(name, changed, result.n_rows, name in allowed)
        shown = changed.head(SHOWN if name in allowed else 1)
        for line in shown.iter_rows(named=True):
            base, head = line.pop("base"), line.pop("head")
            where = " ".join(f"{key}={value}" for key, value in line.items())
            yield f"    {where}: {base!r} -> {head!r}"
        if len(changed) > len(shown):
            yield f"    … and {len(changed) - len(shown)} more"


def _summary(name: str, changed: pl.DataFrame, n_rows: int, is_allowed: bool) -> str:
    largest = largest_relative_difference(changed)
    by_how_much = "" if largest is None else f", by at most {largest:.2g} of the base's value"
    verdict = "allowed" if is_allowed else "NOT ALLOWED"
    return f"  {name}: {len(changed)} of {n_rows} rows{by_how_much}: {verdict}"


if __name__ == "__main__":
    sys.exit(main())
