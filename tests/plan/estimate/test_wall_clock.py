"""Jobs that share places."""

from __future__ import annotations

import pytest

from gradsweep.plan.estimate import makespan


@pytest.mark.parametrize(
    ("seconds", "at_once", "expected"),
    [
        ([], 4, 0),
        ([5], 4, 5),
        ([3, 3, 3], 1, 9),
        ([3, 3, 3], 2, 6),
        ([3, 3, 3], 3, 3),
        ([9, 1, 1, 1], 2, 9),
        ([1, 1, 1, 9], 2, 10),
    ],
)
def test_each_job_takes_the_first_free_place(
    seconds: list[float], at_once: int, expected: float
) -> None:
    assert makespan(seconds, at_once) == expected
