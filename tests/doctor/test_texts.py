"""The checks of a point's texts, whichever responses its objective takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from traceback import walk_tb
from typing import Any

import pytest

from gradsweep import compose
from gradsweep.config import Config
from gradsweep.doctor.check import CheckState
from gradsweep.doctor.texts import Texts
from gradsweep.errors import DataError


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., Config]:
    def config(records: Sequence[Any], objective: str) -> Config:
        path = tmp_path / "mine.jsonl"
        path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
        return compose("dataset=jsonl", f"dataset.path={path}", f"objective={objective}")

    return config


@pytest.mark.parametrize("objective", ["dpo", "grpo"])
def test_the_texts_of_pairs_and_groups_are_checked_as_those_of_single_responses(objective: str):
    given = ("n_samples=12", "dataset.size=40", "cot=detailed")
    single, several = compose(*given), compose(*given, f"objective={objective}")
    texts = Texts()
    assert texts.irrelevant(several) == texts.irrelevant(single)
    assert texts.levels(several) == texts.levels(single)
    assert texts.irrelevant(several).state is CheckState.OK


def test_rejected_responses_of_ones_own_may_share_a_sentence_but_not_be_equal(
    own: Callable[..., Config],
):
    shared = "This sentence stands in both of them."
    pairs = [
        {"prompt": f"{n}?", "chosen": f"{shared} {n} it is.", "rejected": f"{shared} No."}
        for n in range(5)
    ]
    assert Texts().irrelevant(own(pairs, "dpo")).state is CheckState.OK
    equal = [pair | {"rejected": pair["chosen"]} for pair in pairs]
    assert Texts().irrelevant(own(equal, "dpo")).state is CheckState.PROBLEM


def test_groups_of_ones_own_are_not_checked_against_responses_that_are_not_there(
    own: Callable[..., Config],
):
    groups = [{"prompt": "Q", "responses": ["a", "b"], "rewards": [1, 0]}]
    texts, config = Texts(), own(groups, "grpo")
    for check in (texts.irrelevant(config), texts.levels(config)):
        assert check.state is CheckState.NOT_CHECKED


def test_data_that_cannot_be_had_are_asked_for_once(monkeypatch: pytest.MonkeyPatch):
    asked: list[Config] = []

    def unreachable(config: Config) -> None:
        asked.append(config)
        raise DataError("no answer")

    monkeypatch.setattr("gradsweep.doctor.texts.load_samples", unreachable)
    texts, config = Texts(), compose("cot=detailed")
    first, again = texts.irrelevant(config), texts.irrelevant(config)
    assert len(asked) == 1
    assert first == again
    assert "no answer" in first.finding
    steps = []
    for _ in range(3):
        texts.irrelevant(config)
        errors = [one for one in texts._samples.values() if isinstance(one, DataError)]
        steps.append(sum(len([*walk_tb(error.__traceback__)]) for error in errors))
    assert steps[0] == steps[-1], "it holds the frames of every point that it was told of"
