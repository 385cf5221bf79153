"""A folder of results may have any name: what looks like a pattern in it is that folder alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.stored_points import store_point

from gradsweep import load_rows, load_samples_table
from gradsweep.cli import main
from gradsweep.records import Axes
from gradsweep.store import PointPaths
from gradsweep.store.progress import ProgressReader
from gradsweep.store.read import count_rows, stored_metrics
from gradsweep.store.reference import read_reference, write_reference

NAMES = ["run[1]", "run?", "run*", "data [old]/lr=0.1"]
AXES = Axes("m", "d", "none", "correct")
MakePoint = Callable[..., PointPaths]


@pytest.fixture(params=NAMES)
def point(request: pytest.FixtureRequest, tmp_path: Path) -> MakePoint:
    """A point in a folder of such a name; folders that fit it as a pattern have other numbers."""
    asked = tmp_path / request.param

    def make(**stored: object) -> PointPaths:
        for other in (tmp_path / "run1", tmp_path / "data o" / "lr=0.1"):
            store_point(other, "abc", AXES, 900.0, questions=["another"], own_metrics={"b": 9.0})
            write_reference(PointPaths(other, "abc"), {"another": (-9.0,)})
        return store_point(asked, "abc", AXES, 1.0, own_metrics={"a": 0.5}, **stored)  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize("ends", ["done", "stopped"])
def test_numbers_are_those_of_the_folder_that_was_named(point: MakePoint, ends: str) -> None:
    paths = point(ends=ends)
    rows = load_rows(paths.results)
    assert rows["nuclear_norm"].max() < 2  # type: ignore[operator]
    assert len(load_rows(paths.results, metrics=["nuclear_norm"])) == len(rows)
    assert set(load_samples_table(paths.results)["question_id"]) == set(rows["question_id"])
    assert "another" not in set(rows["question_id"])
    assert stored_metrics(paths.results, ["abc"]) == {"a"}
    assert count_rows(paths.results, ["abc"]) == len(rows)


def test_progress_is_that_of_the_folder_that_was_named(point: MakePoint) -> None:
    paths = point(ends="stopped")
    assert len(ProgressReader().read([paths])["abc"].outcomes) == 10


def test_references_are_those_of_the_folder_that_was_named(point: MakePoint) -> None:
    paths = point()
    write_reference(paths, {"s": (-1.0, -2.0)})
    assert read_reference(paths) == {"s": (-1.0, -2.0)}


@pytest.mark.parametrize("ends", ["done", "stopped"])
def test_a_folder_alone_is_not_called_damaged(
    tmp_path: Path, ends: str, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "run[1]"
    store_point(results, "abc", AXES, 1.0, ends=ends)
    for words in (["status", str(results)], ["doctor", "abc", str(results)]):
        main(words)
        shown = capsys.readouterr()
        assert "damaged" not in shown.out + shown.err
        assert "error" not in shown.err
