"""Numbers of tables that stand for responses: the texts that were written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradsweep.config import Config
from gradsweep.data import fingerprint, load_samples
from gradsweep.data.files import content_hash
from gradsweep.data.jsonl import FIELD
from gradsweep.data.questions import digest
from gradsweep.records import Sample

MakeConfig = Callable[..., Config]
Table = Callable[..., Config]


@pytest.fixture
def table(make_config: MakeConfig, tmp_path: Path) -> Table:
    """A config of a Parquet file with these columns, and a prompt in each row."""

    def of_columns(correctness: str = "correct", **columns: pl.Series) -> Config:
        path = tmp_path / "mine.parquet"
        rows = len(next(iter(columns.values())))
        pl.DataFrame({"prompt": [f"{n}?" for n in range(rows)], **columns}).write_parquet(path)
        return make_config("jsonl", "none", correctness, path=path, shuffle=False, n_samples=rows)

    return of_columns


def _samples(config: Config) -> list[Sample]:
    return load_samples(config).samples


def _responses(config: Config) -> list[str]:
    return [sample.response for sample in _samples(config)]


def _is_as_ever(config: Config) -> bool:
    content = content_hash(Path(config.dataset.path or ""), FIELD)
    return fingerprint(config) == digest("jsonl", content)


@pytest.mark.parametrize(
    ("dtype", "values", "texts"),
    [
        (pl.Float32, [0.1, 12.0, -2.5e-7], ["0.1", "12.0", "-2.5e-07"]),
        (pl.Float16, [0.1, 12.0], ["0.1", "12.0"]),
        (pl.Float64, [12.0, None, -7.0], ["12", "-7"]),
        (pl.Float32, [12.0, None, 7.0], ["12", "7"]),
        (pl.Float64, [2.0**53], ["9007199254740992"]),
    ],
)
def test_a_number_is_the_text_that_was_written(
    dtype: type[pl.DataType], values: list[float], texts: list[str], table: Table
) -> None:
    config = table(response=pl.Series(values, dtype=dtype))
    assert _responses(config) == texts
    assert not _is_as_ever(config), "the same file had other texts"


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (pl.Float64, [0.1, 12.0]),
        (pl.Float32, [0.5, 12.0]),
        (pl.Int64, [12, 7]),
        (pl.Float64, [2.0**60, 1.0]),
        (pl.String, ["12.0", "0.10"]),
    ],
)
def test_other_numbers_are_as_they_were(
    dtype: type[pl.DataType], values: list[Any], table: Table
) -> None:
    config = table(response=pl.Series(values, dtype=dtype))
    assert _responses(config) == [str(value) for value in values]
    assert not any("whole" in told for told in load_samples(config).messages)
    assert _is_as_ever(config)


def test_numbers_that_lose_their_point_are_told(table: Table) -> None:
    config = table(
        response=pl.Series([12.0, None, 3.0]), score=pl.Series([1.0, 2.0, 3.0]), level=["none"] * 3
    )
    assert (
        "2 of 3 records in mine.parquet have a response from a column of numbers that are all "
        "whole: read without '.0', as 12 for 12.0; save the column as texts to keep it"
    ) in load_samples(config).messages


def test_numbers_inside_objects_and_lists(table: Table) -> None:
    levels = pl.Struct({"none": pl.Float32, "detailed": pl.String})
    rows = [{"none": 0.1, "detailed": "x"}, {"none": None, "detailed": "y"}]
    assert _responses(table(responses=pl.Series(rows, dtype=levels))) == ["0.1"]
    group = table(
        "group",
        responses=pl.Series([[0.1, 0.2]], dtype=pl.List(pl.Float32)),
        rewards=pl.Series([[0.1, 1.0]], dtype=pl.List(pl.Float32)),
    )
    assert [(s.response, s.reward) for s in _samples(group)] == [
        ("0.1", 0.10000000149011612),
        ("0.2", 1.0),
    ]
    assert not _is_as_ever(group)


def test_numbers_that_are_no_texts_stay_the_same(table: Table) -> None:
    """A reward is the number that the table has, to the last bit, and no part of an id."""
    config = table(
        "group",
        response=["1", "0.1", "7"],
        reward=pl.Series([1.0, 0.1, 7.0], dtype=pl.Float32),
        question_id=pl.Series([1.0, 2.0, 3.0]),
    )
    assert [(s.question_id, s.reward) for s in _samples(config)] == [
        ("1", 1.0),
        ("2", 0.10000000149011612),
        ("3", 7.0),
    ]
    assert _is_as_ever(config)


def test_an_input_is_a_text_too(table: Table) -> None:
    config = table(instruction=["Double it."] * 2, input=pl.Series([12.0, 3.0]), output=["24", "6"])
    frame = pl.read_parquet(Path(config.dataset.path or "")).drop("prompt")
    frame.write_parquet(config.dataset.path)
    assert _samples(config)[0].prompt == "Double it.\n12"
    assert not _is_as_ever(config)


def test_own_responses_are_the_texts_that_were_written(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.jsonl"
    rows = [{"question_id": str(n), "prompt": f"{n}?", "response": "x"} for n in range(2)]
    mine.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    def config(name: str, responses: pl.Series) -> Config:
        path = tmp_path / name
        ids = pl.Series([0.0, 1.0])
        pl.DataFrame({"question_id": ids, "response": responses}).write_parquet(path)
        return make_config(
            "jsonl", kind="custom", name="mine", cot_path=path, path=mine, n_samples=2
        )

    narrow = config("narrow.parquet", pl.Series([0.1, 0.2], dtype=pl.Float32))
    whole = config("whole.parquet", pl.Series([12.0, 3.0]))
    texts = config("texts.parquet", pl.Series(["12", "3"]))
    assert sorted(_responses(narrow)) == ["0.1", "0.2"]
    assert sorted(_responses(whole)) == ["12", "3"]
    assert any("2 of 2 entries in whole.parquet" in m for m in load_samples(whole).messages)
    assert not any("entries" in told for told in load_samples(texts).messages)
    for made, rules in ((narrow, ["narrow numbers"]), (whole, ["whole numbers"]), (texts, [])):
        own = digest("jsonl", content_hash(mine, FIELD))
        assert fingerprint(made) == digest(own, content_hash(Path(made.cot.path), FIELD), *rules)
