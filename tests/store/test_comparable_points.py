"""Which stored points are the same but for their condition: one rule for doctor and W&B."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import yaml
from helpers.stored_points import store_point

from gradsweep.errors import DataError
from gradsweep.records import Axes
from gradsweep.store import PointPaths, load_rows
from gradsweep.store.points import comparable_points, find_point
from gradsweep.store.read import read_config

QUESTIONS = [f"question{i}" for i in range(4)]


def store(results: Path, name: str, cot: str, correctness: str, n: int = 4, **changes: int) -> None:
    axes = Axes("tiny", "sums", cot, correctness)
    store_point(results, name, axes, 1.0, questions=QUESTIONS[:n], **changes)


def found(results: Path, name: str) -> dict[tuple[str, str], str]:
    return comparable_points(results, read_config(PointPaths(results, name))["science"])


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


def test_of_several_numbers_of_samples_the_same_one(tmp_path: Path):
    store(tmp_path, "a", "none", "correct")
    store(tmp_path, "few", "detailed", "correct", n=2)
    assert found(tmp_path, "a")["detailed", "correct"] == "few"
    store(tmp_path, "more", "detailed", "correct")
    assert found(tmp_path, "a")["detailed", "correct"] == "more"


def test_several_sources_of_irrelevant_responses_are_no_counterpart(tmp_path: Path):
    store(tmp_path, "a", "none", "correct")
    for name in ("b", "c"):
        store(tmp_path, name, "none", "irrelevant")
        path = PointPaths(tmp_path, name).config
        record = yaml.safe_load(path.read_text())
        record["science"]["correctness"] = f"source_{name}"
        path.write_text(yaml.safe_dump(record))
    assert ("none", "irrelevant") not in found(tmp_path, "a")
    assert found(tmp_path, "b")["none", "irrelevant"] == "b", "the point itself is no question"


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
