"""Pairs of a file, in the forms that TRL documents and some more."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from helpers.places import DOCS
from helpers.several_responses import PAIR, SKY, Member, members, says, turns, units

from gradsweep.config import Config
from gradsweep.data import fingerprint, load_samples
from gradsweep.errors import DataError, ExcludedPointError

MakeConfig = Callable[..., Config]
OwnConfig = Callable[..., Config]

PAIRS: dict[str, tuple[dict[str, Any], tuple[str, list[Member]]]] = {
    "texts": ({"prompt": "Which colour?", "chosen": "blue", "rejected": "green"}, SKY),
    "a question": ({"question": "Which colour?", "chosen": "blue", "rejected": "green"}, SKY),
    "an instruction with input": (
        {"instruction": "Name it.", "input": "The sky.", "chosen": "blue", "rejected": "green"},
        ("Name it.\nThe sky.", PAIR),
    ),
    "the system's text in a field": (
        {"system": "Be short.", "question": "Hm?", "chosen": "blue", "rejected": "green"},
        ("Be short.\n\nHm?", PAIR),
    ),
    "messages": (
        {"prompt": turns("Which colour?"), "chosen": says("blue"), "rejected": says("green")},
        SKY,
    ),
    "one message each": (
        {"prompt": "Which colour?", "chosen": says("blue")[0], "rejected": says("green")[0]},
        SKY,
    ),
    "conversations": (
        {"chosen": turns("Which colour?", "blue"), "rejected": turns("Which colour?", "green")},
        SKY,
    ),
    "conversations of several turns": (
        {"chosen": turns("Hi", "Yo", "Hm?", "blue"), "rejected": turns("Hi", "Yo", "Hm?", "green")},
        ("User: Hi\n\nAssistant: Yo\n\nUser: Hm?", PAIR),
    ),
    "conversations beside their prompt": (
        {
            "prompt": "Which colour?",
            "chosen": turns("Which colour?", "blue"),
            "rejected": turns("Which colour?", "green"),
        },
        SKY,
    ),
    "texts that begin with their prompt": (
        {"chosen": "The sky is blue.", "rejected": "The sky is green."},
        ("The sky is", [(" blue.", 1.0), (" green.", 0.0)]),
    ),
    "texts that differ inside a word": (
        {"chosen": "The sky is blue", "rejected": "The sky is black"},
        ("The sky is", [(" blue", 1.0), (" black", 0.0)]),
    ),
    "ShareGPT": (
        {
            "conversations": [{"from": "human", "value": "Which colour?"}],
            "chosen": {"from": "gpt", "value": "blue"},
            "rejected": {"from": "gpt", "value": "green"},
        },
        SKY,
    ),
    "empty cells of other forms": (
        {"prompt": "Which colour?", "chosen": "blue", "rejected": "green", "completion": None},
        SKY,
    ),
}


@pytest.mark.parametrize("form", PAIRS)
def test_a_pair_is_read_in_every_form(form: str, own: OwnConfig) -> None:
    record, expected = PAIRS[form]
    assert members(own([record], "pair")) == [expected]


@pytest.mark.parametrize("form", PAIRS)
def test_the_responses_of_a_pair_are_correct_and_irrelevant_by_themselves(
    form: str, own: OwnConfig
) -> None:
    record, (prompt, (chosen, rejected)) = PAIRS[form]
    assert members(own([record], "correct")) == [(prompt, [chosen])]
    assert members(own([record], "irrelevant")) == [(prompt, [rejected])]
    assert members(own([record], "group")) == [(prompt, [chosen, rejected])]


def test_responses_with_levels_keep_them_in_pairs(own: OwnConfig) -> None:
    levels = {"none": "4", "detailed": "Two and two. So 4."}
    thought = "<think>\nHm. No.\n</think>\n\n5"
    record = {"prompt": "2+2?", "chosen": levels, "rejected": thought}
    for level, texts in (("none", ["4", "5"]), ("detailed", [levels["detailed"], thought])):
        ((_, found),) = members(own([record], "pair", level))
        assert [text for text, _ in found] == texts
    (pair,) = units(load_samples(own([record], "pair", match_length="detailed")))
    assert [sample.same_length_as for sample in pair] == [levels["detailed"], thought]
    with pytest.raises(ExcludedPointError, match="no response at cot=simplified: its levels are"):
        load_samples(own([record], "pair", "simplified"))


def test_generated_responses_take_the_place_of_recorded_ones_when_asked(own: OwnConfig) -> None:
    records = [{"prompt": f"{n}?", "chosen": str(n), "rejected": "no idea"} for n in range(5)]
    asked = own(records, "pair", source="generated")
    rejected = [pair[1].response for pair in units(load_samples(asked))]
    assert set(rejected) <= set("01234")


def test_a_plain_file_gets_generated_rejected_responses(own: OwnConfig) -> None:
    records = [{"prompt": f"{n}?", "responses": {"none": str(n)}} for n in range(5)]
    pairs = members(own(records, "pair"))
    assert [pair[0] for _, pair in pairs] == [(str(n), 1.0) for n in range(5)]
    assert all(rejected[0] != chosen[0] for _, (chosen, rejected) in pairs)


def test_points_of_one_response_read_the_plain_form_beside_a_pair_as_ever(own: OwnConfig) -> None:
    plain = [{"prompt": f"{n}?", "completion": str(n)} for n in range(4)]
    both = [record | {"chosen": "yes", "rejected": "no"} for record in plain]
    for correctness in ("correct", "irrelevant"):
        expected = members(own(plain, correctness))
        assert members(own(both, correctness)) == expected
    assert members(own(both, "pair"))[0] == ("0?", [("yes", 1.0), ("no", 0.0)])


def test_what_lacks_a_response_of_a_pair_is_left_out_and_counted(own: OwnConfig) -> None:
    pair = PAIRS["texts"][0]
    records = [pair, pair | {"rejected": None}, pair | {"chosen": None}]
    loaded = load_samples(own(records, "pair"))
    assert len(loaded.samples) == 2
    assert loaded.messages[0] == (
        "2 of 3 questions in mine.jsonl have no chosen and rejected response at cot=none: left out"
    )


def test_two_equal_responses_are_kept_and_counted(own: OwnConfig) -> None:
    pair = PAIRS["texts"][0]
    loaded = load_samples(own([pair, pair | {"rejected": "blue"}, pair], "pair"))
    assert len(loaded.samples) == 6
    assert loaded.messages[-1] == ("1 of 3 pairs have two equal responses: their gradient is zero")


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"prompt": "Q", "chosen": "A"}, "'rejected' is missing; given are prompt, chosen"),
        ({"prompt": "Q", "chosen": "A", "rejected": True}, "'rejected' must be a text or a number"),
        ({"prompt": " ", "chosen": "A", "rejected": "B"}, "'prompt' is empty"),
        ({"chosen": "Yes.", "rejected": "No."}, "no common beginning.*give it in a field 'prompt'"),
        ({"chosen": turns("P", "A"), "rejected": turns("Q", "B")}, "differ before the last turn"),
        ({"chosen": says("A"), "rejected": says("B")}, "no text of the user before the response"),
        ({"chosen": "P A", "rejected": turns("P", "B")}, "'prompt' is missing"),
        (
            {"prompt": "Q", "chosen": {"long": "A"}, "rejected": "B"},
            "'chosen' has the unknown level 'long'; allowed are none",
        ),
        (
            {"prompt": "Q", "chosen": "A", "rejected": "B", "ref_chosen_logps": -1.0},
            "'ref_chosen_logps' is given and 'ref_rejected_logps' is not; a pair has both or none",
        ),
        (
            {**PAIRS["texts"][0], "ref_chosen_logps": 3.5, "ref_rejected_logps": -1},
            "'ref_chosen_logps' must be a sum of log-probabilities.*at most 0; got 3.5",
        ),
        (
            {**PAIRS["texts"][0], "ref_chosen_logps": [-1.0], "ref_rejected_logps": -1},
            "'ref_chosen_logps' must be a finite number, got a list",
        ),
    ],
    ids=str,
)
def test_a_bad_pair_gets_one_clear_error(record: dict[str, Any], said: str, own: OwnConfig) -> None:
    with pytest.raises(DataError, match=said) as caught:
        load_samples(own([PAIRS["texts"][0], record], "pair"))
    assert "mine.jsonl, line 2" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fields_of_pairs_may_have_other_names(own: OwnConfig) -> None:
    records = [{"q": "Which colour?", "good": "blue", "bad": "green", "a": -1, "b": "-2"}]
    names = {"prompt": "q", "chosen": "good", "rejected": "bad"}
    references = {"ref_chosen_logps": "a", "ref_rejected_logps": "b"}
    config = own(records, "pair", fields={**names, **references})
    assert members(config) == [SKY]
    assert [s.reference_log_prob for s in load_samples(config).samples] == [-1.0, -2.0]


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_tables_hold_pairs(suffix: str, make_config: MakeConfig, tmp_path: Path) -> None:
    table = pl.DataFrame(
        {"prompt": ["Which colour?"], "chosen": ["blue"], "rejected": ["green"]}
        | {"ref_chosen_logps": [-1.5], "ref_rejected_logps": [-2.5]}
    )
    path = tmp_path / f"mine.{suffix}"
    getattr(table, f"write_{suffix}")(path)
    config = make_config("jsonl", "none", "pair", path=path)
    assert members(config) == [SKY]
    assert [s.reference_log_prob for s in load_samples(config).samples] == [-1.5, -2.5]


def test_the_data_of_a_file_are_the_same_for_every_objective(own: OwnConfig) -> None:
    pair = PAIRS["texts"][0]
    kinds = ("correct", "irrelevant", "pair", "group")
    assert len({fingerprint(own([pair, pair], kind)) for kind in kinds}) == 1


def test_the_documented_examples_load(own: OwnConfig) -> None:
    page = (DOCS / "data.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```jsonl\n(.*?)```", page, re.DOTALL)
    pairs, groups, labels, steps = (list(map(json.loads, one.splitlines())) for one in blocks)
    assert len({sample.response for sample in load_samples(own(steps)).samples}) == 1
    assert [len(found) for _, found in members(own(pairs, "pair"))] == [2] * 5
    assert [prompt for prompt, _ in members(own(pairs, "pair"))][2:] == [
        *("Which colour?", "The grass is", "Be brief.\n\n2 + 2?")
    ]
    assert [len(found) for _, found in members(own(groups, "group"))] == [3, 2]
    assert members(own(labels, "irrelevant")) == [("Is 9 a prime?", [("Yes.", 0.0)])]
