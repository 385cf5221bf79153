"""Points that can be compared, whatever else is stored beside them, and what they are called."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsweep.config.objective import DEFAULT_OBJECTIVE
from gradsweep.records import AXES
from gradsweep.store.description import describe, read_description
from gradsweep.store.series import label_frame, point_labels

MODELS = ("smollm2_135m_instruct", "owner--own")


def record(
    model: str = MODELS[0],
    dataset: str = "arithmetic",
    cot: str = "none",
    correctness: str = "correct",
    **changes: Any,
) -> dict[str, Any]:
    """The content of a config.yaml, with what it says by default; `changes` are its science."""
    packaged = model == MODELS[0]
    science: dict[str, Any] = {
        "model": {"kind": "hub", "hub_id": model, "prompt": "chat" if packaged else "plain",
                  "dtype": "float32", "max_length": 1024},
        "dataset": {"name": dataset, "data": cot + correctness, "answer": "number",
                    "shuffle": True},
        "cot": cot,
        "correctness": "auto" if correctness == "irrelevant" else "correct",
        "n_samples": 16,
        "seed": 0,
        "gradients": {"solver": "auto", "rank_tolerance": None, "save_spectra": False,
                      "projections": ["k", "o", "q", "v"]},
    }  # fmt: skip
    for path, value in changes.items():
        group, _, name = path.rpartition("__")
        (science[group] if group else science)[name] = value
    axes = {"model": model, "dataset": dataset, "cot": cot, "correctness": correctness}
    config = {"dataset": {"name": dataset, "kind": "arithmetic", "n_samples": 16, "size": 500}}
    return {"point_id": "", "axes": axes, "science": science, "config": config}


def labels(*records: dict[str, Any]) -> list[dict[str, Any]]:
    return list(point_labels({str(i): describe(one) for i, one in enumerate(records)}).values())


GRID = [record(cot=cot, correctness=kind) for cot in ("none", "detailed")
        for kind in ("correct", "irrelevant")]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"n_samples": 2}, "n_samples=2"),
        ({"model__dtype": "bfloat16"}, "dtype=bfloat16"),
        ({"model__max_length": 64}, "max_length=64"),
        ({"model__quantization": "nf4"}, "quantization=nf4"),
        ({"gradients__rank_tolerance": 0.1}, "rank_tolerance=0.1"),
        ({"dataset__shuffle": False}, "shuffle=false"),
        ({"objective": DEFAULT_OBJECTIVE | {"reduction": "sum"}}, "reduction=sum"),
        ({"something_new": 3}, "something_new=3"),
    ],
)
def test_one_more_point_leaves_a_series_what_it_is(changes, name):
    *grid, other = labels(*GRID, record(**changes))
    assert {(line["model"], line["series"]) for line in grid} == {(MODELS[0], "")}
    assert other["series"] == name


@pytest.mark.parametrize(
    "more",
    [
        {"gradients__projections": ["down", "gate", "k", "o", "q", "up", "v"]},
        {"gradients__similarities": True},
        {"gradients__top_k": 8},
        {"gradients__heads": True},
        {"gradients__save_spectra": True},
        {"seed": 1},
    ],
)
def test_what_more_was_measured_and_seeds_are_the_same_series(more):
    assert {line["series"] for line in labels(*GRID, record(**more))} == {""}


def test_a_series_is_named_by_what_not_every_series_has():
    few = [record(n_samples=2, cot=cot) for cot in ("none", "detailed")]
    assert {line["series"] for line in labels(*few)} == {""}
    *_, other = labels(*few, record(n_samples=2, model__dtype="bfloat16"))
    assert other["series"] == "dtype=bfloat16"
    assert [line["series"] for line in labels(few[0], record())] == ["n_samples=2", ""]


def test_what_an_option_says_itself_is_no_setting():
    gemma = record("gemma3_1b", model__dtype="bfloat16")
    own = dict(labels(record(), gemma)[1])
    from gradsweep.store.description import _option

    expected = "" if _option("model", "gemma3_1b").get("dtype") == "bfloat16" else "dtype=bfloat16"
    assert own["series"] == expected


def test_models_of_one_name_are_told_apart_and_stay_in_their_series():
    chat, plain = record(MODELS[1], model__prompt="chat"), record(MODELS[1])
    assert labels(chat)[0]["model"] == MODELS[1]
    told = labels(chat, plain, *GRID)
    assert [line["model"] for line in told[:2]] == [f"{MODELS[1]} prompt={p}"
                                                    for p in ("chat", "plain")]  # fmt: skip
    assert {line["series"] for line in told} == {""}


def test_files_of_ones_own_are_named_after_themselves():
    def own(path: str, content: str) -> dict[str, Any]:
        made = record(dataset="jsonl")
        made["config"]["dataset"] |= {"kind": "jsonl", "path": path}
        return made | {"own_files": {"dataset": content}}

    files = labels(own("/data/mine.jsonl.gz", "aa"), own("/other/gsm8k.jsonl", "bb"))
    assert [line["dataset"] for line in files] == ["mine", "gsm8k.jsonl"]
    changed = labels(own("/data/mine.jsonl", "aa"), own("/data/mine.jsonl", "cc"))
    assert [line["dataset"] for line in changed] == ["mine data=aa", "mine data=cc"]
    moved = labels(own("/data/mine.jsonl", "aa"), own("/moved/mine.jsonl", "aa"))
    assert {line["dataset"] for line in moved} == {"mine"}


def test_a_planned_point_is_named_like_a_stored_one():
    known = describe(record(n_samples=2))
    planned = {"axes": dict(known.axes), "overrides": ["n_samples=2", "seed=3", "cot=none"]}
    assert read_description(planned | {"description": known.record()}) == known
    from_before = read_description(planned)
    assert (from_before.settings, from_before.seed) == ({"n_samples": "2"}, 3)


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "n_samples": st.sampled_from([2, 16, 100]),
        "seed": st.integers(0, 2),
        "model__dtype": st.sampled_from(["float32", "bfloat16"]),
        "model__prompt": st.sampled_from(["plain", "chat"]),
        "gradients__top_k": st.integers(1, 2),
        "dataset__answer": st.sampled_from(["number", "choice"]),
    },
)
ANY = st.builds(
    lambda changes, **axes: record(**axes, **changes),
    CHANGES,
    model=st.sampled_from(MODELS),
    cot=st.sampled_from(["none", "detailed"]),
    correctness=st.sampled_from(["correct", "irrelevant"]),
)


@settings(max_examples=100, deadline=None)
@given(stored=st.lists(ANY, min_size=2, max_size=6), added=ANY)
def test_no_point_changes_which_others_belong_together(stored, added):
    """Properties: what could be compared before can be compared after, and nothing else can."""

    def together(lines):
        key = [(line["model"], line["dataset"], line["series"]) for line in lines]
        return [[a == b for b in key] for a in key]

    before, after = together(labels(*stored)), together(labels(*stored, added)[:-1])
    assert before == after


def test_names_make_a_table():
    frame = label_frame({"a": labels(record())[0]})
    assert frame.columns == ["point_id", *AXES, "series", "seed"]


def test_a_manifest_that_does_not_tell_renames_nobody():
    planned = read_description({"axes": dict(describe(record()).axes), "overrides": []})
    named = point_labels({"planned": planned, "stored": describe(record())})
    assert {line["model"] for line in named.values()} == {MODELS[0]}


def under(objective: str, **options: Any) -> dict[str, Any]:
    """A point of another objective, as it is recorded; with no name, from before the axis."""
    made = record(correctness="correct")
    target = {"dpo": "gradsweep.engine.objectives.dpo.Dpo"}.get(objective, "my_lab.losses.Margin")
    made["science"]["objective"] = {"_target_": target, **options}
    made["axes"] |= {"objective": objective} if objective else {}
    return made


def test_a_point_from_before_the_axis_is_of_the_studys_objective():
    before, now = record(), record()
    now["axes"]["objective"] = "sft"
    assert labels(before) == labels(now)
    assert labels(before)[0]["objective"] == "sft"
    written = describe(now).record()
    for part in ("axes", "identity"):
        del written[part]["objective"]
    assert read_description({"description": written}) == describe(now)


def test_options_of_an_objective_make_a_series_and_are_always_told():
    plain = under("dpo", loss_type="sigmoid", beta=0.1)
    ipo = under("dpo", loss_type="ipo", beta=0.1)
    assert [line["series"] for line in labels(plain, ipo, record())] == ["", "loss_type=ipo", ""]
    assert labels(ipo)[0]["series"] == "loss_type=ipo", "a reader must know which loss it is"
    assert {line["series"] for line in labels(plain, plain | {"point_id": "1"})} == {""}


def test_members_and_names_are_no_series():
    plain, members = under("dpo", beta=0.1), under("dpo", beta=0.1, members=True)
    assert {line["series"] for line in labels(plain, members, *GRID)} == {""}


def test_an_objective_of_ones_own_has_its_class_and_pairs_with_the_study():
    own, before = under("Margin", margin=0.5), under("", margin=0.5)
    told = labels(own, before, *GRID)
    assert {line["objective"] for line in told[:2]} == {"Margin"}
    assert {line["series"] for line in told} == {""}
    two = labels(own, under("Margin", margin=1), record())
    assert [line["series"] for line in two] == ["margin=0.5", "margin=1", ""]


def test_a_second_model_is_named_by_its_option():
    made = under("dpo", reference={"kind": "hub", "hub_id": "a/b", "dtype": "float32"})
    made["config"]["objective"] = {"reference": {"name": "qwen2_1.5b"}}
    assert labels(made)[0]["series"] == "reference=qwen2_1.5b"
