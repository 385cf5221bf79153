"""What a sweep says of its time: points weigh as the plan foresees them."""

from __future__ import annotations

from gradsweep.cli.time_left import TimeLeft


def test_the_rest_is_weighed_by_the_plan_and_corrected_by_what_was_measured() -> None:
    clock = TimeLeft({"a": 10.0, "b": 10.0, "c": 100.0})
    assert clock.over("a", 20.0) == "2 points left, about 4 min"  # twice as slow as foreseen
    assert clock.over("b", 20.0) == "1 point left, about 3 min"
    assert clock.over("c", 1.0) == ""


def test_without_a_plan_points_are_alike() -> None:
    assert TimeLeft({"a": 0.0, "b": 0.0, "c": 0.0}).over("a", 50.0) == "2 points left, about 2 min"


def test_short_rests_and_points_of_no_plan_say_nothing() -> None:
    assert TimeLeft({"a": 1.0, "b": 1.0}).over("a", 1.0) == ""
    assert TimeLeft({"a": 1.0, "b": 100.0}).over("other", 500.0) == ""
