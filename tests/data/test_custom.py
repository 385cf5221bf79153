"""`cot=custom`: the user's own responses to a dataset's questions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from helpers.places import DOCS

from gradsweep.config import Config
from gradsweep.data import fingerprint, load_samples
from gradsweep.errors import ConfigError, DataError
from gradsweep.records import Sample

MakeConfig = Callable[..., Config]
Custom = Callable[..., Config]


def _write(path: Path, entries: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("\n".join(map(json.dumps, entries)), encoding="utf-8")
    return path


@pytest.fixture
def questions(make_config: MakeConfig) -> list[Sample]:
    return load_samples(make_config("arithmetic", n_samples=12, size=12)).samples


@pytest.fixture
def custom(make_config: MakeConfig, tmp_path: Path) -> Custom:
    """A condition of the same 12 questions, with these entries as its file."""

    def make(entries: Sequence[Mapping[str, object]], *rest: str, **fields: object) -> Config:
        path = _write(tmp_path / "mine.jsonl", entries)
        given = {"kind": "custom", "cot_path": path, "n_samples": 12, "size": 12, **fields}
        return make_config("arithmetic", "none", *rest, **given)

    return make


def _teacher(question: Sample) -> str:
    return f"Think about {question.question_id}. It is {question.response}."


def test_questions_are_found_by_id_or_by_prompt(questions: list[Sample], custom: Custom) -> None:
    entries = [
        {key: getattr(question, key), "response": _teacher(question)}
        for question, key in zip(questions, ["question_id", "prompt"] * 6, strict=True)
    ]
    config = custom(entries[::-1], name="teacher")
    loaded = load_samples(config)
    assert config.cot.label == "teacher"
    assert [s.response for s in loaded.samples] == [_teacher(q) for q in questions]
    assert [s.question_id for s in loaded.samples] == [q.question_id for q in questions]
    assert not loaded.messages


def test_what_does_not_match_is_left_out_and_counted(
    questions: list[Sample], custom: Custom
) -> None:
    entries = [{"prompt": q.prompt, "response": "R."} for q in questions[:9]]
    loaded = load_samples(custom([*entries, {"prompt": "Other?", "response": "R."}]))
    assert len(loaded.samples) == 9
    assert "1 entries of mine.jsonl are no questions of this dataset: left out" in loaded.messages
    assert "3 of 12 questions have no response in mine.jsonl: left out" in loaded.messages


def test_irrelevant_responses_are_made_of_the_users_texts(
    questions: list[Sample], custom: Custom
) -> None:
    entries = [{"prompt": q.prompt, "response": _teacher(q)} for q in questions]
    correct, irrelevant = (
        load_samples(custom(entries, kind)).samples for kind in ("correct", "irrelevant")
    )
    texts = " ".join(sample.response for sample in correct)
    for own, other in zip(correct, irrelevant, strict=True):
        sentences = other.response.split(". ")
        assert len(sentences) == 2
        assert all(sentence in texts and sentence not in own.response for sentence in sentences)
    with pytest.raises(ConfigError, match=r"correctness\.source=paper has no irrelevant"):
        load_samples(custom(entries, "irrelevant", source="paper"))


def test_a_dataset_without_the_fastest_level_takes_the_next(
    make_config: MakeConfig, paper_root: Path, tmp_path: Path
) -> None:
    given = load_samples(make_config("math_algebra", "simplified", root=paper_root)).samples
    path = _write(tmp_path / "m.jsonl", [{"prompt": s.prompt, "response": "So."} for s in given])
    config = make_config("math_algebra", root=paper_root, kind="custom", cot_path=path)
    assert {sample.response for sample in load_samples(config).samples} == {"So."}


def test_the_file_is_part_of_the_identity(questions: list[Sample], custom: Custom) -> None:
    one, other = (
        fingerprint(custom([{"prompt": questions[0].prompt, "response": text}])) for text in "AB"
    )
    assert one != other


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"response": "R"}, r"line 1: neither question_id nor prompt .*response\}"),
        ({"prompt": "Q?", "text": "R"}, r"answers no question of dataset=arithmetic"),
        ({"prompt": 3, "response": "R"}, r"field 'prompt' must be a text, got the number 3"),
        (["Q?", "R"], r"line 1: a record must be an object"),
    ],
    ids=str,
)
def test_a_bad_file_gets_one_clear_error(entry: object, message: str, custom: Custom) -> None:
    with pytest.raises(DataError, match=message):
        load_samples(custom([entry]))


def test_a_missing_response_and_a_second_one_are_named(
    questions: list[Sample], custom: Custom
) -> None:
    first = {"prompt": questions[0].prompt}
    with pytest.raises(DataError, match=r"'response' is missing; .*question_id or prompt, resp"):
        load_samples(custom([{**first, "answer": "R"}]))
    with pytest.raises(DataError, match=r"line 2: a second response to"):
        load_samples(custom([{**first, "response": "A"}, {**first, "response": "B"}]))
    missing = custom([{**first, "response": "A"}])
    Path(str(missing.cot.path)).unlink()
    for call in (load_samples, fingerprint):
        with pytest.raises(DataError, match=r"cot\.path: cannot read"):
            call(missing)


def test_the_documented_example_loads(make_config: MakeConfig, tmp_path: Path) -> None:
    page = DOCS / "data.md"
    example = re.findall(r"```json\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)[-1]
    (tmp_path / "mine.jsonl").write_text(example, encoding="utf-8")
    prompts = ["Tom has 3 bags of 4 apples. How many apples?", "Name a prime."]
    records = [{"prompt": p, "responses": {"none": "12"}} for p in prompts]
    records[1]["question_id"] = json.loads(example.splitlines()[1])["question_id"]
    path = _write(tmp_path / "questions.jsonl", records)
    config = make_config("jsonl", path=path, kind="custom", cot_path=tmp_path / "mine.jsonl")
    assert {sample.response for sample in load_samples(config).samples} == {
        "Three fours are twelve.",
        "It is 7.",
    }
