"""The original datasets in the paper's form, from folders that look like their hub repositories."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gradsweep import compose
from gradsweep.config import Config
from gradsweep.data import fingerprint, load_samples
from gradsweep.errors import DataError, ExcludedPointError
from gradsweep.identity import science

MakeConfig = Callable[..., Config]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a test stays in the user's cache."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def _repository(folder: Path, subset: str | None, rows: list[dict[str, Any]]) -> Path:
    """A folder as `load_dataset` finds it in a repository: a card that names the subsets."""
    name = subset or "default"
    (folder / name).mkdir(parents=True)
    pl.DataFrame(rows).write_parquet(folder / name / "train-00000-of-00001.parquet")
    files = f"  data_files:\n  - split: train\n    path: {name}/train-*\n"
    card = f"---\nconfigs:\n- config_name: {name}\n{files}---\n"
    (folder / "README.md").write_text(card, encoding="utf-8")
    return folder


ROWS: dict[str, tuple[str | None, list[dict[str, Any]]]] = {
    "gsm8k": (
        "main",
        [
            {
                "question": f"Tom has {i} and buys 1,00{i}?",
                "answer": f"He has <<{i}+1=2>>{i}.\nSo he pays ${i}\n#### 1,00{i}",
            }
            for i in range(5)
        ],
    ),
    "aqua": (
        "raw",
        [
            {
                "question": f"What is {i}?",
                "options": ["A)21", "B)21.5", "C) 22"],
                "rationale": f"It is {i}.\nAnswer is {'ABC'[i % 3]}.",
                "correct": "ABC"[i % 3],
            }
            for i in range(5)
        ],
    ),
    "strategyqa": (
        None,
        [
            {"question": f"Is {i} odd?", "answer": bool(i % 2), "facts": f"{i} is a number. So."}
            for i in range(5)
        ],
    ),
    "ecqa": (
        None,
        [
            {
                "q_text": f"Where is {i}?",
                **{f"q_op{n}": f"place {n}" for n in range(1, 6)},
                "q_ans": f"place {i % 5 + 1}",
                "taskB": f"One finds {i} there. Not elsewhere.",
            }
            for i in range(5)
        ],
    ),
    "math_geometry": (
        "geometry",
        [
            {"problem": f"Find $x_{i}$.", "solution": f"We see {i}. So it is $\\boxed{{{i}}}$."}
            for i in range(5)
        ],
    ),
}

FIRST = {
    "gsm8k": (
        "Tom has 0 and buys 1,000?",
        "He has 0. So he pays $0.\nThe final answer is 1000",
    ),
    "aqua": (
        "What is 0?\\nOptions:\\n(A) 21\\n(B) 21.5\\n(C) 22",
        "It is 0.\\nAnswer is A.\nThe final answer is (A)",
    ),
    "strategyqa": ("Is 0 odd?", "0 is a number. So.\nThe final answer is no"),
    "ecqa": (
        "Where is 0?\\nOptions:\\n- place 1\\n- place 2\\n- place 3\\n- place 4\\n- place 5",
        "One finds 0 there. Not elsewhere.\nThe final answer is place 1",
    ),
    "math_geometry": ("Find $x_0$.", "We see 0. So it is $\\boxed{0}$."),
}


@pytest.mark.parametrize("dataset", ROWS)
def test_rows_become_prompts_and_responses_in_the_papers_form(
    dataset: str, tmp_path: Path, make_config: MakeConfig
) -> None:
    folder = _repository(tmp_path / dataset, *ROWS[dataset])
    config = make_config(dataset, "simplified", files_from="hub", hub=folder, shuffle=False)
    loaded = load_samples(config)
    assert (loaded.samples[0].prompt, loaded.samples[0].response) == FIRST[dataset]
    assert len(loaded.samples) == 5
    assert any("other questions than the paper's" in message for message in loaded.messages)


@pytest.mark.parametrize("dataset", [name for name in ROWS if name != "math_geometry"])
def test_without_reasoning_the_answer_is_the_one_that_the_rationale_leads_to(
    dataset: str, tmp_path: Path, make_config: MakeConfig
) -> None:
    folder = _repository(tmp_path / dataset, *ROWS[dataset])
    none, simplified = (
        load_samples(make_config(dataset, level, files_from="hub", hub=folder)).samples
        for level in ("none", "simplified")
    )
    for bare, full in zip(none, simplified, strict=True):
        assert bare.question_id == full.question_id
        assert full.response.endswith(f"\nThe final answer is {bare.response}")


@pytest.mark.parametrize("dataset", ROWS)
def test_irrelevant_responses_are_generated(
    dataset: str, tmp_path: Path, make_config: MakeConfig
) -> None:
    folder = _repository(tmp_path / dataset, *ROWS[dataset])
    correct, irrelevant = (
        load_samples(make_config(dataset, "simplified", kind, files_from="hub", hub=folder)).samples
        for kind in ("correct", "irrelevant")
    )
    for own, other in zip(correct, irrelevant, strict=True):
        assert own.question_id == other.question_id
        assert own.response != other.response


def test_the_content_is_part_of_the_identity_and_its_place_is_not(
    tmp_path: Path, make_config: MakeConfig
) -> None:
    subset, rows = ROWS["gsm8k"]
    same, moved, other = (
        make_config("gsm8k", files_from="hub", hub=_repository(tmp_path / name, subset, lines))
        for name, lines in (("a", rows), ("b", rows), ("c", rows[:4]))
    )
    assert fingerprint(same) == fingerprint(moved) != fingerprint(other)


def test_other_columns_than_expected_are_named(tmp_path: Path, make_config: MakeConfig) -> None:
    folder = _repository(tmp_path / "gsm8k", "main", [{"question": "Q?", "solution": "#### 1"}])
    with pytest.raises(DataError, match=r"no column answer; it has question, solution"):
        load_samples(make_config("gsm8k", files_from="hub", hub=folder))


def test_a_dataset_that_is_not_there_says_what_to_provide(
    tmp_path: Path, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for hub in ("openai/gsm8k", os.fspath(tmp_path / "nowhere")):
        with pytest.raises(DataError, match=r"dataset\.hub: .*Provide one of: a network, once"):
            load_samples(make_config("gsm8k", files_from="hub", hub=hub))


@pytest.mark.parametrize("name", ["hub [1]", "hub*", "hub?"])
def test_a_folder_whose_path_would_be_read_as_a_pattern_is_refused(
    name: str, tmp_path: Path, make_config: MakeConfig
) -> None:
    _repository(tmp_path / "hub 1", *ROWS["gsm8k"])  # what datasets would read in its place
    folder = _repository(tmp_path / name / "gsm8k", *ROWS["gsm8k"])
    with pytest.raises(DataError, match=r"dataset\.hub=.*takes for a pattern.*cp -r .* dataset"):
        load_samples(make_config("gsm8k", files_from="hub", hub=folder))


def test_what_the_hub_does_not_have_is_no_point_of_the_grid() -> None:
    with pytest.raises(ExcludedPointError, match=r"gsm8k from the hub has no cot=detailed"):
        compose("dataset=gsm8k", "dataset.source=hub", "cot=detailed")
    with pytest.raises(ExcludedPointError, match=r"creak has no original on the hub"):
        compose("dataset=creak", "dataset.source=hub")


def test_points_from_the_hub_say_so_in_their_identity(tmp_path: Path) -> None:
    folder = _repository(tmp_path / "gsm8k", *ROWS["gsm8k"])
    config = compose("dataset=gsm8k", "dataset.source=hub", f"dataset.hub={folder}")
    assert science(config)["dataset"]["source"] == "hub"
