"""Curves of one kind, computed as one array while it fits a core's cache."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import TypeVar

_MOST_TOGETHER = 2**15
"""Numbers of an array (256 KiB): with sixteen times as many, which leave a core's cache, everything
takes twice as long."""

Member = TypeVar("Member", bound=Hashable)
Kind = TypeVar("Kind", bound=Hashable)


def together(kinds: Mapping[Member, Kind], numbers: int) -> Iterator[tuple[Kind, list[Member]]]:
    """Give the members of each kind, which are computed as one array.

    Args:
        kinds: of each member.
        numbers: that a member takes; no more of them are together than fit the processor's cache.
    """
    members: dict[Kind, list[Member]] = {}
    for member, kind in kinds.items():
        members.setdefault(kind, []).append(member)
    most = max(1, _MOST_TOGETHER // max(1, numbers))
    for kind, of_kind in members.items():
        for start in range(0, len(of_kind), most):
            yield kind, of_kind[start : start + most]
