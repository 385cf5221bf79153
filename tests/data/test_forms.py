"""Records as people have them: prompt and levels of each form, rows of one question joined."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gradsweep import compose
from gradsweep.config import Config
from gradsweep.data import fingerprint, load_samples
from gradsweep.errors import DataError, ExcludedPointError

MakeConfig = Callable[..., Config]
Read = Callable[..., list[tuple[str, str]]]
LEVELS = ("none", "simplified", "detailed")


@pytest.fixture
def read(make_config: MakeConfig, tmp_path: Path) -> Read:
    """Prompt and response of every sample of these records at a level."""

    def read_level(
        records: Sequence[Any], cot: str = "none", **fields: object
    ) -> list[tuple[str, str]]:
        path = tmp_path / "mine.jsonl"
        path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
        config = make_config("jsonl", cot, path=path, shuffle=False, **fields)
        return [(sample.prompt, sample.response) for sample in load_samples(config).samples]

    return read_level


def chat(*turns: tuple[str, object], **last: str) -> dict[str, Any]:
    messages = [{"role": role, "content": text} for role, text in turns]
    messages[-1] |= last
    return {"messages": messages}


def sharegpt(*turns: tuple[str, str], **fields: str) -> dict[str, Any]:
    return {"conversations": [{"from": who, "value": text} for who, text in turns], **fields}


ANY = dict.fromkeys(LEVELS, "4")
THOUGHTFUL = {"none": "4", "detailed": "<think>\nTwo and two.\n</think>\n\n4"}

FORMS: dict[str, tuple[dict[str, Any], str, dict[str, str]]] = {
    "messages": (chat(("user", "2+2?"), ("assistant", "4")), "2+2?", ANY),
    "messages in parts": (
        chat(("user", [{"type": "text", "text": "2+2?"}]), ("assistant", "4")),
        "2+2?",
        ANY,
    ),
    "a system turn": (
        chat(("system", "Be short."), ("user", "2+2?"), ("assistant", "4")),
        "Be short.\n\n2+2?",
        ANY,
    ),
    "the last of several turns": (
        chat(("user", "1+1?"), ("assistant", "2"), ("user", "2+2?"), ("assistant", "4")),
        "User: 1+1?\n\nAssistant: 2\n\nUser: 2+2?",
        ANY,
    ),
    "a turn of the user behind it": (
        chat(("user", "2+2?"), ("assistant", "4"), ("user", "Thanks")),
        "2+2?",
        ANY,
    ),
    "reasoning_content": (
        chat(("user", "2+2?"), ("assistant", "4"), reasoning_content="Two and two."),
        "2+2?",
        THOUGHTFUL,
    ),
    "a thought in the text": (
        chat(("user", "2+2?"), ("assistant", THOUGHTFUL["detailed"])),
        "2+2?",
        THOUGHTFUL,
    ),
    "an empty thought": (
        chat(("user", "2+2?"), ("assistant", "<think>\n\n</think>\n\n4")),
        "2+2?",
        dict.fromkeys(LEVELS, "<think>\n\n</think>\n\n4"),
    ),
    "ShareGPT": (sharegpt(("human", "2+2?"), ("gpt", "4")), "2+2?", ANY),
    "ShareGPT with a system field": (
        sharegpt(("human", "2+2?"), ("gpt", "4"), system="Be short."),
        "Be short.\n\n2+2?",
        ANY,
    ),
    "prompt and completion": ({"prompt": "2+2?", "completion": "4"}, "2+2?", ANY),
    "prompt and completion in messages": (
        {
            "prompt": [{"role": "user", "content": "2+2?"}],
            "completion": [{"role": "assistant", "content": "4"}],
        },
        "2+2?",
        ANY,
    ),
    "prompt and messages": (
        {"prompt": "2+2?", **chat(("user", "2+2?"), ("assistant", "4"))},
        "2+2?",
        ANY,
    ),
    "a completion with a thought": (
        {"prompt": "2+2?", "completion": THOUGHTFUL["detailed"]},
        "2+2?",
        THOUGHTFUL,
    ),
    "prompt and response": ({"prompt": "2+2?", "response": "4", "level": None}, "2+2?", ANY),
    "prompt and level": ({"prompt": "2+2?", "level": "none", "response": 4}, "2+2?", {"none": "4"}),
    "a column per level": (
        {"prompt": "2+2?", "none": 4, "simplified": None, "detailed": "It is 4."},
        "2+2?",
        {"none": "4", "detailed": "It is 4."},
    ),
    "GSM8K": (
        {"question": "2+2?", "answer": "He has 2.\nSo <<2+2=4>>4 in all\n#### 1,004"},
        "2+2?",
        {"none": "1004", "simplified": "He has 2. So 4 in all.\nThe final answer is 1004"},
    ),
    "question and bare answer": ({"question": "2+2?", "answer": 4}, "2+2?", ANY),
    "input is empty": ({"instruction": "2+2?", "input": " \n", "output": 4}, "2+2?", ANY),
    "<noinput>": ({"instruction": "2+2?", "input": "<noinput>", "output": "4"}, "2+2?", ANY),
    "<No Input>": ({"instruction": "2+2?", "input": "<No Input>", "output": "4"}, "2+2?", ANY),
    "the question in input": ({"instruction": "", "input": "2+2?", "output": "4"}, "2+2?", ANY),
    "input is a number": (
        {"instruction": "Halve it.", "input": 8, "output": 4},
        "Halve it.\n8",
        ANY,
    ),
    "other fields do not count": (
        {
            "instruction": "2+2?",
            "output": "4",
            "answer": "5",
            "none": "6",
            **sharegpt(("gpt", "7")),
        },
        "2+2?",
        ANY,
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_its_prompt_and_its_levels(form: str, read: Read) -> None:
    record, prompt, responses = FORMS[form]
    for level in LEVELS:
        if level in responses:
            assert read([record], level) == [(prompt, responses[level])]
        else:
            with pytest.raises(ExcludedPointError, match=f"no response at cot={level}"):
                read([record], level)


@pytest.mark.parametrize(
    ("number", "text"), [(4, "4"), (0.5, "0.5"), (-1, "-1"), (10**30, "1" + 30 * "0")]
)
def test_a_bare_answer_may_be_a_number(number: float, text: str, read: Read) -> None:
    assert read([{"prompt": "Q", "responses": {"none": number}}]) == [("Q", text)]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            {"prompt": "Q", "responses": {"none": True}},
            r"'none' must be a text or a number, got true",
        ),
        ({"prompt": "Q", "responses": {"none": 1.0e400}}, r"got the number inf"),
        ({"prompt": "Q", "responses": {"none": []}}, r"got an empty list"),
        ({"prompt": 1, "responses": {}}, r"must be a text, got the number 1$"),
        ({"prompt": 0, "responses": {}}, r"must be a text, got the number 0$"),
        ({"instruction": "", "input": "<noinput>", "output": "4"}, r"'instruction' is empty"),
        ({"messages": []}, r"'messages' must be a list of messages, got an empty list"),
        ({"messages": ["Hi"]}, r"message 1 of 'messages': a record must be an object"),
        (chat(("user", "Q")), r"'messages' has no turn of the assistant"),
        (chat(("assistant", "A")), r"no text of the user before the response"),
        (chat(("narrator", "Q")), r"must be one of system, .* got 'narrator'"),
        (chat(("user", None)), r"message 1 .*'content' must be a text, got null"),
        (chat(("user", [{"type": "image"}])), r"part of type 'image'; allowed are .* 'text'"),
        ({"prompt": "Q", "level": "long", "response": "A"}, r"'level' must be one of none.*'long'"),
        ({"prompt": "Q", "completion": {"a": 1}}, r"'completion' must be .* got an object"),
        ({"prompt": "Q", "reply": "A"}, r"'responses' is missing; .*completion"),
        ({"text": "Q A"}, r"'prompt' is missing; given are text\. Allowed are .*messages"),
    ],
    ids=str,
)
def test_what_has_no_form_gets_one_clear_error(record: object, said: str, read: Read) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read([{"prompt": "Other?", "responses": {"none": "1"}}, record])
    assert "mine.jsonl, line 2" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fields_may_have_other_names(read: Read) -> None:
    records = [{"problem": "2+2?", "solution": "It is 4.", "answer": 4, "id": "x"}]
    names = {"prompt": "problem", "detailed": "solution", "none": "answer", "question_id": "id"}
    assert read(records, "none", fields=names) == [("2+2?", "4")]
    assert read(records, "detailed", fields=names) == [("2+2?", "It is 4.")]
    assert read(
        [{"chat": chat(("user", "Q"), ("assistant", "A"))["messages"]}], fields={"messages": "chat"}
    ) == [("Q", "A")]
    with pytest.raises(DataError, match=r"line 1: dataset\.fields\.prompt=question: there is no"):
        read(records, fields={"prompt": "question"})


def test_names_of_fields_are_given_on_the_command_line_and_are_part_of_the_identity(
    tmp_path: Path,
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"question": "Q", "ask": "R", "response": "A"}', encoding="utf-8")
    given = ("dataset=jsonl", f"dataset.path={path}")
    prints = set()
    for name, prompt in (("question", "Q"), ("ask", "R")):
        config = compose(*given, f"dataset.fields.prompt={name}")
        assert [sample.prompt for sample in load_samples(config).samples] == [prompt]
        prints.add(fingerprint(config))
    assert len(prints) == 2


LONG = [
    {"prompt": "2+2?", "level": "none", "response": "4"},
    {"prompt": "3+3?", "level": "none", "response": "6"},
    {"prompt": "3+3?", "level": "detailed", "response": "It is 6."},
    {"prompt": "2+2?", "level": "detailed", "response": "It is 4."},
]


@pytest.mark.parametrize("named", [False, True], ids=["by prompt", "by question_id"])
def test_rows_of_one_question_at_several_levels_are_one_question(
    named: bool, make_config: MakeConfig, tmp_path: Path
) -> None:
    path = tmp_path / "long.jsonl"
    ids = [{"question_id": row["prompt"]} if named else {} for row in LONG]
    rows = [row | own for row, own in zip(LONG, ids, strict=True)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    none, detailed = (
        load_samples(make_config("jsonl", level, path=path, shuffle=False)).samples
        for level in ("none", "detailed")
    )
    assert [sample.question_id for sample in none] == [sample.question_id for sample in detailed]
    assert [sample.response for sample in detailed] == ["It is 4.", "It is 6."]


def test_a_prompt_that_comes_twice_at_a_level_is_two_questions_at_every_level(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    path = tmp_path / "twice.jsonl"
    records = [
        {"prompt": "Name a prime.", "responses": {"none": n, "detailed": f"It is {n}."}}
        for n in ("2", "3")
    ]
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    none, detailed = (
        load_samples(make_config("jsonl", level, path=path)).samples
        for level in ("none", "detailed")
    )
    assert len({sample.question_id for sample in none}) == 2
    pairs = {sample.question_id: sample.response for sample in none}
    assert all(f"It is {pairs[s.question_id]}." == s.response for s in detailed)


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (
            [{"question_id": 7.0, "prompt": "Q", "level": "none", "response": "A"}] * 2,
            "ids must be",
        ),
        (
            [{"question_id": "7", "prompt": p, "level": p, "response": "A"} for p in LEVELS[:2]],
            "'7' stands in line 1 and again in line 2; its prompts differ",
        ),
    ],
    ids=["level again", "another prompt"],
)
def test_a_question_id_is_of_one_question(records: list[object], said: str, read: Read) -> None:
    with pytest.raises(DataError, match=said):
        read(records)


def test_records_without_a_level_beside_others_are_counted(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    path = tmp_path / "mixed.jsonl"
    records = [{"prompt": "Q", "completion": "A"}, LONG[3]]
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    messages = load_samples(make_config("jsonl", "detailed", path=path, n_samples=2)).messages
    assert messages == [
        "1 of 2 questions in mixed.jsonl name no CoT level: their responses are used as "
        "cot=detailed"
    ]
