"""Whatever a file holds, `load_samples` and `fingerprint` return or raise a `GradsweepError`.

Hypothesis makes the files: values of JSON in every field that a form knows, valid files with
bytes changed, and texts of any characters. The examples are the same in every run.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from helpers.fuzzing import bounded
from hypothesis import given
from hypothesis import strategies as st

from gradsweep.config import Config
from gradsweep.data import fingerprint, load_samples
from gradsweep.errors import GradsweepError

MakeConfig = Callable[..., Config]

NAMES = (
    *("question_id", "prompt", "responses", "level", "response", "completion", "none", "detailed"),
    *("instruction", "input", "output", "question", "answer", "messages", "conversations"),
    *("system", "role", "content", "from", "value", "reasoning_content", "type", "text"),
)
WORDS = ("none", "detailed", "user", "gpt", "assistant", "<noinput>", "A. B.", "#### 4", "</think>")
texts = st.sampled_from(WORDS) | st.text(max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | texts, inner, max_size=3)
    ),
    max_leaves=8,
)


def turns(role: str, text: str, speakers: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(st.fixed_dictionaries({role: speakers, text: texts | values}), max_size=3)


conversation = turns("role", "content", st.sampled_from(WORDS)) | turns(
    "from", "value", st.sampled_from(WORDS)
)
LIKELY = {
    **dict.fromkeys(NAMES, texts | values),
    "responses": st.dictionaries(st.sampled_from(("none", "detailed")), texts | values, max_size=2)
    | values,
    "messages": conversation | values,
    "conversations": conversation | values,
}
"""Field -> values of which some are as they should be."""
records = st.lists(st.sampled_from(NAMES), max_size=5, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: LIKELY[name] for name in names})
)

CONDITIONS = (
    {"cot": "none"},
    {"cot": "none", "correctness": "irrelevant"},
    {"cot": "detailed", "correctness": "irrelevant"},
    {"cot": "detailed", "kind": "partial", "steps_kept": 1, "correctness": "irrelevant"},
)


@pytest.fixture
def config(make_config: MakeConfig) -> MakeConfig:
    """`make_config`, made once for all examples with the same arguments."""
    return cache(make_config)


def read(config: Config) -> None:
    """Load a condition; a file may be refused."""
    with suppress(GradsweepError):
        fingerprint(config)
        load_samples(config)


@bounded
@given(rows=st.lists(records, min_size=1, max_size=4), condition=st.sampled_from(CONDITIONS))
def test_records_of_any_content(
    rows: list[Any], condition: Mapping[str, Any], config: MakeConfig, tmp_path: Path
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    read(config("jsonl", path=path, n_samples=5, **condition))


@bounded
@given(names=st.dictionaries(st.sampled_from(("prompt", "none", "messages", "level")), texts))
def test_names_of_fields_of_any_content(
    names: dict[str, str], make_config: MakeConfig, tmp_path: Path
) -> None:
    path = tmp_path / "mine.json"
    path.write_text('[{"prompt": "Q", "none": "A", "A. B.": 1}]', encoding="utf-8")
    read(make_config("jsonl", path=path, fields=names))


def _table(write: str) -> bytes:
    rows = [{"prompt": f"Question {i}?", "none": str(i), "detailed": f"A. So {i}."} for i in (1, 2)]
    file = io.BytesIO()
    getattr(pl.DataFrame(rows), write)(file)
    return file.getvalue()


VALID = {
    "mine.jsonl": b'{"prompt": "Q", "responses": {"none": "A"}}\n' * 2,
    "mine.json": b'[{"instruction": "Q", "input": "", "output": "A"}]',
    "mine.jsonl.gz": gzip.compress(b'{"prompt": "Q", "responses": {"none": "A"}}'),
    "mine.csv": _table("write_csv"),
    "mine.parquet": _table("write_parquet"),
    "mine.arrow": _table("write_ipc_stream"),
}


@pytest.mark.parametrize("name", VALID)
@bounded
@given(change=st.tuples(st.integers(0, 2000), st.integers(0, 8), st.binary(max_size=8)))
def test_valid_files_with_some_bytes_changed(
    name: str, change: tuple[int, int, bytes], config: MakeConfig, tmp_path: Path
) -> None:
    data = VALID[name]
    start, removed, added = change
    start %= len(data) + 1
    path = tmp_path / name
    path.write_bytes(data[:start] + added + data[start + removed :])
    read(config("jsonl", path=path))


@pytest.mark.parametrize("name", [*VALID, "mine.jsonl.zst", "mine.jsonl.bz2"])
@bounded
@given(data=st.binary(max_size=40))
def test_files_of_any_bytes(name: str, data: bytes, config: MakeConfig, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    read(config("jsonl", path=path))


@bounded
@given(entry=records, prompt=st.booleans())
def test_own_responses_of_any_content(
    entry: dict[str, Any], prompt: bool, config: MakeConfig, tmp_path: Path
) -> None:
    questions, own = tmp_path / "questions.jsonl", tmp_path / "own.jsonl"
    questions.write_text('{"prompt": "Q", "responses": {"none": "A"}}', encoding="utf-8")
    own.write_text(json.dumps(entry | ({"prompt": "Q"} if prompt else {})), encoding="utf-8")
    read(config("jsonl", path=questions, kind="custom", cot_path=own))
