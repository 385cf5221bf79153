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

from gradsweep.config import Config, CorrectnessKind
from gradsweep.data import fingerprint, load_samples
from gradsweep.errors import GradsweepError

MakeConfig = Callable[..., Config]

NAMES = (
    *("question_id", "prompt", "responses", "level", "response", "completion", "none", "detailed"),
    *("instruction", "input", "output", "question", "answer", "messages", "conversations"),
    *("system", "role", "content", "from", "value", "reasoning_content", "type", "text"),
    *("chosen", "rejected", "rewards", "completions", "label", "reward"),
    *("ref_logps", "ref_chosen_logps", "ref_rejected_logps"),
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
numbers = st.integers(-(10**400), 2) | st.floats() | st.none()
several = st.lists(texts | conversation | values, max_size=3)
FIELDS = ("prompt", "none", "messages", "level", "chosen", "rewards", "label", "ref_logps")
LIKELY = {
    **dict.fromkeys(NAMES, texts | values),
    "responses": st.dictionaries(st.sampled_from(("none", "detailed")), texts | values, max_size=2)
    | several
    | values,
    **dict.fromkeys(("chosen", "rejected"), texts | conversation | values),
    "completions": several | values,
    "rewards": st.lists(numbers | values, max_size=3) | values,
    "label": st.booleans() | values,
    **dict.fromkeys(
        ("reward", "ref_chosen_logps", "ref_rejected_logps"), st.floats(-9, 0) | numbers | values
    ),
    "ref_logps": numbers | st.lists(numbers, max_size=3) | values,
    "messages": conversation | values,
    "conversations": conversation | values,
}
"""Field -> values of which some are as they should be."""
records = st.lists(st.sampled_from(NAMES), max_size=5, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: LIKELY[name] for name in names})
)
FORMS_OF_SEVERAL = (
    ("prompt", "chosen", "rejected"),
    ("chosen", "rejected"),
    ("messages", "chosen", "rejected"),
    ("prompt", "responses", "rewards"),
    ("prompt", "completions", "rewards", "ref_logps"),
    ("prompt", "completion", "label"),
    ("prompt", "completion", "reward"),
)
"""Fields that belong together; beside or instead of one of them may stand anything."""
RIGHT: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("prompt", "completion"), st.sampled_from(("Q", "R", "A. B."))),
    **dict.fromkeys(("chosen", "rejected"), st.sampled_from(("Q A. B.", "Q C", {"none": "D"}))),
    "messages": st.just([{"role": "user", "content": "Q"}]),
    **dict.fromkeys(("responses", "completions"), st.lists(texts, min_size=2, max_size=2)),
    "rewards": st.lists(st.floats(-1, 1) | st.none(), min_size=2, max_size=2),
    "ref_logps": st.lists(st.floats(-9, 0), min_size=2, max_size=2),
    "label": st.booleans(),
    "reward": st.floats(-1, 1),
}
few = st.lists(st.sampled_from(NAMES), max_size=1).flatmap(
    lambda names: st.fixed_dictionaries({name: LIKELY[name] for name in names})
)
records_of_several = st.sampled_from(FORMS_OF_SEVERAL).flatmap(
    lambda names: st.builds(
        lambda right, wrong: right | wrong,
        st.fixed_dictionaries({name: RIGHT[name] for name in names}),
        st.just({}) | few,
    )
)

KINDS = [kind.name for kind in CorrectnessKind]
CONDITIONS = (
    {"cot": "none"},
    {"cot": "none", "correctness": "irrelevant"},
    {"cot": "detailed", "correctness": "irrelevant"},
    {"cot": "detailed", "kind": "partial", "steps_kept": 1, "correctness": "irrelevant"},
)
CONDITIONS_OF_SEVERAL = (
    *({"cot": level, "correctness": kind} for level in ("none", "detailed") for kind in KINDS),
    *({"cot": "none", "match_length": "detailed", "correctness": kind} for kind in KINDS),
    {"cot": "detailed", "kind": "partial", "steps_kept": 1, "correctness": "pair"},
    {"cot": "none", "correctness": "group", "source": "generated"},
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


def read_records(
    rows: list[Any], condition: Mapping[str, Any], config: MakeConfig, folder: Path
) -> None:
    path = folder / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    read(config("jsonl", path=path, n_samples=5, **condition))


@bounded
@given(rows=st.lists(records, min_size=1, max_size=4), condition=st.sampled_from(CONDITIONS))
def test_records_of_any_content(
    rows: list[Any], condition: Mapping[str, Any], config: MakeConfig, tmp_path: Path
) -> None:
    read_records(rows, condition, config, tmp_path)


@bounded
@given(
    rows=st.lists(records_of_several | records, min_size=1, max_size=4),
    condition=st.sampled_from(CONDITIONS_OF_SEVERAL),
)
def test_pairs_groups_and_labels_of_any_content(
    rows: list[Any], condition: Mapping[str, Any], config: MakeConfig, tmp_path: Path
) -> None:
    read_records(rows, condition, config, tmp_path)


@bounded
@given(names=st.dictionaries(st.sampled_from(FIELDS), texts))
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
