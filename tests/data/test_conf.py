"""Every shipped option of the data axes fits its dataclass and says what it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.places import CONF
from omegaconf import OmegaConf

from gradsweep.config import (
    AnswerKind,
    CorrectnessConfig,
    CotConfig,
    CotLevel,
    DatasetConfig,
    DatasetKind,
    Release,
)

SCHEMAS = {"dataset": DatasetConfig, "cot": CotConfig, "correctness": CorrectnessConfig}
OPTIONS = [(group, path) for group in SCHEMAS for path in sorted((CONF / group).glob("*.yaml"))]
CONTROLS = (
    "none_as_long_as_detailed",
    *(f"detailed_{done}" for done in ("drop", "shuffled", "corrupted")),
)
RATED = ("wizardlm", "openhermes", "magpie")
DATASETS = [path for group, path in OPTIONS if group == "dataset"]


def _named(value: object) -> str:
    return f"{value.parent.name}/{value.stem}" if isinstance(value, Path) else str(value)


def _dataset(path: Path) -> DatasetConfig:
    # jsonl is the one option that is incomplete until the user names a file.
    extra = {"path": "mine.jsonl"} if path.stem == "jsonl" else {}
    schema = OmegaConf.structured(DatasetConfig)
    made = OmegaConf.to_object(OmegaConf.merge(schema, OmegaConf.load(path), extra))
    assert isinstance(made, DatasetConfig)
    return made


def test_the_options_of_the_study_are_all_there() -> None:
    names = {path.stem for path in DATASETS}
    math = {"gsm8k", "aqua", "math_algebra", "math_counting", "math_geometry"}
    commonsense = {"strategyqa", "ecqa", "creak", "sensemaking"}
    wiki = {"wiki_popular_100", "wiki_popular_500", "wiki_popular_1000", "wiki_unpopular"}
    rated = {f"{name}_{by}" for name in RATED for by in ("ifd", "instag", "difficulty", "reward")}
    follow_up = rated | {"gsm8k_r1", "s1_r1"}
    assert names == math | commonsense | wiki | follow_up | {"arithmetic", "jsonl"}
    for group, allowed in (("cot", CotLevel), ("correctness", None)):
        stems = {path.stem for g, path in OPTIONS if g == group}
        levels = {level.name for level in allowed or ()} | {"partial", "custom", *CONTROLS}
        assert stems == (levels if allowed else {"correct", "irrelevant", "pair", "group"})


@pytest.mark.parametrize(("group", "path"), OPTIONS, ids=_named)
def test_first_line_describes_the_option_in_one_sentence(group: str, path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert re.fullmatch(r"# \S.*\.", first)
    assert len(first) <= 100


@pytest.mark.parametrize(("group", "path"), OPTIONS, ids=_named)
def test_option_sets_what_its_name_says(group: str, path: Path) -> None:
    if group == "dataset":
        assert _dataset(path).name == path.stem
        return
    schema = OmegaConf.structured(SCHEMAS[group])
    # custom is incomplete until the user names a file.
    extra = {"path": "mine.jsonl"} if path.stem == "custom" else {}
    made = OmegaConf.to_object(OmegaConf.merge(schema, OmegaConf.load(path), extra))
    assert isinstance(made, CotConfig | CorrectnessConfig)
    chosen = made.label if isinstance(made, CotConfig) else made.kind.name
    assert chosen == path.stem or re.fullmatch(rf"{path.stem}_\d+", chosen)


@pytest.mark.parametrize("path", DATASETS, ids=_named)
def test_paper_datasets_have_a_file_for_each_of_their_levels(path: Path) -> None:
    dataset = _dataset(path)
    if dataset.kind is not DatasetKind.paper:
        assert not dataset.files
        return
    assert list(dataset.files) == [level.name for level in dataset.levels]
    if dataset.release is Release.gradient_unified:
        assert dataset.n_samples == 200
        return
    assert dataset.n_samples == (454 if path.stem == "wiki_unpopular" else 500)
    if path.stem.startswith("wiki"):
        assert dataset.levels == [CotLevel.none]
        assert dataset.answer is AnswerKind.text
    if path.stem.startswith("math"):
        assert CotLevel.none not in dataset.levels
