"""`cot.match_length`: every sample carries the text whose length it is to have."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gradsweep.config import Config
from gradsweep.data import fingerprint, load_samples
from gradsweep.errors import ConfigError, ExcludedPointError

MakeConfig = Callable[..., Config]


@pytest.mark.parametrize("correctness", ["correct", "irrelevant"])
def test_the_length_is_that_of_the_same_question_and_correctness(
    correctness: str, make_config: MakeConfig
) -> None:
    matched, own, other = (
        load_samples(make_config("arithmetic", level, correctness, n_samples=20, **fields)).samples
        for level, fields in (
            ("none", {"match_length": "detailed"}),
            ("none", {}),
            ("detailed", {}),
        )
    )
    assert [s.response for s in matched] == [s.response for s in own]
    assert [s.same_length_as for s in matched] == [s.response for s in other]
    assert [s.question_id for s in matched] == [s.question_id for s in own]
    assert not {s.sample_id for s in matched} & {s.sample_id for s in own}
    assert all(sample.same_length_as is None for sample in own)


def test_questions_without_the_other_level_are_left_out_and_counted(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    levels = [{"none": "1", "detailed": "It is 1."}, {"none": "2"}, {"none": "3", "detailed": "3."}]
    path = tmp_path / "mine.jsonl"
    records = [{"prompt": f"Q{i}?", "responses": level} for i, level in enumerate(levels)]
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    config = make_config("jsonl", "none", path=path, match_length="detailed", n_samples=2)
    loaded = load_samples(config)
    assert {(s.response, s.same_length_as) for s in loaded.samples} == {
        ("1", "It is 1."),
        ("3", "3."),
    }
    assert "1 questions have no response at cot.match_length=detailed: left out" in loaded.messages


def test_a_change_of_the_other_levels_file_changes_the_identity(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    def write(level: str, texts: list[str]) -> None:
        names = {"none": "gsm8k_train_no_cot.json", "detailed": "gsm8k_train_with_cot_gpt4o.json"}
        path = tmp_path / "cot_500" / names[level]
        path.parent.mkdir(exist_ok=True)
        records = [{"instruction": f"Q{i}?", "input": "", "output": t} for i, t in enumerate(texts)]
        path.write_text(json.dumps(records), encoding="utf-8")

    def prints() -> list[str]:
        return [
            fingerprint(make_config("gsm8k", "none", root=tmp_path, match_length=length))
            for length in (None, "detailed")
        ]

    write("none", ["1", "2"])
    write("detailed", ["It is 1.", "It is 2."])
    plain, matched = prints()
    write("detailed", ["It is really 1.", "It is 2."])
    assert prints()[0] == plain
    assert prints()[1] != matched != plain


def test_steps_and_length_go_together(make_config: MakeConfig) -> None:
    fields = {"kind": "partial", "steps_kept": 1}
    partial, matched = (
        load_samples(make_config("arithmetic", "detailed", n_samples=8, **fields, **extra)).samples
        for extra in ({}, {"match_length": "detailed"})
    )
    assert [s.response for s in matched] == [s.response for s in partial]
    assert all(len(s.same_length_as or "") > len(s.response) for s in matched)


@pytest.mark.parametrize("ask", [load_samples, fingerprint])
@pytest.mark.parametrize("kind", ["level", "custom"])
def test_a_level_that_no_question_shares_is_excluded_with_the_reason(
    ask: Callable[[Config], object], kind: str, make_config: MakeConfig, tmp_path: Path
) -> None:
    path, responses = tmp_path / "mine.jsonl", tmp_path / "own.jsonl"
    levels = [{"none": "1"}, {"detailed": "It is 2."}]
    records = [{"prompt": f"Q{i}?", "responses": level} for i, level in enumerate(levels)]
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    responses.write_text(json.dumps({"prompt": "Q0?", "response": "1 it is"}), encoding="utf-8")
    own = {"kind": "custom", "cot_path": responses} if kind == "custom" else {}
    config = make_config("jsonl", "none", path=path, match_length="detailed", **own)
    with pytest.raises(ExcludedPointError, match=r"cot\.match_length=detailed: none of the 1 "):
        ask(config)


def test_a_release_without_shared_questions_is_excluded_when_it_is_read(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "cot_500"
    folder.mkdir()
    names = {"1": "gsm8k_train_no_cot.json", "It is 1.": "gsm8k_train_with_cot_gpt4o.json"}
    for text, name in names.items():
        record = {"instruction": f"Which number? {name}", "input": "", "output": text}
        (folder / name).write_text(json.dumps([record]), encoding="utf-8")
    with pytest.raises(ExcludedPointError, match="none of the 1 questions of dataset=gsm8k"):
        load_samples(make_config("gsm8k", "none", root=tmp_path, match_length="detailed"))


def test_a_generator_of_no_questions_is_refused(make_config: MakeConfig) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.size must be at least 1, got 0"):
        make_config("arithmetic", size=0)
