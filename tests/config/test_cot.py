"""The chain-of-thought axis: what a level is called, the order of levels, what is refused."""

from __future__ import annotations

import pytest

from gradsweep import compose
from gradsweep.config import (
    Ablation,
    CotConfig,
    CotKind,
    CotLevel,
    cot_reading_key,
    is_reasoning_level,
    kept_steps,
)
from gradsweep.errors import ConfigError, ExcludedPointError
from gradsweep.identity import point_id, science
from gradsweep.plan import make_plan

SIMPLIFIED, DETAILED = CotLevel.simplified, CotLevel.detailed


def test_a_label_says_what_the_responses_are() -> None:
    labels = [
        CotConfig(CotLevel.none).label,
        CotConfig(DETAILED, CotKind.partial, steps_kept=3).label,
        CotConfig(SIMPLIFIED, CotKind.partial, steps_kept=0).label,
        CotConfig(CotLevel.none, match_length=DETAILED).label,
        CotConfig(DETAILED, CotKind.partial, steps_kept=2, match_length=DETAILED).label,
        CotConfig(kind=CotKind.custom, path="mine.jsonl", name="teacher").label,
        CotConfig(DETAILED, ablate=Ablation.drop).label,
        CotConfig(SIMPLIFIED, ablate=Ablation.shuffle).label,
        CotConfig(DETAILED, ablate=Ablation.corrupt, match_length=DETAILED).label,
        CotConfig(CotLevel.none, ablate=Ablation.drop).label,
        CotConfig(DETAILED, CotKind.partial, steps_kept=1, ablate=Ablation.drop).label,
    ]
    assert labels == [
        "none",
        "partial_3",
        "partial_simplified_0",
        "none_as_long_as_detailed",
        "partial_2_as_long_as_detailed",
        "teacher",
        "detailed_drop",
        "simplified_shuffled",
        "detailed_corrupted_as_long_as_detailed",
        "none",
        "partial_1",
    ]


def test_levels_are_read_from_the_fastest_to_the_slowest() -> None:
    ordered = [
        "none",
        "none_as_long_as_detailed",
        "partial_simplified_1",
        "partial_0",
        "partial_2",
        "partial_2_as_long_as_detailed",
        "partial_10",
        "simplified",
        "simplified_shuffled",
        "detailed",
        "detailed_as_long_as_none",
        "detailed_corrupted",
        "detailed_drop",
        "teacher",
    ]
    assert sorted(set(ordered), key=cot_reading_key) == ordered


def test_controls_and_own_levels_are_not_between_fast_and_slow_thinking() -> None:
    labels = ["none", "partial_3", "partial_simplified_0", "detailed"]
    assert all(map(is_reasoning_level, labels))
    controls = ["teacher", "none_as_long_as_detailed", "detailed_drop", "simplified_shuffled"]
    assert not any(map(is_reasoning_level, controls))


def test_a_label_tells_how_many_steps_of_the_whole_rationale_it_keeps() -> None:
    labels = ["partial_0", "partial_12", "partial_simplified_2", "detailed", "none",
              "partial_1_as_long_as_none"]  # fmt: skip
    assert [kept_steps(label) for label in labels] == [0, 12, None, None, None, None]


def test_the_option_of_a_control_of_length_is_what_one_types() -> None:
    option = compose("cot=none_as_long_as_detailed")
    assert option.cot == compose("cot=none", "cot.match_length=detailed").cot


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["cot=partial", "cot.steps_kept=-1"], r"cot\.steps_kept must be at least 0, got -1"),
        (["cot=partial", "cot.level=none"], r"cot\.level=none has none"),
        (["cot=custom"], r"cot\.path is needed with cot=custom"),
        (["cot=custom", "cot.path=a.jsonl", "cot.name=detailed"], r"cot\.name='detailed' must"),
        (["cot=custom", "cot.path=a.jsonl", "cot.name=partial_1"], r"cot\.name='partial_1' must"),
        (["cot=custom", "cot.path=a.jsonl", "'cot.name=my own'"], r"cot\.name='my own' must"),
        (["cot=custom", "cot.path=a.jsonl", "cot.name=detailed_drop"], r"cot\.name='detailed_d"),
        (["cot=none", "cot.match_length=none"], r"cot\.match_length=none is the level's own"),
    ],
    ids=str,
)
def test_what_cannot_be_run_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose("dataset=arithmetic", *(text.strip("'") for text in overrides))


def test_a_dataset_without_the_level_has_no_part_of_it() -> None:
    with pytest.raises(ExcludedPointError, match=r"wiki_popular_100 has no cot=detailed"):
        compose("dataset=wiki_popular_100", "cot=partial")
    with pytest.raises(ExcludedPointError, match=r"no cot\.match_length=none"):
        compose("dataset=math_algebra", "cot=detailed", "cot.match_length=none")


def test_every_number_of_steps_is_a_point_of_its_own_and_whole_levels_are_one() -> None:
    plan = make_plan(["cot=partial,detailed", "cot.steps_kept=0,2"], multirun=True)
    labels = sorted(point.axes.cot for point in plan.points)
    assert labels == ["detailed", "partial_0", "partial_2"]


def test_ablations_are_points_of_levels_with_steps_and_others_are_there_once() -> None:
    plan = make_plan(["cot=none,partial,detailed", "cot.ablate=null,drop,corrupt"], multirun=True)
    labels = sorted(point.axes.cot for point in plan.points)
    assert labels == ["detailed", "detailed_corrupted", "detailed_drop", "none", "partial_1"]
    with pytest.raises(ConfigError, match=r"goes with cot=simplified or cot=detailed, and this is"):
        make_plan(["cot=none", "cot.ablate=drop"], multirun=False)


@pytest.mark.parametrize("level", CotLevel.__members__)
def test_the_known_levels_keep_the_identity_they_had(level: str) -> None:
    """A new field in the identity of old conditions would orphan the results on disk."""
    parts = science(compose("dataset=arithmetic", f"cot={level}"))
    assert parts["cot"] == level
    assert set(parts["dataset"]) == {"name", "data", "answer", "shuffle"}


def test_length_and_steps_change_the_point() -> None:
    variants = [
        ["cot=detailed"],
        ["cot=partial", "cot.steps_kept=1"],
        ["cot=partial", "cot.steps_kept=2"],
        ["cot=partial", "cot.steps_kept=1", "cot.level=simplified"],
        ["cot=none"],
        ["cot=none", "cot.match_length=simplified"],
        ["cot=none", "cot.match_length=detailed"],
        *(["cot=detailed", f"cot.ablate={ablation}"] for ablation in Ablation.__members__),
        ["cot=simplified", "cot.ablate=drop"],
    ]
    assert len({point_id(compose(*overrides)) for overrides in variants}) == len(variants)
