"""A point's id: of models that others name as it always was, of the user's own by their content."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from helpers.model_files import write_model
from models.test_cache import scale_weights
from omegaconf import OmegaConf
from polars.testing import assert_frame_equal

from gradsweep import compose, extract
from gradsweep.config import Config
from gradsweep.errors import ModelError
from gradsweep.extraction import _models
from gradsweep.identity import earlier_point_id, point_id, point_record
from gradsweep.models.cache import ModelCache
from gradsweep.store import PointPaths
from gradsweep.store.atomic import write_text

PINNED = {
    (): "b398f9d5ec5a7261",
    ("model=gemma3_270m", "cot=detailed"): "f2341601c3870862",
    ("model=qwen2_1.5b",): "42e29e6bb3beb64e",
    ("model=hub", "model.source.hub_id=owner/name"): "7d0890eda000cf0c",
    (
        "model=hub",
        "model.source.hub_id=owner/name",
        "model.source.revision=v1",
        "model.prompt=chat",
        "model.dtype=bfloat16",
        "model.quantization=nf4",
    ): "1684a39f3cadb59a",
    ("model=smollm2_135m_instruct", "model.source.kind=hub", "seed=3"): "f40e37a631769b60",
}
"""Overrides -> id, as commit c5d3789 gave it: stored points of these models are found again."""


@pytest.mark.parametrize("overrides", PINNED)
def test_ids_of_hub_and_package_models_are_what_they_always_were(
    overrides: tuple[str, ...],
) -> None:
    assert point_id(compose(*overrides)) == PINNED[overrides]


def test_an_id_does_not_depend_on_how_the_path_of_a_model_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "m")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("m")
    paths = ["m", "./m", "m/", str(tmp_path / "m"), "link"]
    configs = [compose("model=folder", f"model.source.path={path}") for path in paths]
    assert len({point_id(config) for config in configs}) == 1
    assert len({config.axes for config in configs}) == 1


@pytest.fixture
def model(tmp_path: Path, saved_model: Path) -> Path:
    return Path(shutil.copytree(saved_model, tmp_path / "last"))


def point_of(model: Path, results: Path) -> Config:
    fields = ["model=folder", f"model.source.path={model}", "model.max_length=400"]
    return compose(*fields, "n_samples=2", "tracking=none", f"store.root={results}")


def test_overwritten_weights_are_measured_anew_beside_the_old_rows(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one process and in the same results folder, as after another epoch of training."""
    before = extract(point_of(model, tmp_path / "results"), show_progress=False)
    old_rows = before.rows()
    scale_weights(model, 1.5)
    after = extract(point_of(model, tmp_path / "results"), show_progress=False)
    assert after.paths.point_id != before.paths.point_id
    # Its label now tells it from the new weights.
    assert_frame_equal(before.rows().drop("model"), old_rows.drop("model"))
    monkeypatch.setattr("gradsweep.extraction._models", ModelCache())
    fresh = extract(point_of(model, tmp_path / "fresh"), show_progress=False)
    assert_frame_equal(fresh.rows().drop("model"), after.rows().drop("model"))
    assert fresh.rows()["nuclear_norm"].to_list() != old_rows["nuclear_norm"].to_list()


def test_a_model_that_changes_before_it_is_loaded_is_no_part_of_the_old_point(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = ModelCache.get

    def meanwhile(*args: object) -> object:
        scale_weights(model, 1.5)
        return get(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(ModelCache, "get", meanwhile)
    config = point_of(model, tmp_path / "results")
    with pytest.raises(ModelError, match=r"model=last-.*it is another point now"):
        extract(config, show_progress=False)
    assert not list((tmp_path / "results").rglob("*.parquet"))


def test_points_of_a_folder_from_when_its_path_counted_are_told_of(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = point_of(model, tmp_path / "results")
    earlier = earlier_point_id(config)
    assert earlier not in (None, point_id(config))
    record = point_record(config) | {"point_id": earlier}
    write_text(PointPaths(config.results, str(earlier)).config, yaml.safe_dump(record))
    extract(config)
    told = capsys.readouterr().err
    assert f"{config.results} has points of {model}" in told
    assert "docs/models.md" in told
    assert earlier_point_id(compose("model=qwen2_1.5b")) is None
    _models.clear()


def test_named_modules_are_part_of_the_id_as_far_as_they_are_measured() -> None:
    hub = ["model=hub", "model.source.hub_id=owner/name", "gradients.projections=[q]"]
    layers, q = "model.projections.layers=model.layers", "model.projections.q=self_attn.query"
    known = point_id(compose(*hub))
    named = point_id(compose(*hub, layers, q))
    assert named != known
    assert named != point_id(compose(*hub, layers, "model.projections.q=self_attn.key"))
    assert named == point_id(compose(*hub, layers, q, "model.projections.v=self_attn.value"))


@pytest.mark.parametrize(
    "overrides",
    [
        *([f"model={name}"] for name in ("smollm2_135m_instruct", "qwen2_1.5b")),
        *([f"objective={name}"] for name in ("dpo", "grpo", "sft")),
        ["dataset=gsm8k", "cot=partial", "cot.level=detailed", "correctness=irrelevant"],
        ["training=lora", "training.checkpoint_every=0", "gradients.projections=[v,q]"],
        ["+gradients.own_metrics.mine={_target_: math.sqrt, list: [1, a], more: {x: null}}"],
    ],
    ids=" ".join,
)
def test_the_config_that_is_stored_is_the_one_that_omegaconf_reads_off(
    overrides: list[str],
) -> None:
    config = compose(*overrides, "tracking=none")
    read_off = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
    stored = point_record(config)["config"]
    assert yaml.safe_dump(stored) == yaml.safe_dump(read_off)
