"""`python -m gradsweep doctor`: which points are meant, their checks, the exit status."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.text import Text

from gradsweep.analysis.rows import in_reading_order
from gradsweep.config.composition import BUILT_IN, ConfigSource, add_source_flags, source_of
from gradsweep.config.overrides import readable
from gradsweep.config.typed_paths import typed_place
from gradsweep.doctor.check import Check, CheckState
from gradsweep.doctor.examination import (
    FILES,
    Examination,
    examine,
    examine_again,
    examine_stored,
)
from gradsweep.doctor.show import examination_view, summary_line
from gradsweep.doctor.stored import StoredPoints
from gradsweep.errors import ConfigError, counted
from gradsweep.progress import console as progress_console
from gradsweep.progress import output_console, step_bar
from gradsweep.records import AXES, axis_words
from gradsweep.store import PointPaths, point_folders
from gradsweep.store.place import is_override
from gradsweep.store.points import find_point, point_table, unreadable_points
from gradsweep.store.record import RecordError
from gradsweep.store.selection import Selection
from gradsweep.store.series import with_model_labels
from gradsweep.store.sweep_flag import add_sweep

MOST_POINTS = 12
"""Points whose checks are shown; of more, the ids of those that need a look."""

_ALLOWED = (
    "doctor takes a stored point (its id or the beginning of it), a results folder, or the "
    "overrides of one point (cot=detailed n_samples=20)"
)


def doctor(args: Sequence[str], description: str) -> int:
    """Print the checks of the points that `args` name; 1 when one of them is a problem.

    Raises:
        ConfigError: a grid of overrides, an unknown id, more than one thing named.
        DataError: nothing is stored there.
    """
    parser = argparse.ArgumentParser(
        "python -m gradsweep doctor",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="point id|results|override",
        help="a stored point, a results folder (default: every point in results), or overrides "
        "of a point to try",
    )
    parser.add_argument(
        "--load", action="store_true", help="of a stored point: load its model and try it too"
    )
    parser.add_argument("-m", "--multirun", action="store_true", help=argparse.SUPPRESS)
    add_sweep(parser)
    add_source_flags(parser)
    given = parser.parse_intermixed_args(args)
    if given.multirun:
        raise ConfigError(f"{_ALLOWED}, and no grid: leave out -m")
    overrides = [word for word in given.words if is_override(word)]
    if overrides and len(overrides) < len(given.words):
        raise ConfigError(f"{_ALLOWED}: not both; got {' '.join(given.words)}")
    source = source_of(given)
    if source != BUILT_IN and not overrides:
        raise ConfigError(f"{' '.join(source.flags)} goes with overrides; {_ALLOWED}")
    if given.sweep and overrides:
        raise ConfigError(f"--sweep={given.sweep} is of stored points, and not of overrides")
    if overrides:
        return _show(_composed(overrides, source))
    return _show(_stored(given.words, given.load, given.sweep))


def _composed(overrides: Sequence[str], source: ConfigSource) -> list[Examination]:
    from gradsweep.plan import checked_plan
    from gradsweep.plan.grid import cells

    overrides = readable(overrides)
    plan = checked_plan(overrides, True, source)  # a grid of any size, as long as it can be read
    n_points = len(cells(overrides, source))
    if n_points > 1:
        raise ConfigError(f"{_ALLOWED}; {' '.join(overrides)} is a grid of {n_points} points")
    config = plan.points[0].config
    with progress_console.status(f"checking {config.axes} …"):
        return [examine(config)]


def _stored(words: Sequence[str], load: bool, sweep: str | None) -> list[Examination]:
    folders = [word for word in words if typed_place(word).is_dir()]
    names = [word for word in words if word not in folders]
    if len(folders) > 1 or len(names) > 1:
        raise ConfigError(f"{_ALLOWED}: one at a time; got {' '.join(words)}")
    results = typed_place(folders[0]) if folders else Path("results")
    if not names and load:
        raise ConfigError("doctor --load takes the id of one stored point")
    unread = unreadable_points(results)
    if names and (broken := _unread_meant(names[0], results, unread)):
        if load:
            raise unread[broken]
        return [_unread(broken, unread[broken])]
    without = frozenset(unread)
    asked = find_point(results, names[0], without).point_id if names else None
    titles = dict(_titles(Selection(results, sweep), asked, without))
    if load:
        with progress_console.status("checking a point …"):
            ((point_id, title),) = titles.items()
            return [examine_again(PointPaths(results, point_id), title)]
    points = StoredPoints(results, without)
    of_sweep = Selection(results, sweep).point_ids
    damaged = [] if names else [n for n in unread if of_sweep is None or n in of_sweep]
    with step_bar(transient=True) as bar:
        found = [
            examine_stored(PointPaths(results, name), title, points)
            for name, title in bar.track(titles.items(), description="points")
        ]
    return [*found, *(_unread(name, unread[name]) for name in damaged)]


def _unread_meant(word: str, results: Path, unread: Mapping[str, RecordError]) -> str | None:
    """The id of the point that a word means, if that is one whose record cannot be read."""
    if word in unread:
        return word
    meant = [p.point_id for p in point_folders(results) if p.point_id.startswith(word)]
    if not meant or not unread.keys() >= set(meant):
        return None
    if len(meant) > 1:
        raise ConfigError(f"{word} is the beginning of several points: {', '.join(meant)}")
    return meant[0]


def _unread(point_id: str, error: RecordError) -> Examination:
    check = Check(FILES, CheckState.PROBLEM, error.finding, error.remedy)
    return Examination(f"a point that cannot be read  ({point_id})", (check,))


def _titles(
    chosen: Selection, asked: str | None, without: frozenset[str]
) -> Iterator[tuple[str, str]]:
    """Points in the order in which they are read, by id."""
    points = chosen.of(point_table(chosen.results, without))
    for line in with_model_labels(in_reading_order(points), objective=False).to_dicts():
        if asked in (None, line["point_id"]):
            name = " · ".join(axis_words({axis: line[axis] for axis in AXES}))
            yield line["point_id"], f"{name}  ({line['point_id']})"


def _show(found: Sequence[Examination]) -> int:
    out = output_console()
    shown = [one for one in found if len(found) <= MOST_POINTS or one.needs_a_look]
    for examination in shown[:MOST_POINTS]:
        out.print(examination_view(examination, every_check=len(found) == 1))
    if len(found) > len(shown):
        out.print(
            Text(f"{counted(len(found) - len(shown), 'point')} with nothing to do", style="green")
        )
    if len(shown) > MOST_POINTS:
        names = f"{len(shown) - MOST_POINTS} more points have something to do"
        out.print(Text(f"{names}: python -m gradsweep doctor <point id> tells what", style="bold"))
        out.print(Text(" ".join(one.title.rsplit("(", 1)[-1][:8] for one in shown[MOST_POINTS:]),
                       style="dim"))  # fmt: skip
    unchecked = {c.name for one in found for c in one.checks if c.state is CheckState.NOT_CHECKED}
    if len(found) > 1 and unchecked:
        out.print(
            Text(
                f"not checked in some points: {', '.join(sorted(unchecked))}; "
                "python -m gradsweep doctor <point id> says how",
                style="dim",
            )
        )
    out.print(summary_line(found))
    return int(any(one.count(CheckState.PROBLEM) for one in found))
