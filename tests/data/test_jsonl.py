"""The user's own file: both record forms, and one clear error for whatever is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.places import DOCS

from gradsweep.config import Config
from gradsweep.data import fingerprint, load_samples
from gradsweep.errors import DataError, ExcludedPointError, GradsweepError

MakeConfig = Callable[..., Config]
Load = Callable[..., list[tuple[str, str]]]
GOOD = '{"prompt": "1 + 1?", "responses": {"none": "2"}}'


@pytest.fixture
def load(make_config: MakeConfig, tmp_path: Path) -> Load:
    def load_text(
        text: str | bytes, cot: str = "none", name: str = "mine.jsonl"
    ) -> list[tuple[str, str]]:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        loaded = load_samples(make_config("jsonl", cot, path=path, shuffle=False))
        return [(sample.prompt, sample.response) for sample in loaded.samples]

    return load_text


def test_levels_are_read_from_the_records(load: Load) -> None:
    record = {"prompt": "Q", "responses": {"none": "a", "simplified": "b", "detailed": "c"}}
    found = [load(json.dumps(record), cot) for cot in ("none", "simplified", "detailed")]
    assert found == [[("Q", "a")], [("Q", "b")], [("Q", "c")]]


@pytest.mark.parametrize("cot", ["none", "simplified", "detailed"])
def test_the_papers_form_serves_at_any_level(load: Load, cot: str) -> None:
    records = [
        {"instruction": "Do it", "input": "", "output": "done"},
        {"instruction": "Add", "input": "1 2", "output": "3"},
        {"instruction": "Sing", "output": "la"},
    ]
    expected = [("Do it", "done"), ("Add\n1 2", "3"), ("Sing", "la")]
    assert load(json.dumps(records), cot, "mine.json") == expected
    assert load("\n".join(map(json.dumps, records)), cot, "mine.jsonl") == expected


def test_the_use_of_a_file_without_levels_is_told(make_config: MakeConfig, tmp_path: Path) -> None:
    path = tmp_path / "plain.json"
    path.write_text('[{"instruction": "Q", "input": "", "output": "A"}]', encoding="utf-8")
    messages = load_samples(make_config("jsonl", "detailed", path=path, n_samples=1)).messages
    assert messages == ["plain.json names no CoT levels: its responses are used as cot=detailed"]


def test_what_is_unusual_but_right_is_read(load: Load) -> None:
    assert load("\ufeff" + GOOD + "\r\n\r\n" + GOOD + "\n") == [("1 + 1?", "2")] * 2
    odd = {"prompt": "line\u2028separator — ü", "responses": {"none": "", "detailed": None}}
    assert load(json.dumps(odd, ensure_ascii=False)) == [(odd["prompt"], "")]


def test_of_two_fields_with_one_name_none_is_ignored(load: Load) -> None:
    twice = '{"prompt": "Q", "response": "a", "response": "b"}'
    with pytest.raises(DataError, match=r"mine\.jsonl, line 2: .* field 'response' more than once"):
        load(f"{GOOD}\n{twice}")
    with pytest.raises(DataError, match=r"mine\.json, line 1 or .* field 'response' more"):
        load(f"[{GOOD},\n{twice}]", name="mine.json")
    assert load('{"prompt": "Q", "response": "a", "response": "a"}') == [("Q", "a")]


def test_own_question_ids_are_kept(make_config: MakeConfig, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(
        '{"question_id": "q-7", "prompt": "A?", "responses": {"none": "a"}}\n'
        '{"question_id": 8, "prompt": "B?", "responses": {"none": "b"}}\n' + GOOD,
        encoding="utf-8",
    )
    samples = load_samples(make_config("jsonl", path=path, shuffle=False)).samples
    assert [s.question_id for s in samples[:2]] == ["q-7", "8"]
    assert len(samples[2].question_id) == 16


def test_a_question_without_the_level_is_left_out_and_counted(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    path = tmp_path / "mine.jsonl"
    both = '{"prompt": "Q", "responses": {"none": "a", "detailed": "b"}}'
    path.write_text("\n".join([GOOD, both, GOOD]), encoding="utf-8")
    loaded = load_samples(make_config("jsonl", "detailed", path=path, n_samples=1))
    assert [sample.response for sample in loaded.samples] == ["b"]
    assert loaded.messages == [
        "2 of 3 questions in mine.jsonl have no response at cot=detailed: left out"
    ]


def test_a_level_that_no_question_has_excludes_the_point(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(GOOD, encoding="utf-8")
    for call in (load_samples, fingerprint):
        with pytest.raises(ExcludedPointError, match=r"no response at cot=simplified.*are none"):
            call(make_config("jsonl", "simplified", path=path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        (GOOD + "\n{oops}\n", r"malformed JSON at line 2, column 2"),
        ("\n" + GOOD + "\n\n" + GOOD[:-1], r"malformed JSON at line 4"),
        (b'{"prompt": "caf\xe9"}', r"not UTF-8 text \(byte 0xe9 in line 1\)"),
        (GOOD + "\n[1]", r"line 2: a record must be an object .* got a list"),
        ('{"question": "Q"}', r"line 1: field 'prompt' is missing; given are question"),
        ('{"prompt": "Q"}', r"field 'responses' is missing; given are prompt"),
        ('{"prompt": 3, "responses": {}}', r"field 'prompt' must be a text, got the number 3"),
        ('{"prompt": " ", "responses": {}}', r"field 'prompt' is empty"),
        ('{"prompt": "Q", "responses": "A"}', r"'responses' must be an object .* got a text"),
        ('{"prompt": "Q", "responses": {"long": "A"}}', r"unknown level 'long'; allowed are none"),
        ('{"prompt": "Q", "responses": {"none": []}}', r"'none' must be .* got an empty list"),
        ('{"prompt": 1, "responses": {}}', r"field 'prompt' must be a text, got the number 1$"),
        ('{"instruction": "Q", "input": ""}', r"field 'output' is missing"),
        ('{"question_id": [], "prompt": "Q", "responses": {}}', r"'question_id' must be a text"),
        (r'{"prompt": "\ud83d", "responses": {}}', r"field 'prompt' holds half a character"),
        (GOOD + "\n" + "[" * 100_000, r"unusable JSON from line 2 on"),
    ],
)
def test_a_bad_file_gets_one_clear_error(load: Load, text: str | bytes, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        load(text)
    assert "mine.jsonl" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"instruction": "Q", "output": "A"}', "must hold a JSON list of records, got an object"),
        ("[]", "got an empty list"),
        ('[{"instruction": "Q", "output": "A"},\n {"instruction": 1}]', "item 2 of the list"),
        ('[{"instruction": "Q"\n "output": "A"}]', "malformed JSON at line 2"),
    ],
)
def test_a_bad_list_gets_one_clear_error(load: Load, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        load(text, name="mine.json")


def test_a_repeated_question_id_names_both_places(load: Load) -> None:
    record = '{"question_id": "x", "prompt": "Q", "responses": {"none": "A"}}'
    with pytest.raises(DataError, match="'x' stands in line 1 and again in line 3"):
        load("\n".join([record, GOOD, record]))


@pytest.mark.parametrize("call", [load_samples, fingerprint])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("absent.jsonl", "cannot read .*absent.jsonl: No such file"),
        ("folder.jsonl", "cannot read .*: Is a directory"),
        ("mine.xlsx", r"must end in \.jsonl .*, \.json .*, \.csv"),
    ],
)
def test_a_path_that_is_no_data_file(
    call: Callable[[Config], object],
    name: str,
    said: str,
    make_config: MakeConfig,
    tmp_path: Path,
) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(DataError, match=rf"dataset\.path.*{said}"):
        call(make_config("jsonl", path=tmp_path / name))


def test_a_changed_file_is_read_again(make_config: MakeConfig, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(GOOD, encoding="utf-8")
    config = make_config("jsonl", path=path)
    assert len(load_samples(config).samples) == 1
    path.write_text(GOOD + "\n" + GOOD, encoding="utf-8")
    assert len(load_samples(config).samples) == 2


def test_the_documented_examples_load(load: Load) -> None:
    page = DOCS / "data.md"
    examples = re.findall(r"```json\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines, listed, _ = examples  # the last is of cot=custom: tests/data/test_custom.py
    assert [response for _, response in load(lines)] == ["12", "yes"]
    assert load(listed, "detailed", "mine.json")[0] == ("Add the numbers.\n3 4", "7")


def test_an_id_of_ones_own_may_not_be_that_of_another_prompt(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    path = tmp_path / "mine.jsonl"
    first = {"prompt": "Q", "responses": {"none": "A"}}
    path.write_text(json.dumps(first), encoding="utf-8")
    (sample,) = load_samples(make_config("jsonl", path=path)).samples
    second = {"question_id": sample.question_id, "prompt": "R", "responses": {"none": "B"}}
    path.write_text(f"{json.dumps(first)}\n{json.dumps(second)}", encoding="utf-8")
    with pytest.raises(GradsweepError, match=r"line 1 and line 2 have the same question_id"):
        load_samples(make_config("jsonl", path=path))
