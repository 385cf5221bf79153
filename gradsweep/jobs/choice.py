"""Points as a person names them: by id, by the beginning of an id, or by filters on the axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from gradsweep.errors import ConfigError
from gradsweep.jobs.status.points import KnownPoint
from gradsweep.records import AXES
from gradsweep.store import SweepPaths
from gradsweep.store.selection import Selection, selection

_SHOWN = 8


def place_and_points(words: Sequence[str]) -> tuple[Selection, list[str]]:
    """`[results or sweep] [POINT …]`, in any order.

    Raises:
        ConfigError: more than one place.
        DataError: a sweep or folder that is not there.
    """
    places = [word for word in words if _is_place(word)]
    return selection(places), [word for word in words if word not in places]


def choose(points: Sequence[KnownPoint], words: Iterable[str]) -> list[KnownPoint]:
    """Every point that one of the words means, in the order of `points`.

    A word is an id, the beginning of one, or filters `axis=value,axis=value` that hold together.

    Raises:
        ConfigError: a word that means no point, or the beginning of several ids.
    """
    chosen: set[str] = set()
    for word in words:
        meant = _filtered(points, word) if "=" in word else _beginning(points, word)
        chosen |= {point.point_id for point in meant}
    return [point for point in points if point.point_id in chosen]


def choose_one(points: Sequence[KnownPoint], word: str) -> KnownPoint:
    """`choose` of one word; raises ConfigError, too, when filters mean several points."""
    meant = choose(points, [word])
    if len(meant) > 1:
        raise ConfigError(f"{word} is {len(meant)} points, name one: {_listed(meant)}")
    return meant[0]


def _is_place(word: str) -> bool:
    """Whether `selection` understands the word; a path that is not there is a misspelt place."""
    named = "/" not in word and SweepPaths(Path("results"), word).manifest.exists()
    return "=" not in word and (named or "/" in word or Path(word).is_dir())


def _beginning(points: Sequence[KnownPoint], word: str) -> list[KnownPoint]:
    found = [point for point in points if point.point_id.startswith(word)]
    if len(found) > 1:
        raise ConfigError(f"{word} is the beginning of several points: {_listed(found)}")
    if not found:
        raise ConfigError(
            f"no point {word!r} here; there are {_listed(points)} "
            "(python -m gradsweep status shows what they are)"
        )
    return found


def _filtered(points: Sequence[KnownPoint], word: str) -> list[KnownPoint]:
    found = list(points)
    for part in word.split(","):
        kept = [point for point in points if _has(point, part)]
        if not kept:
            raise ConfigError(f"{part} is not among these points; {_there(points, part)}")
        found = [point for point in found if point in kept]
    if not found:
        raise ConfigError(f"no point is {word}")
    return found


def _has(point: KnownPoint, part: str) -> bool:
    """`model=qwen2_1.5b` and `seed=1` both mean "qwen2_1.5b seed=1"."""
    axis, _, value = part.partition("=")
    if axis in AXES:
        return value in (point.axes[axis], point.axes[axis].split(" ")[0])
    return part in point.axes["model"].split(" ")[1:]


def _there(points: Sequence[KnownPoint], part: str) -> str:
    axis = part.partition("=")[0]
    if axis not in AXES:
        return f"a filter is axis=value with one of {', '.join(AXES)}"
    return f"{', '.join(sorted({point.axes[axis] for point in points}))} are"


def _listed(points: Sequence[KnownPoint]) -> str:
    names = [f"{p.point_id[:8]} ({' · '.join(p.axes.values())})" for p in points[:_SHOWN]]
    more = len(points) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
