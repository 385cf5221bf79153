"""Which samples a point takes: nested subsets, the same questions everywhere, stable ids."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from gradsweep.config import Config
from gradsweep.data import fingerprint, load_samples

MakeConfig = Callable[..., Config]
LEVELS = ("none", "simplified", "detailed")


def _write(path: Path, count: int, note: str = "") -> Path:
    lines = [
        json.dumps(
            {
                "prompt": f"What is {i} plus {i}?",
                "responses": {
                    "none": str(2 * i),
                    "simplified": f"{i} + {i} = {2 * i}.{note} That is {i} doubled.",
                },
            }
        )
        for i in range(count)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("dataset", ["arithmetic", "jsonl"])
def test_a_smaller_subset_lies_in_a_larger_one(
    dataset: str, make_config: MakeConfig, tmp_path: Path
) -> None:
    fields = {"path": _write(tmp_path / "mine.jsonl", 60)} if dataset == "jsonl" else {}
    few, many = (
        load_samples(make_config(dataset, n_samples=n, **fields)).samples for n in (10, 40)
    )
    assert few == many[:10]
    assert len(many) == 40
    assert [sample.index for sample in many] == list(range(40))


def test_every_condition_takes_the_same_questions(make_config: MakeConfig) -> None:
    conditions = list(product(LEVELS, ("correct", "irrelevant")))
    loaded = [load_samples(make_config("arithmetic", *condition)) for condition in conditions]
    questions = [[(s.question_id, s.prompt) for s in one.samples] for one in loaded]
    assert all(one == questions[0] for one in questions)
    ids = [sample.sample_id for one in loaded for sample in one.samples]
    assert len(set(ids)) == len(ids), "another response is another sample"


def test_the_seed_decides_the_subset(make_config: MakeConfig, tmp_path: Path) -> None:
    path = _write(tmp_path / "mine.jsonl", 60)
    taken = [
        [
            s.prompt
            for s in load_samples(make_config("jsonl", path=path, seed=k, n_samples=9)).samples
        ]
        for k in (1, 1, 2)
    ]
    assert taken[0] == taken[1] != taken[2]


def test_without_shuffle_the_file_order_holds(make_config: MakeConfig, tmp_path: Path) -> None:
    path = _write(tmp_path / "mine.jsonl", 30)
    loaded = load_samples(make_config("jsonl", path=path, shuffle=False, n_samples=3))
    assert [sample.response for sample in loaded.samples] == ["0", "2", "4"]


def test_too_many_samples_asked_for_takes_all_and_says_so(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    path = _write(tmp_path / "mine.jsonl", 30)
    loaded = load_samples(make_config("jsonl", path=path, n_samples=31))
    assert len(loaded.samples) == 30
    assert loaded.messages == ["asked for n_samples=31, jsonl has 30: using 30"]
    assert load_samples(make_config("jsonl", path=path, n_samples=30)).messages == []


def test_arithmetic_makes_as_many_as_asked_and_keeps_the_others(make_config: MakeConfig) -> None:
    some = load_samples(
        make_config("arithmetic", "detailed", "irrelevant", n_samples=100, size=100)
    )
    more = load_samples(
        make_config("arithmetic", "detailed", "irrelevant", n_samples=120, size=100)
    )
    assert len(more.samples) == 120
    assert not more.messages
    assert {s.sample_id for s in some.samples} <= {s.sample_id for s in more.samples}


def test_ids_do_not_depend_on_the_process(make_config: MakeConfig) -> None:
    config = make_config("arithmetic", "simplified", "irrelevant", n_samples=5)
    code = (
        "from gradsweep.config import *; from gradsweep.data import load_samples;"
        "c = Config(dataset=DatasetConfig('arithmetic', DatasetKind.arithmetic),"
        "cot=CotConfig(CotLevel.simplified),"
        "correctness=CorrectnessConfig(CorrectnessKind.irrelevant), n_samples=5);"
        "print(*(s.sample_id for s in load_samples(c).samples))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "5", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.split() == [sample.sample_id for sample in load_samples(config).samples]


def test_repeated_prompts_are_different_questions(make_config: MakeConfig, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    record = {"prompt": "Same?", "responses": {"none": "yes"}}
    path.write_text("\n".join([json.dumps(record)] * 3), encoding="utf-8")
    samples = load_samples(make_config("jsonl", path=path)).samples
    assert len({s.question_id for s in samples}) == len({s.sample_id for s in samples}) == 3


def test_fingerprint_follows_content_not_place(make_config: MakeConfig, tmp_path: Path) -> None:
    path = _write(tmp_path / "mine.jsonl", 20)
    (tmp_path / "far").mkdir()
    moved = shutil.copy(path, tmp_path / "far" / "other.jsonl")
    before = fingerprint(make_config("jsonl", path=path))
    assert before == fingerprint(make_config("jsonl", path=moved))
    assert before == fingerprint(make_config("jsonl", path=path, n_samples=7, seed=3))
    _write(path, 20, note=" Really.")
    assert fingerprint(make_config("jsonl", path=path)) != before


def test_fingerprint_of_arithmetic_follows_seed_and_size(make_config: MakeConfig) -> None:
    prints = {
        fingerprint(make_config("arithmetic", seed=seed, size=size))
        for seed, size in ((0, 500), (1, 500), (0, 400))
    }
    assert len(prints) == 3
    assert fingerprint(make_config("arithmetic", n_samples=3)) in prints


def test_the_data_need_no_torch() -> None:
    code = "import sys, gradsweep.data; sys.exit('torch' in sys.modules)"
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=path).returncode == 0
