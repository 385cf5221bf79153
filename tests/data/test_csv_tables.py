"""CSV: its cells as they stand there, or one error with the row that cannot be read rightly."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gradsweep.config import Config
from gradsweep.data import load_samples
from gradsweep.errors import DataError

MakeConfig = Callable[..., Config]
ReadCsv = Callable[[str], list[tuple[str, str]]]


@pytest.fixture
def read(make_config: MakeConfig, tmp_path: Path) -> ReadCsv:
    """Prompts and responses of a CSV file with this text."""

    def of_text(text: str) -> list[tuple[str, str]]:
        path = tmp_path / "mine.csv"
        path.write_bytes(text.encode())
        config = make_config("jsonl", path=path, shuffle=False, n_samples=50)
        return [(sample.prompt, sample.response) for sample in load_samples(config).samples]

    return of_text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            r'"2+2?","He said \"four\""',
            r'row 1: .*backslash before it \(\\"\).*Spark.*JSON',
        ),
        ('a?,b\n"2+2?","say \\"4\\", please"', r"row 2: .*backslash"),
        ('"2+2?","He said "four""', r"row 1: .*not doubled"),
        ('a?,b\n\n"2+2?,4\nc?,d', r"row 3: .*never closed"),
    ],
)
def test_a_quote_that_is_not_doubled_is_no_other_text(text: str, said: str, read: ReadCsv) -> None:
    with pytest.raises(DataError, match=rf"mine\.csv, {said}"):
        read(f"prompt,response\n{text}\n")


def test_a_text_that_two_readers_read_otherwise_is_none(read: ReadCsv) -> None:
    with pytest.raises(DataError, match=r"mine\.csv, row 2: .*carriage return inside.*in quotes"):
        read('prompt,response\na?,b\nc\r,"d?"\n')


@pytest.mark.parametrize(
    "response",
    [
        "C:\\",
        'say "x"',
        '\\"',
        '"',
        'a\\"b',
        "\\",
        "\\frac{1}{2}",
        "x\r\ny",
        "x\ry",
        " x ",
        "5' \0",
    ],
)
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_what_csv_writers_write_is_read_as_it_was(
    response: str, quoting: int, read: ReadCsv
) -> None:
    file = io.StringIO()
    rows = [("prompt", "response"), ("a?", response), ("b?", "x" * 200_000), ("c?", response)]
    csv.writer(file, quoting=quoting).writerows(rows)  # type: ignore[arg-type]  # 3.12's enum
    assert read(file.getvalue()) == rows[1:]


def test_of_two_columns_with_one_name_none_is_ignored(read: ReadCsv) -> None:
    with pytest.raises(DataError, match=r"mine\.csv: 2 columns have the name 'response'.*rename"):
        read("prompt,response,response\na?,b,c\n")
    assert read("prompt,response,,\na?,b,,\n") == [("a?", "b")]


@pytest.mark.parametrize("blank", ["", ",", '"",""'])
def test_blank_lines_are_no_questions(blank: str, read: ReadCsv) -> None:
    text = f"prompt,response\na?,b\n{blank}\nc?,d\n{blank}\n"
    assert read(text) == [("a?", "b"), ("c?", "d")]
    with pytest.raises(DataError, match=r"row 3: field 'prompt' must be a text, got null"):
        read(f"prompt,response\na?,b\n{blank}\n,d\n")
    with pytest.raises(DataError, match="has no rows"):
        read(f"prompt,response\n{blank}\n")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_any_system_ends_them(end: str, read: ReadCsv) -> None:
    lines = ["prompt,response", "a?,b", '"c, d?",e', ""]
    assert read(end.join(lines)) == [("a?", "b"), ("c, d?", "e")]


def test_own_responses_skip_blank_lines_too(make_config: MakeConfig, tmp_path: Path) -> None:
    mine, own = tmp_path / "mine.jsonl", tmp_path / "own.csv"
    mine.write_text(json.dumps({"prompt": "a?", "response": "b"}), encoding="utf-8")
    own.write_text("prompt,response\n\na?,c\n,\n", encoding="utf-8")
    config = make_config("jsonl", kind="custom", name="mine", cot_path=own, path=mine)
    assert [sample.response for sample in load_samples(config).samples] == ["c"]
