"""Lengths come from what was counted, then from what is stated, then from the texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.stored_costs import cost

from gradsweep import compose
from gradsweep.config import CotLevel
from gradsweep.config.files import options
from gradsweep.errors import ConfigError
from gradsweep.plan.estimate import tokens_per_pass, tokens_per_sample
from gradsweep.plan.estimate.training import samples_passed

LEVELS = ("none", "detailed")
GSM8K = ("model=llama3_8b", "dataset=gsm8k", "cot=detailed", "tracking=none")


def test_what_was_counted_wins_best_by_the_same_tokenizer() -> None:
    stated = tokens_per_sample(compose(*GSM8K), [cost(dataset="aqua"), cost(cot="none")])
    assert (stated.number, stated.basis) == (454, "as dataset.tokens says")
    others = [cost(model="qwen2_1.5b", tokens=40_000)]
    assert tokens_per_sample(compose(*GSM8K), others).number == 400
    assert tokens_per_sample(compose(*GSM8K), [*others, cost()]).number == 500


def test_a_chat_template_adds_and_max_length_cuts() -> None:
    chat = tokens_per_sample(compose(*GSM8K, "model=llama3_8b_instruct"), [])
    assert chat.number > 454
    assert tokens_per_sample(compose(*GSM8K, "model.max_length=128"), []).number == 128


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    data = tmp_path / "mine.jsonl"
    lines = [
        {"prompt": "p" * 60, "responses": {"none": "r" * 30, "detailed": "r" * 240}}
        for _ in range(3)
    ]
    data.write_text("\n".join(map(json.dumps, lines)))
    mine = ("dataset=jsonl", f"dataset.path={data}", "model=llama3_8b", "tracking=none")
    for level, length in (("none", 30), ("detailed", 100)):
        found = tokens_per_sample(compose(*mine, f"cot={level}", "correctness=irrelevant"), [])
        assert found.number == length
        assert "texts" in found.basis


def test_a_pair_takes_what_its_two_responses_take() -> None:
    pair = compose(*GSM8K, "objective=dpo")
    assert tokens_per_sample(pair, []).number == 2 * 454
    assert tokens_per_sample(pair, [cost()]).number == 1000
    counted = [cost(), cost(responses="pair", tokens=90_000)]
    assert tokens_per_sample(pair, counted).number == 900
    assert tokens_per_sample(compose(*GSM8K), counted[1:]).number == 454


def test_a_group_takes_what_all_its_responses_take(tmp_path: Path) -> None:
    data = tmp_path / "mine.jsonl"
    sizes = (2, 4)
    lines = [
        {"prompt": "p" * 60, "responses": ["r" * 30] * k, "rewards": list(range(k))} for k in sizes
    ]
    data.write_text("\n".join(map(json.dumps, lines)))
    mine = ("dataset=jsonl", f"dataset.path={data}", "model=llama3_8b", "tracking=none")
    assert tokens_per_sample(compose(*mine, "objective=grpo"), []).number == 3 * 30


def test_a_control_of_length_is_as_long_as_the_other_level() -> None:
    found = tokens_per_sample(compose(*GSM8K, "cot=none", "cot.match_length=detailed"), [])
    assert found.number == 454


def needed_by(dataset: str) -> list[str]:
    """A level that it has, and one of its ends where it has two."""
    ends = dataset.startswith(("wizardlm", "openhermes", "magpie"))
    level = "simplified" if "math" in dataset else "detailed" if "_r1" in dataset else "none"
    return [f"cot={level}", *(["quality=high"] if ends else [])]


@pytest.mark.parametrize("dataset", sorted(set(options("dataset")) - {"jsonl"}))
def test_every_option_states_the_length_of_all_its_levels(dataset: str) -> None:
    given = compose(f"dataset={dataset}", *needed_by(dataset))
    levels = [level.name for level in CotLevel if level in given.dataset.levels]
    assert list(given.dataset.tokens) == levels
    assert sorted(given.dataset.tokens.values()) == list(given.dataset.tokens.values())


@pytest.mark.parametrize("given", ["{medium: 3}", "{none: 0}"])
def test_a_length_that_cannot_be_names_the_field(given: str) -> None:
    with pytest.raises(
        ConfigError, match=r"dataset\.tokens\.(medium=3: allowed|none must be at least 1)"
    ):
        compose(f"+dataset.tokens={given}" if "medium" in given else f"dataset.tokens={given}")


def test_a_run_that_learns_without_thought_and_is_probed_with_it_passes_both() -> None:
    run = ["training=full", "training.steps=10", "training.batch_size=2", "training.probe_every=10"]
    run += ["training.probe_questions=10", "model=llama3_8b", "dataset=gsm8k", "tracking=none"]
    short, long = (tokens_per_sample(compose(*GSM8K, f"cot={c}"), []).number for c in LEVELS)
    found = tokens_per_pass(compose(*run, "cot=none", "training.probe_cot=[none,detailed]"), [])
    # 20 samples are trained on, and 10 of either kind are probed before the first step and after
    assert found.number == pytest.approx((40 * short + 20 * long) / 60)
    unprobed = compose(*run, "cot=none", "training.probe_every=0")
    assert tokens_per_pass(unprobed, []).number == short
    assert tokens_per_pass(compose(*GSM8K), []) == tokens_per_sample(compose(*GSM8K), [])


def test_a_step_runs_with_what_stands_before_it(tmp_path: Path) -> None:
    data = tmp_path / "mine.jsonl"
    record = {"prompt": "p" * 60, "responses": {"detailed": f"R{'r' * 28}. S{'s' * 27}. So 3."}}
    data.write_text(json.dumps(record))
    mine = ("dataset=jsonl", f"dataset.path={data}", "model=llama3_8b", "tracking=none")
    config = compose(*mine, "cot=detailed", "gradients.by=step")
    ends = [60 + 30, 60 + 60, 60 + 66]
    assert tokens_per_sample(config, []).number == pytest.approx(sum(ends) / 3 / 3)
    assert samples_passed(config) == 3
    paper = compose(*GSM8K, "gradients.by=step")
    assert tokens_per_sample(paper, [cost()]).number < 500
    assert samples_passed(paper) > samples_passed(compose(*GSM8K))
    counted = cost(by="step", tokens=30_000)
    assert tokens_per_sample(paper, [cost(), counted]).number == 300


def test_a_point_has_no_more_samples_than_its_file_has_questions(tmp_path: Path) -> None:
    data = tmp_path / "mine.jsonl"
    records = [{"prompt": f"{n} + 1?", "responses": {"none": str(n + 1)}} for n in range(8)]
    data.write_text("\n".join(map(json.dumps, records)))
    mine = ("dataset=jsonl", f"dataset.path={data}", "model=llama3_8b", "tracking=none")
    assert samples_passed(compose(*mine)) == 8
    assert samples_passed(compose(*mine, "n_samples=3")) == 3
