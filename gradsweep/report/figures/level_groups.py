"""Which CoT levels share a panel: more than a few lines in one tell nobody anything."""

from __future__ import annotations

from collections.abc import Sequence

from gradsweep.config import CotLevel, is_reasoning_level

MOST_TOGETHER = 5
"""Levels of one panel; more are parted."""
OF_DATA, PARTS, OTHERS = "levels", "first steps", "others"


def level_groups(levels: Sequence[str]) -> dict[str, list[str]]:
    """Part levels into panels: words -> levels, in their order; one, without words, of a few.

    Those of the data come first, then the first steps of a rationale, then what is no amount of
    reasoning (`is_reasoning_level`).
    """
    if len(levels) <= MOST_TOGETHER:
        return {"": list(levels)}
    groups: dict[str, list[str]] = {OF_DATA: [], PARTS: [], OTHERS: []}
    for level in levels:
        if level in CotLevel.__members__:
            groups[OF_DATA].append(level)
        else:
            groups[PARTS if is_reasoning_level(level) else OTHERS].append(level)
    return {words: of_group for words, of_group in groups.items() if of_group}
