"""The follow-up's data: either end of a rating, by `quality`, and thoughts of a reasoning model.

Real files where this machine has them (../shared), small files of the same form elsewhere.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.places import CONF, RELEASE
from omegaconf import OmegaConf

from gradsweep import compose
from gradsweep.config import Config, Quality, Release
from gradsweep.data import load_samples
from gradsweep.data.paper.sources import RELEASES, LocalFolder, release_checksums
from gradsweep.errors import ExcludedPointError
from gradsweep.identity import point_id, point_record
from gradsweep.plan import make_plan
from gradsweep.store.description import describe
from gradsweep.store.series import base_name

FOLLOW_UP = {
    path.stem: dict(OmegaConf.load(path)["files"])
    for path in sorted((CONF / "dataset").glob("*.yaml"))
    if OmegaConf.load(path).get("release") == Release.gradient_unified.name
}
RATED = sorted(name for name, files in FOLLOW_UP.items() if "{quality}" in str(files))
COPY = RELEASE.parent / "gradient_unified"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The two ends of WizardLM by IFD, four samples each."""
    for end in ("highest", "lowest"):
        records = [
            {"instruction": f"{end} task {i}", "output": f"{end} answer {i}.", "ifd_gpt2": 0.1 * i}
            for i in range(4)
        ]
        file = tmp_path / "ifd_gpt2" / f"wiz_10k_{end}_200.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(records), encoding="utf-8")
    return tmp_path


def rated(root: Path, *overrides: str) -> Config:
    return compose("dataset=wizardlm_ifd", f"dataset.root={root}", "tracking=none", *overrides)


@pytest.mark.long
def test_all_ratings_of_the_three_datasets_are_there_and_the_release_has_their_files() -> None:
    assert len(RATED) == 3 * 4
    assert set(FOLLOW_UP) - set(RATED) == {"gsm8k_r1", "s1_r1"}
    known = release_checksums(Release.gradient_unified)
    for name in RATED:
        for quality in Quality:
            dataset = compose(f"dataset={name}", f"quality={quality.name}", "tracking=none").dataset
            (level,) = dataset.levels
            assert dataset.file_of(level, quality) in known
    assert {file for name in ("gsm8k_r1", "s1_r1") for file in FOLLOW_UP[name].values()} <= set(
        known
    )


def test_the_two_ends_are_other_samples_other_points_and_the_same_dataset(root: Path) -> None:
    ends = {quality: rated(root, f"quality={quality}") for quality in ("high", "low")}
    texts = {
        quality: {sample.response.split()[0] for sample in load_samples(config).samples}
        for quality, config in ends.items()
    }
    assert texts == {"high": {"highest"}, "low": {"lowest"}}
    assert len({point_id(config) for config in ends.values()}) == 2
    labels = [config.axes.dataset for config in ends.values()]
    assert labels == ["wizardlm_ifd quality=high", "wizardlm_ifd quality=low"]
    assert set(map(base_name, labels)) == {"wizardlm_ifd"}


def test_both_ends_are_of_one_series_and_a_grid_names_each_once(root: Path) -> None:
    described = [describe(point_record(rated(root, f"quality={q}"))) for q in ("high", "low")]
    assert described[0].settings == described[1].settings
    grid = ["dataset=wizardlm_ifd", f"dataset.root={root}", "quality=high,low", "tracking=none"]
    plan = make_plan(grid, multirun=True)
    labels = [plan.label(point) for point in plan.points]
    assert labels == ["wizardlm_ifd quality=high", "wizardlm_ifd quality=low"]


def test_an_end_is_needed_where_there_are_two_and_refused_where_there_is_none(root: Path) -> None:
    with pytest.raises(ExcludedPointError, match="type quality=high or quality=low"):
        rated(root)
    with pytest.raises(ExcludedPointError, match=r"quality=high: dataset=arithmetic is whole"):
        compose("quality=high", "tracking=none")


def test_the_study_s_own_points_keep_their_ids() -> None:
    assert "quality" not in str(compose("tracking=none").axes)
    assert point_id(compose("tracking=none", "quality=null")) == point_id(compose("tracking=none"))


def test_irrelevant_responses_are_those_of_other_samples(root: Path) -> None:
    loaded = load_samples(rated(root, "quality=low", "correctness=irrelevant"))
    for sample in loaded.samples:
        assert sample.response.startswith("lowest")
        assert sample.response.split()[2] != f"{sample.prompt.split()[2]}."


def test_a_missing_file_names_the_right_release(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"Gradient_Unified|ifd_gpt2"):
        load_samples(rated(tmp_path / "nothing", "quality=high"))
    assert RELEASES[Release.gradient_unified].url.endswith("/_data/10k_version")


@pytest.mark.skipif(not COPY.is_dir(), reason="no copy of the follow-up's data beside the checkout")
def test_the_shipped_checksums_are_those_of_the_files() -> None:
    known, folder = release_checksums(Release.gradient_unified), LocalFolder(COPY)
    for path in COPY.rglob("*.json"):
        relative = path.relative_to(COPY).as_posix()
        assert folder.content_hash(relative) == known[relative]


@pytest.mark.skipif(not COPY.is_dir(), reason="no copy of the follow-up's data beside the checkout")
@pytest.mark.parametrize("name", sorted(FOLLOW_UP))
def test_every_file_that_is_here_loads(name: str) -> None:
    qualities = ["high", "low"] if name in RATED else ["null"]
    for quality in qualities:
        level = next(iter(FOLLOW_UP[name]))
        place = [f"dataset={name}", f"dataset.root={COPY}", f"quality={quality}", f"cot={level}"]
        config = compose(*place, "tracking=none")
        file = config.dataset.file_of(config.cot.level, config.quality)
        if not (COPY / str(file)).is_file():
            pytest.skip(f"no copy of {file} beside the checkout")
        samples = load_samples(config).samples
        assert len(samples) == 200
        assert all(sample.response for sample in samples)
