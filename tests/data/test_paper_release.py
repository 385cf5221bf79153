"""The paper's released files as a source: which file is read, and what if it is not there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gradsweep.config import Config
from gradsweep.data import fingerprint, load_samples
from gradsweep.errors import ConfigError, DataError

MakeConfig = Callable[..., Config]
NAMES = {
    "none": "gsm8k_train_no_cot.json",
    "simplified": "gsm8k_train_with_cot.json",
    "detailed": "gsm8k_train_with_cot_gpt4o.json",
}


def _write(folder: Path, name: str, outputs: list[str], extra: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    records = [
        {"instruction": f"Question {i}?", "input": extra, "output": output}
        for i, output in enumerate(outputs)
    ]
    (folder / name).write_text(json.dumps(records), encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small folder in the paper's layout, without irrelevant responses."""
    folder = tmp_path / "data" / "cot_500"
    for level, name in NAMES.items():
        texts = {
            "none": [str(10 + i) for i in range(8)],
            "simplified": [f"Add {i}. Then {i}.\nThe final answer is {10 + i}" for i in range(8)],
            "detailed": [f"First, {i}. Next, {i}. It is {10 + i}." for i in range(8)],
        }[level]
        _write(folder, name, texts)
    return tmp_path / "data"


@pytest.mark.parametrize("level", NAMES)
def test_each_level_reads_its_file_and_the_questions_pair_up(
    level: str, root: Path, make_config: MakeConfig
) -> None:
    loaded = load_samples(make_config("gsm8k", level, root=root, shuffle=False, n_samples=8))
    records = json.loads((root / "cot_500" / NAMES[level]).read_text(encoding="utf-8"))
    assert [s.response for s in loaded.samples] == [record["output"] for record in records]
    other = load_samples(make_config("gsm8k", "none", root=root, shuffle=False, n_samples=8))
    assert [s.question_id for s in loaded.samples] == [s.question_id for s in other.samples]


def test_the_input_stands_on_a_line_of_its_own(root: Path, make_config: MakeConfig) -> None:
    _write(root / "cot_500", NAMES["none"], ["1", "2"], extra="Context")
    samples = load_samples(make_config("gsm8k", root=root, n_samples=2)).samples
    assert {s.prompt for s in samples} == {"Question 0?\nContext", "Question 1?\nContext"}


def test_the_papers_irrelevant_responses_are_used_when_they_are_there(
    root: Path, make_config: MakeConfig
) -> None:
    shuffled = [f"wrong {i}" for i in range(8)]
    _write(root / "cot_500_wrong_answer_shuffle", NAMES["none"], shuffled)
    for source in ("auto", "paper"):
        config = make_config("gsm8k", "none", "irrelevant", root=root, source=source, n_samples=8)
        loaded = load_samples(config)
        assert {s.prompt: s.response for s in loaded.samples} == {
            f"Question {i}?": f"wrong {i}" for i in range(8)
        }
        assert not loaded.messages
    config = make_config("gsm8k", "none", "irrelevant", root=root, source="generated", n_samples=8)
    assert not {s.response for s in load_samples(config).samples} & set(shuffled)


def test_the_user_is_told_of_irrelevant_responses_that_are_correct(
    root: Path, make_config: MakeConfig
) -> None:
    kept = [f"Sing.\nThe final answer is {10 + (i if i < 3 else -i)}" for i in range(8)]
    _write(root / "cot_500_wrong_answer_shuffle", NAMES["simplified"], kept)
    loaded = load_samples(make_config("gsm8k", "simplified", "irrelevant", root=root, n_samples=8))
    assert [m for m in loaded.messages if m.startswith("3 of 8 irrelevant responses")]


def test_irrelevant_responses_are_generated_when_the_paper_has_none(
    root: Path, make_config: MakeConfig
) -> None:
    loaded = load_samples(make_config("gsm8k", "detailed", "irrelevant", root=root, n_samples=8))
    assert len(loaded.samples) == 8
    assert any("irrelevant responses are generated" in message for message in loaded.messages)
    with pytest.raises(DataError, match=r"cot_500_wrong_answer_shuffle.*does not exist"):
        load_samples(make_config("gsm8k", "none", "irrelevant", root=root, source="paper"))


def test_a_missing_root_says_what_to_pass(make_config: MakeConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.root is needed with dataset\.source=root"):
        make_config("gsm8k", files_from="root")
    for call in (load_samples, fingerprint):
        with pytest.raises(DataError, match=r"dataset\.root: .*nowhere is not a .*2410\.23743"):
            call(make_config("gsm8k", root=tmp_path / "nowhere"))


def test_a_missing_file_is_named_along_with_what_is_there(
    root: Path, make_config: MakeConfig
) -> None:
    for call in (load_samples, fingerprint):
        with pytest.raises(DataError, match=r"aqua_train_no_cot\.json does.*gsm8k_train_no_cot"):
            call(make_config("aqua", root=root))
        with pytest.raises(DataError, match=r"algebra_with_cot\.json does not exist.*cot_500"):
            call(make_config("math_algebra", "simplified", root=root))


def test_a_malformed_file_names_the_place(root: Path, make_config: MakeConfig) -> None:
    path = root / "cot_500" / NAMES["none"]
    path.write_text('[{"instruction": "Q",\n "output" "A"}]', encoding="utf-8")
    with pytest.raises(DataError, match=r"gsm8k_train_no_cot\.json: malformed JSON at line 2"):
        load_samples(make_config("gsm8k", root=root))


def test_fingerprint_covers_every_file_that_is_read(root: Path, make_config: MakeConfig) -> None:
    def prints() -> list[str]:
        conditions = [("none", "correct"), ("detailed", "correct"), ("detailed", "irrelevant")]
        return [fingerprint(make_config("gsm8k", *one, root=root)) for one in conditions]

    first = prints()
    assert len(set(first)) == 3
    _write(root / "cot_500", NAMES["none"], [str(i) for i in range(9)])
    second = prints()
    assert [a == b for a, b in zip(first, second, strict=True)] == [False, True, False]
    _write(root / "cot_500_wrong_answer_shuffle", NAMES["detailed"], ["x."] * 8)
    third = prints()
    assert [a == b for a, b in zip(second, third, strict=True)] == [True, True, False]


@pytest.mark.parametrize(
    ("dataset", "level", "available"),
    [
        ("gsm8k", "none", 500),
        ("aqua", "simplified", 500),
        ("strategyqa", "detailed", 500),
        ("math_algebra", "detailed", 500),
        ("wiki_popular_100", "none", 500),
        ("wiki_unpopular", "none", 454),
    ],
)
@pytest.mark.parametrize("correctness", ["correct", "irrelevant"])
def test_the_released_files_load(
    dataset: str,
    level: str,
    available: int,
    correctness: str,
    shared_root: Path,
    make_config: MakeConfig,
) -> None:
    loaded = load_samples(make_config(dataset, level, correctness, root=shared_root))
    assert len(loaded.samples) == available
    assert len({sample.sample_id for sample in loaded.samples}) == available
    assert len({sample.question_id for sample in loaded.samples}) == available
