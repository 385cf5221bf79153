"""Groups of a file: lists with rewards, and rows with a reward or a label each."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from helpers.fuzzing import bounded
from helpers.several_responses import Member, members, says, turns
from hypothesis import given
from hypothesis import strategies as st

from gradsweep.config import Config
from gradsweep.data import fingerprint, load_samples
from gradsweep.data.files import content_hash
from gradsweep.data.jsonl import FIELD
from gradsweep.data.questions import digest
from gradsweep.errors import DataError, ExcludedPointError

MakeConfig = Callable[..., Config]
OwnConfig = Callable[..., Config]


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "Q", "responses": ["a", "b", "c"], "rewards": [1, 0.5, -2]},
        {"prompt": turns("Q"), "completions": ["a", "b", "c"], "rewards": [1, 0.5, -2]},
        {"question": "Q", "completions": [says("a"), says("b"), "c"], "rewards": [1, 0.5, -2]},
        {"messages": turns("Q"), "completions": ["a", "b", "c"], "rewards": [1, 0.5, -2]},
    ],
    ids=str,
)
def test_a_group_is_all_responses_with_their_rewards(
    record: dict[str, Any], own: OwnConfig
) -> None:
    expected = [("Q", [("a", 1.0), ("b", 0.5), ("c", -2.0)])]
    assert members(own([record], "group")) == expected


def test_rows_with_a_reward_each_are_a_group_of_their_prompt(own: OwnConfig) -> None:
    rows = [
        {"prompt": p, "completion": c, "reward": r}
        for p, c, r in (("P", "a", 1), ("Q", "b", 0), ("P", "c", 0.5))
    ]
    expected = [("P", [("a", 1.0), ("c", 0.5)]), ("Q", [("b", 0.0)])]
    assert members(own(rows, "group")) == expected
    named = [row | {"question_id": row["prompt"]} for row in rows]
    assert members(own(named, "group")) == expected
    single = members(own(rows))
    assert [responses for _, responses in single] == [[("a", 1.0)], [("b", 1.0)], [("c", 1.0)]]


def test_what_no_advantage_can_tell_apart_is_kept_and_counted(own: OwnConfig) -> None:
    rewards = ([1, 0], [1, 1], [0.5])
    records = [
        {"prompt": f"{n}", "responses": ["a", "b"][: len(r)], "rewards": r}
        for n, r in enumerate(rewards)
    ]
    loaded = load_samples(own(records, "group"))
    assert len(loaded.samples) == 5
    assert loaded.messages[-1].startswith("2 of 3 groups have one response or equal rewards")


def test_a_response_without_a_reward_is_left_out_and_counted(own: OwnConfig) -> None:
    records = [
        {"prompt": "P", "responses": ["a", "b", "c"], "rewards": [1, None, 0]},
        {"prompt": "Q", "responses": ["a"], "rewards": [None]},
        {"prompt": "R", "responses": [], "rewards": []},
    ]
    config = own(records, "group")
    assert members(config) == [("P", [("a", 1.0), ("c", 0.0)])]
    assert load_samples(config).messages[:2] == [
        "2 of 3 questions in mine.jsonl have no response with a reward at cot=none: left out",
        "2 of 4 responses in mine.jsonl have no reward: left out",
    ]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"responses": ["a", "b"]}, "'responses' is a list, which goes with 'rewards'"),
        ({"responses": ["a", "b"], "rewards": [1]}, "2 items in field 'responses' and 1 in 'rewar"),
        ({"responses": ["a"], "rewards": 1}, "'rewards' must be a list, got the number 1"),
        ({"responses": ["a"], "rewards": ["x"]}, "item 1 of 'rewards': .*finite number, got 'x'"),
        ({"responses": ["a"], "rewards": [float("nan")]}, "finite number, got the number nan"),
        ({"responses": ["a"], "rewards": [10**400]}, "must be a finite number"),
        ({"responses": ["a"], "rewards": [True]}, "finite number, got true"),
        ({"responses": ["a"], "rewards": [1], "ref_logps": []}, "and 0 in 'ref_logps'; each resp"),
        ({"responses": [7, []], "rewards": [1, 0]}, "item 2 of 'responses': .*list of messages"),
    ],
    ids=str,
)
def test_a_bad_group_gets_one_clear_error(
    record: dict[str, Any], said: str, own: OwnConfig
) -> None:
    with pytest.raises(DataError, match=said) as caught:
        load_samples(own([{"prompt": "Q", **record}], "group"))
    assert "mine.jsonl, line 1" in str(caught.value)


@pytest.mark.parametrize("call", [load_samples, fingerprint])
@pytest.mark.parametrize(
    ("correctness", "source"), [("correct", "auto"), ("pair", "auto"), ("group", "generated")]
)
def test_a_file_of_groups_excludes_what_takes_no_group(
    correctness: str, source: str, call: Callable[[Config], object], own: OwnConfig
) -> None:
    records = [{"prompt": "Q", "responses": ["a", "b"], "rewards": [1, 0]}]
    with pytest.raises(ExcludedPointError, match=r"has lists of responses with rewards.*allowed"):
        call(own(records, correctness, source=source))


def test_a_gold_answer_beside_a_group_is_the_correct_response(own: OwnConfig) -> None:
    record = {"question": "Q", "answer": "gold", "completions": ["a", "b"], "rewards": [1, 0]}
    assert members(own([record])) == [("Q", [("gold", 1.0)])]
    assert members(own([record], "group")) == [("Q", [("a", 1.0), ("b", 0.0)])]


LABELLED = [
    {"prompt": p, "completion": c, "label": label}
    for p, c, label in (("P", "a", True), ("P", "b", False), ("Q", "c", False), ("R", "d", True))
]


def test_labels_say_which_responses_are_correct(own: OwnConfig) -> None:
    correct = own(LABELLED, "correct")
    assert members(correct) == [("P", [("a", 1.0)]), ("R", [("d", 1.0)])]
    irrelevant = own(LABELLED, "irrelevant")
    assert members(irrelevant) == [("P", [("b", 0.0)]), ("Q", [("c", 0.0)])]
    ids = [[s.question_id for s in load_samples(c).samples] for c in (correct, irrelevant)]
    assert ids[0][0] == ids[1][0], "two responses to one prompt are of one question"
    assert load_samples(irrelevant).messages[0] == (
        "1 of 3 questions in mine.jsonl have no response with label false at cot=none: left out"
    )


def test_labelled_responses_to_one_prompt_are_a_pair_and_a_group(own: OwnConfig) -> None:
    assert members(own(LABELLED, "pair")) == [("P", [("a", 1.0), ("b", 0.0)])]
    assert members(own(LABELLED, "group")) == [
        *(("P", [("a", 1.0), ("b", 0.0)]), ("Q", [("c", 0.0)]), ("R", [("d", 1.0)]))
    ]
    unpaired = [{"prompt": "P", "completion": "a", "label": False}]
    for correctness, lack in (("correct", "with label true"), ("pair", "of each label")):
        with pytest.raises(ExcludedPointError, match=f"no question in .* has a response {lack}"):
            load_samples(own(unpaired, correctness))


def test_a_file_reads_as_ever_where_no_label_is_false(own: OwnConfig) -> None:
    plain = [{"prompt": f"{n}?", "completion": str(n)} for n in range(4)]
    for label in (True, "sports", 1, 2.0, None):
        records = [record | {"label": label} for record in plain]
        for correctness in ("correct", "irrelevant"):
            assert members(own(records, correctness)) == members(own(plain, correctness))
    config = own([record | {"label": 1} for record in plain])
    assert not any("label" in told for told in load_samples(config).messages)


@pytest.mark.parametrize("objective", ["sft", "kto"])
def test_labels_that_are_none_are_said(objective: str, own: OwnConfig) -> None:
    classes = [{"prompt": f"{n}?", "completion": "c", "label": n} for n in range(3)]
    config = own(classes, objective=objective)
    assert [prompt for prompt, _ in members(config)] == ["0?", "1?", "2?"]
    assert (
        "field 'label' is neither true nor false in 3 of 3 records of mine.jsonl: not read"
        in load_samples(config).messages
    )
    with pytest.raises(DataError, match="'label' must be true or false, or 1 or 0; got the number"):
        load_samples(own([classes[0] | {"good": 2}], fields={"label": "good"}))


@pytest.mark.parametrize("objective", ["sft", "kto"])
@pytest.mark.parametrize("true", [1, 1.0, "1", True])
def test_labels_may_be_1_and_0(true: object, objective: str, own: OwnConfig) -> None:
    rows = [row | {"label": true if row["label"] else 0} for row in LABELLED]
    correct, irrelevant = (own(rows, c, objective=objective) for c in ("correct", "irrelevant"))
    said = load_samples(correct).messages[0]
    assert members(correct) == [("P", [("a", 1.0)]), ("R", [("d", 1.0)])]
    assert members(irrelevant) == [("P", [("b", 0.0)]), ("Q", [("c", 0.0)])]
    of_numbers = 2 if true is True else 4
    assert said.startswith(
        f"field 'label' is 1 or 0 in {of_numbers} of 4 records of mine.jsonl: read as true and"
    )
    with pytest.raises(ExcludedPointError, match=r"no question .* label true or 1 at cot=none"):
        load_samples(own([rows[1]]))


def test_labels_may_be_1_and_0_of_a_table_with_gaps(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    rows = [row | {"label": float(bool(row["label"]))} for row in LABELLED]
    rows.append({"prompt": "S", "completion": "e", "label": None})
    for name, write in (("mine.parquet", "write_parquet"), ("mine.csv", "write_csv")):
        getattr(pl.DataFrame(rows), write)(tmp_path / name)
        config = make_config("jsonl", path=tmp_path / name, shuffle=False)
        assert members(config) == [("P", [("a", 1.0)]), ("R", [("d", 1.0)])]
        told = load_samples(config).messages[1]
        assert told.startswith(f"1 of 5 records in {name} have no label that could be read")


def test_points_of_labels_that_are_numbers_have_an_id_of_their_own(own: OwnConfig) -> None:
    """Where 1 and 0 were not read, the same file had other responses."""
    mixed = [row | {"label": row["label"] if n else 1} for n, row in enumerate(LABELLED)]
    before = digest("jsonl", content_hash(Path(own(mixed).dataset.path or ""), FIELD), "labels")
    assert fingerprint(own(mixed)) != before
    plain = own(LABELLED)
    content = content_hash(Path(plain.dataset.path or ""), FIELD)
    assert fingerprint(plain) == digest("jsonl", content, "labels")


def test_records_of_a_labelled_file_without_a_label_are_counted(own: OwnConfig) -> None:
    labels = (True, False, True, None, "?")
    rows = [
        {"prompt": f"{n}?", "completion": "c", "label": label} for n, label in enumerate(labels)
    ]
    config = own(rows)
    assert [prompt for prompt, _ in members(config)] == ["0?", "2?"]
    assert (
        "2 of 5 records in mine.jsonl have no label that could be read, and others have one: "
        "left out"
    ) in load_samples(config).messages


def test_labels_of_tables_are_texts(make_config: MakeConfig, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    pl.DataFrame([{**row, "label": str(row["label"])} for row in LABELLED]).write_csv(path)
    config = make_config("jsonl", path=path, shuffle=False)
    assert members(config) == [("P", [("a", 1.0)]), ("R", [("d", 1.0)])]


texts = st.sampled_from(["a", "b", "c"])


@bounded
@given(
    groups=st.lists(
        st.lists(st.tuples(texts, st.none() | st.integers(-2, 2)), max_size=4),
        min_size=1,
        max_size=4,
    )
)
def test_every_scored_response_is_in_its_group_once(
    groups: list[list[tuple[str, int | None]]], own_loaded: Callable[..., Any]
) -> None:
    records = [
        {"prompt": f"{n}", "responses": [t for t, _ in one], "rewards": [r for _, r in one]}
        for n, one in enumerate(groups)
    ]
    scored = {
        f"{n}": [(t, float(r)) for t, r in one if r is not None] for n, one in enumerate(groups)
    }
    expected = {prompt: found for prompt, found in scored.items() if found}
    assert own_loaded(records) == expected


@pytest.fixture
def own_loaded(make_config: MakeConfig, tmp_path: Path) -> Callable[..., dict[str, list[Member]]]:
    """The groups of records, by prompt."""
    path = tmp_path / "mine.jsonl"
    path.touch()
    config = make_config("jsonl", "none", "group", path=path)

    def load(records: Sequence[Any]) -> dict[str, list[Member]]:
        path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
        try:
            return dict(members(config))
        except ExcludedPointError:
            return {}

    return load
