"""Training of some layers alone: all other weights stay as they are, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from gradsweep import compose, load_training
from gradsweep.errors import ConfigError
from gradsweep.extraction import PointResult
from gradsweep.identity import point_id

Point = Callable[..., PointResult]
SHORT = ("training.steps=2", "training.probe_every=0")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(AutoModelForCausalLM.from_pretrained(folder).state_dict())


def test_only_the_asked_layer_moves_and_has_update_rows(run: Point, saved_model: Path) -> None:
    result = run("training.trained_layers=[1]", "training.keep_model=true", *SHORT)
    before, after = weights(saved_model), weights(result.paths.folder / "model")
    moved = {name for name, weight in after.items() if not torch.equal(weight, before[name])}
    assert moved
    assert all(name.startswith("model.layers.1.") for name in moved)
    rows = load_training(result.paths.results, [result.paths.point_id]).rows
    assert set(rows["layer"]) == {1}


def test_adapters_of_one_layer(run: Point) -> None:
    pytest.importorskip("peft")
    result = run("training=lora", "training.trained_layers=[0]", *SHORT)
    rows = load_training(result.paths.results, [result.paths.point_id]).rows
    assert set(rows["layer"]) == {0}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["training.trained_layers=[7]"], r"no layer 7 to train; its layers are 0 to 1"),
        (["training=lora", "training.trained_layers=[7]"], r"no layer 7 to train"),
        (["training.trained_layers=[1]", "training.update_layers=2"], r"type training\.update_l"),
        (["training.trained_layers=[1,1]"], r"each once"),
        (["training.trained_layers=[-1]"], r"numbers of layers from 0"),
    ],
)
def test_layers_that_cannot_be_trained_are_refused(
    more: list[str], message: str, run: Point
) -> None:
    if "training=lora" in more:
        pytest.importorskip("peft")
    with pytest.raises(ConfigError, match=message):
        run(*more, *SHORT)


def test_the_order_of_layers_is_no_other_point_and_all_layers_keep_their_id(
    overrides: list[str],
) -> None:
    ids = [
        point_id(compose(*overrides, *more))
        for more in (
            [],
            ["training.trained_layers=[]"],
            ["training.trained_layers=[1,0]"],
            ["training.trained_layers=[0,1]"],
        )
    ]
    assert ids[0] == ids[1] != ids[2] == ids[3]
