"""Files that were cut short, edited or lost are named, with the command that heals them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from helpers.stored_points import store_point

from gradsweep.cli import main
from gradsweep.errors import DataError
from gradsweep.plan.estimate import read_costs
from gradsweep.records import Axes
from gradsweep.store import PointPaths, SweepPaths, load_rows, load_samples_table
from gradsweep.store.atomic import write_json

Damage = Callable[[Path], object]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def edit(file: Path) -> None:
    """Another table in the same form: only a checksum tells."""
    pl.read_parquet(file).head(1).write_parquet(file)


@pytest.fixture
def point(tmp_path: Path) -> PointPaths:
    return store_point(tmp_path / "results", "abc", Axes("m", "d", "none", "correct"), 1.0)


@pytest.mark.parametrize("damage", [cut, edit, Path.unlink])
def test_a_damaged_table_is_named_with_what_heals_it(point: PointPaths, damage: Damage) -> None:
    assert len(load_rows(point.results))
    damage(point.rows)
    with pytest.raises(DataError) as refused:
        load_rows(point.results)
    told = str(refused.value)
    assert str(point.rows) in told
    assert f"rm -r {point.folder}" in told
    assert len(load_samples_table(point.results)), "the other table is whole"


def test_the_command_of_the_points_sweep_heals_it(point: PointPaths) -> None:
    manifest = {
        "points": [{"point_id": point.point_id}],
        "command": ["gradsweep", "-m", "cot=none"],
    }
    write_json(SweepPaths(point.results, "mine").manifest, manifest)
    cut(point.samples)
    with pytest.raises(DataError, match=rf"rm -r {point.folder} && gradsweep -m cot=none$"):
        load_samples_table(point.results)


@pytest.mark.parametrize("name", ["rows", "samples", "summary", "done", "config"])
def test_no_verb_ends_in_a_traceback(
    point: PointPaths, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(getattr(point, name))
    for verb in ("doctor", "status" if name == "summary" else "report"):
        assert main([verb, str(point.results)]) == 1
        shown = capsys.readouterr()
        assert str(getattr(point, name)) in "".join((shown.err + shown.out).split())


def test_costs_are_not_read_from_a_damaged_summary(point: PointPaths) -> None:
    point.summary.write_text(json.dumps({"cost": {}}))
    with pytest.raises(DataError, match=r"summary\.json is not as it was written"):
        read_costs(point.results)
