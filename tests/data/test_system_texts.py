"""A `system` text: before the prompt, whatever form a record has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradsweep.config import Config
from gradsweep.data import fingerprint, load_samples
from gradsweep.data.files import content_hash
from gradsweep.data.jsonl import FIELD
from gradsweep.data.questions import digest
from gradsweep.errors import DataError

MakeConfig = Callable[..., Config]
OwnConfig = Callable[..., Config]

FORMS: dict[str, dict[str, Any]] = {
    "TRL": {"prompt": "2+2?", "completion": "4"},
    "turns and a response": {"prompt": [{"role": "user", "content": "2+2?"}], "response": "4"},
    "by level": {"prompt": "2+2?", "responses": {"none": "4"}},
    "Alpaca": {"instruction": "2+2?", "input": "", "output": "4"},
    "GSM8K": {"question": "2+2?", "answer": "Two and two.\n#### 4"},
    "labelled": {"prompt": "2+2?", "completion": "4", "label": True},
    "ProcessBench": {"problem": "2+2?", "steps": ["4"], "label": -1},
    "TRL's steps": {"prompt": "2+2?", "completions": ["4"], "labels": [True]},
    "a response beside a pair": {"prompt": "2+2?", "response": "4", "chosen": "4", "rejected": "5"},
    "ShareGPT": {
        "conversations": [{"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "4"}]
    },
    "a pair": {"prompt": "2+2?", "chosen": "4", "rejected": "5"},
    "a pair with its prompt": {"chosen": "2+2? 4", "rejected": "2+2? 5"},
    "a pair of conversations": {
        name: [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": text}]
        for name, text in (("chosen", "4"), ("rejected", "5"))
    },
}
AS_EVER = ("ShareGPT", "a pair", "a pair of conversations")


@pytest.mark.parametrize("name", FORMS)
def test_every_form_asks_the_same_question(name: str, own: OwnConfig) -> None:
    def prompt(system: object) -> str:
        return load_samples(own([{"system": system} | FORMS[name]])).samples[0].prompt

    assert prompt("Be brief.") == "Be brief.\n\n2+2?"
    assert prompt(" ") == prompt(None) == "2+2?"


@pytest.mark.parametrize("name", FORMS)
def test_points_whose_prompts_have_changed_have_another_id(name: str, own: OwnConfig) -> None:
    def differs(record: dict[str, Any]) -> bool:
        config = own([record])
        content = content_hash(Path(config.dataset.path or ""), FIELD)
        return fingerprint(config) != digest("jsonl", content)

    assert differs({"system": "Be brief."} | FORMS[name]) is (name not in AS_EVER)
    assert not differs({"system": None} | FORMS[name])


def test_levels_in_rows_of_their_own_keep_the_rule(own: OwnConfig) -> None:
    rows = [
        {"system": "Be brief.", "prompt": "2+2?", "level": level, "response": "4"}
        for level in ("none", "detailed")
    ]
    config = own(rows)
    content = content_hash(Path(config.dataset.path or ""), FIELD)
    assert fingerprint(config) == digest("jsonl", content, "joined", "system")


def test_a_system_that_is_no_text_is_an_error(own: OwnConfig) -> None:
    with pytest.raises(DataError, match="field 'system' must be a text, got a list"):
        load_samples(own([{"system": ["x"], "prompt": "2+2?", "response": "4"}]))


@pytest.mark.parametrize("system", [{"system": "Be brief."}, {}])
def test_own_responses_know_their_question_by_both_texts(
    system: dict[str, str], make_config: MakeConfig, tmp_path: Path
) -> None:
    mine, own_responses = tmp_path / "mine.jsonl", tmp_path / "own.jsonl"
    mine.write_text(json.dumps(system | FORMS["TRL"]), encoding="utf-8")
    answer = {"system": "Be brief.", "prompt": "2+2?", "response": "four"}
    own_responses.write_text(json.dumps(answer), encoding="utf-8")
    config = make_config("jsonl", kind="custom", name="mine", cot_path=own_responses, path=mine)
    assert [sample.response for sample in load_samples(config).samples] == ["four"]
