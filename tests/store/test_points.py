"""Which stored points are the same but for their condition: one rule for doctor and W&B."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from helpers.stored_points import store_point

from gradsweep.errors import DataError
from gradsweep.records import Axes
from gradsweep.store import PointPaths, load_rows
from gradsweep.store.points import find_point, other_conditions
from gradsweep.store.record import read_config
from gradsweep.store.state import point_statuses

QUESTIONS = [f"question{i}" for i in range(4)]


def store(results: Path, name: str, cot: str, correctness: str, n: int = 4, **changes: int) -> None:
    axes = Axes("tiny", "sums", cot, correctness)
    store_point(results, name, axes, 1.0, questions=QUESTIONS[:n], **changes)


def found(results: Path, name: str) -> dict[tuple[str, str], str]:
    return other_conditions(results, read_config(PointPaths(results, name)))


def test_other_conditions_and_the_point_itself(tmp_path: Path):
    store(tmp_path, "a", "none", "correct")
    store(tmp_path, "b", "none", "irrelevant")
    store(tmp_path, "c", "detailed", "correct")
    store(tmp_path, "seed", "simplified", "correct", seed=1)
    expected = {
        ("none", "correct"): "a",
        ("none", "irrelevant"): "b",
        ("detailed", "correct"): "c",
    }
    assert found(tmp_path, "a") == found(tmp_path, "b") == found(tmp_path, "c") == expected


def test_another_series_is_no_counterpart(tmp_path: Path):
    store(tmp_path, "a", "none", "correct")
    store(tmp_path, "few", "detailed", "correct", n=2)
    assert ("detailed", "correct") not in found(tmp_path, "a")
    store(tmp_path, "more", "detailed", "correct")
    assert found(tmp_path, "a")["detailed", "correct"] == "more"


def test_of_points_that_measured_more_the_one_that_measured_least(tmp_path: Path):
    store(tmp_path, "a", "none", "correct")
    store_point(tmp_path, "b", Axes("tiny", "sums", "detailed", "correct"), 1.0,
                questions=QUESTIONS, projections=(*"qkvo", "up"))  # fmt: skip
    store(tmp_path, "c", "detailed", "correct")
    assert found(tmp_path, "a")["detailed", "correct"] == "c"


def test_a_point_is_found_by_id_beginning_or_filters(tmp_path: Path):
    store(tmp_path, "abc", "none", "correct")
    store(tmp_path, "abd", "detailed", "correct")
    for word in ("abc", "cot=none", "cot=none,model=tiny"):
        assert find_point(tmp_path, word).point_id == "abc"


def test_a_column_that_would_split_rows_names_itself_on_reading(tmp_path: Path):
    store(tmp_path, "a", "none", "correct")
    paths = PointPaths(tmp_path, "a")
    rows = pl.read_parquet(paths.rows)
    pl.concat([rows.with_columns(step=0), rows.with_columns(step=1)]).write_parquet(paths.rows)
    paths.done.write_text("{}")  # its checksums are of another file
    with pytest.raises(DataError, match=r"step \(0, 1\) tells rows .* layer, projection, head"):
        load_rows(tmp_path)


def test_results_from_before_the_axis_objective_load_as_the_studys(tmp_path: Path):
    store(tmp_path, "old", "none", "correct")
    store(tmp_path, "new", "detailed", "correct")
    now = load_rows(tmp_path)
    config = PointPaths(tmp_path, "old").config
    config.write_text(config.read_text().replace("  objective: sft\n", ""))
    assert "objective" not in config.read_text()
    assert load_rows(tmp_path).equals(now)
    assert [status.axes for status in point_statuses(tmp_path)] == [
        f"tiny · sums · {cot} · correct" for cot in ("detailed", "none")
    ]
    assert found(tmp_path, "old") == {("none", "correct"): "old", ("detailed", "correct"): "new"}


def test_another_objective_is_no_counterpart_and_found_by_its_name(tmp_path: Path):
    store(tmp_path, "a", "none", "correct")
    axes = Axes("tiny", "sums", "none", "irrelevant", "kto")
    store_point(tmp_path, "k", axes, 1.0, questions=QUESTIONS)
    assert found(tmp_path, "a") == {("none", "correct"): "a"}
    assert find_point(tmp_path, "objective=kto").point_id == "k"
    assert find_point(tmp_path, "objective=sft").point_id == "a"
