"""A hub id is a name: a point is measured with one commit of it, which its record tells."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from models.test_cache import scale_weights
from polars.testing import assert_frame_equal

from gradsweep import compose, extract
from gradsweep.config import Config, ModelConfig, ModelSource
from gradsweep.errors import ModelError, StopRequested
from gradsweep.extraction import PointResult
from gradsweep.models import load_model
from gradsweep.models.cache import ModelCache
from gradsweep.store import PointPaths
from gradsweep.store.model_commit import keep_commit, kept_commit, write_config
from gradsweep.store.record import read_config

FIRST, SECOND = "a" * 40, "b" * 40


class CachedRepository:
    """A model in the hub's local cache, at one commit after another, on a machine without route."""

    def __init__(self, cache: Path, model: Path) -> None:
        self.folder = cache / "models--owner--tiny"
        self._model = model
        self.push(FIRST)

    def push(self, commit: str, factor: float = 1.0) -> None:
        snapshot = self.folder / "snapshots" / commit
        shutil.copytree(self._model, snapshot)
        scale_weights(snapshot, factor)
        self.point_to(commit)

    def point_to(self, commit: str) -> None:
        (self.folder / "refs").mkdir(exist_ok=True)
        (self.folder / "refs" / "main").write_text(commit)


@pytest.fixture
def repository(
    tmp_path: Path, saved_model: Path, monkeypatch: pytest.MonkeyPatch
) -> CachedRepository:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("gradsweep.extraction._models", ModelCache())
    return CachedRepository(tmp_path / "hub", saved_model)


@pytest.fixture
def point(tmp_path: Path) -> Callable[..., Config]:
    def make(results: str = "results", *overrides: str) -> Config:
        hub = ["model=hub", "model.source.hub_id=owner/tiny", "model.max_length=400"]
        data = ["cot=simplified", "n_samples=4", "gradients.batch_tokens=300"]
        rest = ["tracking=none", "gradients.device=cpu", f"store.root={tmp_path / results}"]
        return compose(*hub, *data, *rest, *overrides)

    return make


def measured(config: Config, **options: Any) -> PointResult:
    return extract(config, show_progress=False, **options)


def begin(config: Config) -> None:
    """Measure one batch of the point."""
    with pytest.raises(StopRequested):
        measured(config, stop=lambda: True)


def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradsweep.extraction._models", ModelCache())


def test_a_loaded_model_says_which_commit_it_is(repository: CachedRepository) -> None:
    config = ModelConfig(name="theirs", source=ModelSource(hub_id="owner/tiny"), max_length=64)
    assert load_model(config, "cpu").commit == FIRST
    repository.push(SECOND)
    assert load_model(config, "cpu").commit == SECOND
    assert load_model(config, "cpu", FIRST).commit == FIRST


def test_the_record_of_a_point_tells_the_commit_and_its_id_does_not(
    repository: CachedRepository, point: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measured(point("first"))
    repository.push(SECOND, factor=2.0)
    new_process(monkeypatch)
    second = measured(point("second"))
    assert read_config(first.paths)["model_commit"] == FIRST
    assert read_config(second.paths)["model_commit"] == SECOND
    assert first.paths.point_id == second.paths.point_id
    assert first.rows()["nuclear_norm"].to_list() != second.rows()["nuclear_norm"].to_list()


def test_a_point_goes_on_with_the_commit_it_was_begun_with(
    repository: CachedRepository, point: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = measured(point("whole"))
    begin(point("resumed"))
    repository.push(SECOND, factor=2.0)
    new_process(monkeypatch)
    resumed = measured(point("resumed"))
    assert read_config(resumed.paths)["model_commit"] == FIRST
    assert_frame_equal(resumed.rows(), whole.rows())
    other = measured(point("other"))  # a point that begins now, in the same process
    assert read_config(other.paths)["model_commit"] in (FIRST, SECOND)
    same_as_whole = other.rows()["nuclear_norm"].to_list() == whole.rows()["nuclear_norm"].to_list()
    assert same_as_whole == (read_config(other.paths)["model_commit"] == FIRST)


def test_a_commit_that_is_gone_is_an_error_and_no_mixture(
    repository: CachedRepository, point: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(point())
    repository.push(SECOND)
    shutil.rmtree(repository.folder / "snapshots" / FIRST)
    new_process(monkeypatch)
    with pytest.raises(ModelError, match=rf"owner/tiny.*measured with commit {FIRST}"):
        measured(point())


def test_of_processes_that_begin_a_point_at_once_one_commit_counts(tmp_path: Path) -> None:
    paths = PointPaths(tmp_path, "0" * 16)
    axes = {"model": "m", "dataset": "d", "cot": "none", "correctness": "correct"}
    record = {"point_id": paths.point_id, "axes": axes, "science": {}, "config": {}}
    write_config(paths, record)
    assert kept_commit(paths) is None
    with ThreadPoolExecutor(8) as pool:
        kept = set(pool.map(lambda i: keep_commit(paths, f"{i:040x}"), range(16)))
    assert kept == {kept_commit(paths)}
    assert read_config(paths) == record | {"model_commit": kept_commit(paths)}
    assert not list(paths.folder.glob("*.tmp")) + list(paths.folder.glob(".*"))
