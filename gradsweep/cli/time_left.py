"""How long the points of a command that are left will take, by those that are over."""

from __future__ import annotations

from collections.abc import Mapping

from gradsweep.errors import counted
from gradsweep.times import duration_text

WORTH_SAYING = 60.0
"""Seconds; less is over before it is read."""


class TimeLeft:
    """Counts points down; what each was expected to take weighs it against the others."""

    def __init__(self, expected: Mapping[str, float]) -> None:
        """`expected`: point_id -> seconds by the plan, of points that are to run; 0: unknown."""
        self._left = dict(expected)
        self._foreseen = self._spent = 0.0
        self._n_over = 0

    def over(self, point_id: str, seconds: float) -> str:
        """Note a point that has taken `seconds`; returns a line to say, or nothing."""
        if point_id not in self._left:
            return ""
        self._foreseen += self._left.pop(point_id)
        self._spent += seconds
        self._n_over += 1
        left = self._seconds()
        if not self._left or left < WORTH_SAYING:
            return ""
        return f"{counted(len(self._left), 'point')} left, about {duration_text(left)}"

    def _seconds(self) -> float:
        if self._foreseen:
            return sum(self._left.values()) * self._spent / self._foreseen
        return len(self._left) * self._spent / self._n_over
