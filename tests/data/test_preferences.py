"""Pairs, groups and labels: of the study's data, and of files in the forms that TRL documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from helpers.fuzzing import bounded
from hypothesis import given
from hypothesis import strategies as st

from gradsweep import compose
from gradsweep.config import Config
from gradsweep.data import LoadedSamples, fingerprint, load_samples
from gradsweep.errors import DataError, ExcludedPointError
from gradsweep.records import Sample

MakeConfig = Callable[..., Config]
OwnConfig = Callable[..., Config]
Member = tuple[str, float]
"""Response and reward."""


@pytest.fixture
def own(make_config: MakeConfig, tmp_path: Path) -> OwnConfig:
    """A config of the records given, in their order; other arguments are `make_config`'s."""

    def config(
        records: Sequence[Any], correctness: str = "correct", cot: str = "none", **fields: object
    ) -> Config:
        path = tmp_path / "mine.jsonl"
        path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
        fixed = {"path": path, "shuffle": False, "n_samples": 50}
        return make_config("jsonl", cot, correctness, **fixed, **fields)

    return config


def units(loaded: LoadedSamples) -> list[list[Sample]]:
    return [list(members) for _, members in groupby(loaded.samples, lambda sample: sample.index)]


def members(config: Config) -> list[tuple[str, list[Member]]]:
    """Prompt, and responses with rewards, of each question."""
    found = units(load_samples(config))
    return [(one[0].prompt, [(s.response, s.reward) for s in one]) for one in found]


def turns(*texts: str) -> list[dict[str, str]]:
    roles = ("user", "assistant") * len(texts)
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]


def says(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


# The study's own data.


@pytest.mark.parametrize(
    "condition",
    [
        ("cot=none",),
        ("cot=detailed",),
        ("cot=partial", "cot.steps_kept=2"),
        ("cot=none", "cot.match_length=detailed"),
    ],
    ids=str,
)
@pytest.mark.parametrize("objective", ["dpo", "grpo"])
def test_a_pair_is_the_two_single_samples_of_its_question(
    condition: tuple[str, ...], objective: str
) -> None:
    given = (*condition, "n_samples=4", "dataset.size=30")
    both = units(load_samples(compose(f"objective={objective}", *given)))
    correct = load_samples(compose("correctness=correct", *given)).samples
    irrelevant = load_samples(compose("correctness=irrelevant", *given)).samples
    assert both == [list(pair) for pair in zip(correct, irrelevant, strict=True)]
    assert [[sample.reward for sample in pair] for pair in both] == [[1.0, 0.0]] * 4


def test_n_samples_counts_questions_and_smaller_ones_are_a_part() -> None:
    few, more = (
        load_samples(compose("objective=simpo", "dataset.size=20", f"n_samples={n}"))
        for n in (3, 7)
    )
    assert (len(units(few)), len(few.samples), few.available) == (3, 6, 20)
    assert more.samples[:6] == few.samples
    assert not more.messages


def test_pairs_of_own_responses_to_the_questions_of_a_dataset(tmp_path: Path) -> None:
    questions = load_samples(compose("n_samples=6", "dataset.size=20")).samples
    path = tmp_path / "mine.jsonl"
    said = [
        {"prompt": q.prompt, "response": f"First {i}. Then {i}."} for i, q in enumerate(questions)
    ]
    path.write_text("\n".join(map(json.dumps, said)), encoding="utf-8")
    given = ("cot=custom", f"cot.path={path}", "dataset.size=20", "cot.match_length=none")
    pairs = units(load_samples(compose("objective=dpo", "n_samples=6", *given)))
    assert {chosen.response for chosen, _ in pairs} == {record["response"] for record in said}
    for chosen, rejected in pairs:
        assert not set(chosen.response.split(". ")) & set(rejected.response.split(". "))
        assert chosen.same_length_as != rejected.same_length_as


# Pairs of a file.

PAIR: list[Member] = [("blue", 1.0), ("green", 0.0)]
SKY = ("Which colour?", PAIR)
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
    assert (loaded.available, len(loaded.samples)) == (1, 2)
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


# Recorded log-probabilities of a reference.


def test_a_recorded_reference_is_of_the_whole_text_alone(own: OwnConfig) -> None:
    recorded = {"ref_chosen_logps": -3.0, "ref_rejected_logps": -4.0}
    records = [
        {"prompt": "2+2?", "chosen": "<think>\nHm.\n</think>\n\n4", "rejected": "5"} | recorded
    ]

    def references(cot: str, **fields: object) -> list[float | None]:
        loaded = load_samples(own(records, "pair", cot, **fields))
        return [sample.reference_log_prob for sample in loaded.samples]

    assert references("detailed") == [-3.0, -4.0]
    assert references("none") == [None, -4.0], "of thought and answer, not of the answer"
    for cut in ({"kind": "partial", "steps_kept": 1}, {"match_length": "none"}):
        assert references("detailed", **cut) == [None, None]
        messages = load_samples(own(records, "pair", "detailed", **cut)).messages
        assert any("reference log-probabilities are of whole responses" in m for m in messages)


def test_references_of_every_form_reach_their_response(own: OwnConfig) -> None:
    single = {"prompt": "Q", "completion": "A", "ref_logps": -1.5}
    levels = {"prompt": "R", "responses": {"none": "A", "detailed": "B. A."}} | {
        "ref_logps": {"none": -1.0, "detailed": -2.0}
    }
    group = {"prompt": "S", "responses": ["a", "b"], "rewards": [1, 0], "ref_logps": [-1, -2]}
    for records, condition, expected in (
        ([single, levels], ("correct", "none"), [-1.5, -1.0]),
        ([single, levels], ("correct", "detailed"), [-1.5, -2.0]),
        ([group], ("group",), [-1.0, -2.0]),
    ):
        samples = load_samples(own(records, *condition)).samples
        assert [sample.reference_log_prob for sample in samples] == expected
    some = [single, {"prompt": "T", "completion": "B"}]
    config = own(some)
    assert not any("reference" in told for told in load_samples(config).messages), "sft has none"
    reads = replace(config, objective={**config.objective, "reference": None})
    assert load_samples(reads).messages[-1] == (
        "1 of 2 questions have no recorded reference log-probabilities"
    )


# Groups.


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


# Labels.

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
    for label in (True, "sports", 0, None):
        records = [record | {"label": label} for record in plain]
        for correctness in ("correct", "irrelevant"):
            assert members(own(records, correctness)) == members(own(plain, correctness))
    messages = load_samples(own([plain[0] | {"label": 1}])).messages
    assert messages[1] == (
        "field 'label' is neither true nor false in 1 of 1 records of mine.jsonl: not read"
    )
    with pytest.raises(DataError, match="'label' must be true or false, got the number 1"):
        load_samples(own([plain[0] | {"good": 1}], fields={"label": "good"}))


def test_labels_of_tables_are_texts(make_config: MakeConfig, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    pl.DataFrame([{**row, "label": str(row["label"])} for row in LABELLED]).write_csv(path)
    config = make_config("jsonl", path=path, shuffle=False)
    assert members(config) == [("P", [("a", 1.0)]), ("R", [("d", 1.0)])]


# Identity.


def test_the_data_of_a_file_are_the_same_for_every_objective(own: OwnConfig) -> None:
    pair = PAIRS["texts"][0]
    kinds = ("correct", "irrelevant", "pair", "group")
    assert len({fingerprint(own([pair, pair], kind)) for kind in kinds}) == 1


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
    groups: list[list[tuple[str, int | None]]], tmp_path: Path, own_loaded: Callable[..., Any]
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
