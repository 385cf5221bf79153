"""Weights stay in memory for the points that share them, and for no others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from gradsweep import compose
from gradsweep.config import Config
from gradsweep.errors import ConfigError, ModelError
from gradsweep.models import cache as module
from gradsweep.models.cache import ModelCache

Point = Callable[..., Config]


@pytest.fixture
def point(model_folder: Path) -> Point:
    def make(*overrides: str) -> Config:
        model = ["model=folder", f"model.source.path={model_folder}", "model.max_length=64"]
        return compose(*model, "gradients.device=cpu", *overrides)

    return make


def scale_weights(folder: Path, factor: float) -> None:
    file = folder / "model.safetensors"
    weights = {name: tensor * factor for name, tensor in load_file(file).items()}
    save_file(weights, file, metadata={"format": "pt"})


def test_points_share_the_weights_however_their_path_is_typed(
    point: Point, model_folder: Path, tmp_path: Path
) -> None:
    models = ModelCache()
    first = models.get(point(), show_progress=False)
    (tmp_path / "latest").symlink_to(model_folder)
    again = models.get(point(f"model.source.path={tmp_path / 'latest'}"), show_progress=False)
    assert again.model is first.model


def test_the_tokenizer_stays_when_weights_are_freed_and_goes_with_the_files(
    point: Point, model_folder: Path
) -> None:
    models = ModelCache()
    first = models.get(point(), show_progress=False)
    models.clear()
    again = models.get(point(), show_progress=False)
    assert again.model is not first.model
    assert again.tokenizer is first.tokenizer
    (model_folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    assert models.get(point(), show_progress=False).tokenizer is not first.tokenizer


def test_replaced_weights_are_loaded_anew(point: Point, model_folder: Path) -> None:
    models = ModelCache()
    before = models.get(point(), show_progress=False).model.get_input_embeddings().weight
    scale_weights(model_folder, 2.0)
    after = models.get(point(), show_progress=False).model.get_input_embeddings().weight
    torch.testing.assert_close(after, 2 * before)


def test_a_replaced_chat_template_is_used(point: Point, model_folder: Path) -> None:
    models = ModelCache()
    templates = []
    for text in ("{{ messages[0].content }} one", "{{ messages[0].content }} two"):
        (model_folder / "chat_template.jinja").write_text(text)
        loaded = models.get(point("model.prompt=chat"), show_progress=False)
        templates.append(loaded.tokenizer.chat_template)
    assert templates[0] != templates[1]


def test_every_point_is_checked_against_the_models_positions(point: Point) -> None:
    models = ModelCache()
    assert models.get(point(), show_progress=False).max_length == 64
    with pytest.raises(ConfigError, match=r"model\.max_length=1025: .* 2 to 1024"):
        models.get(point("model.max_length=1025"), show_progress=False)
    assert models.get(point("model.max_length=1024"), show_progress=False).max_length == 1024


def test_every_point_is_checked_for_its_chat_template(point: Point) -> None:
    models = ModelCache()
    models.get(point(), show_progress=False)
    with pytest.raises(ModelError, match=r"model=tiny-llama-.*model\.prompt=plain"):
        models.get(point("model.prompt=chat"), show_progress=False)


def test_files_that_change_while_they_are_loaded_are_an_error(
    point: Point, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = module.load_model

    def meanwhile(*args: Any) -> Any:
        loaded = load(*args)
        scale_weights(model_folder, 2.0)
        return loaded

    models = ModelCache()
    with monkeypatch.context() as patch:
        patch.setattr(module, "load_model", meanwhile)
        with pytest.raises(ModelError, match=r"model\.source\.path: .* while it was loaded"):
            models.get(point(), show_progress=False)
    scale_weights(model_folder, 2.0)
    fresh = ModelCache().get(point(), show_progress=False).model.get_input_embeddings().weight
    after = models.get(point(), show_progress=False).model.get_input_embeddings().weight
    torch.testing.assert_close(after, fresh)


def test_a_cleared_cache_loads_again(point: Point) -> None:
    models = ModelCache()
    first = models.get(point(), show_progress=False)
    models.clear()
    assert models.get(point(), show_progress=False).model is not first.model
