"""Checkpoints of a run that is over, as steps of one point."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from gradsweep import compose, extract, load_training
from gradsweep.errors import ConfigError, ModelError
from gradsweep.extraction import PointResult
from gradsweep.identity import point_id

Point = Callable[..., PointResult]


@pytest.fixture
def checkpoints(
    tmp_path: Path,
    tiny_llama: LlamaForCausalLM,
    make_tokenizer: Callable[..., PreTrainedTokenizerBase],
) -> list[Path]:
    """What a trainer would have saved after 10 and 30 steps."""
    folders = [tmp_path / "run" / f"checkpoint-{step}" for step in (10, 30)]
    for scale, folder in enumerate(folders, start=1):
        model = copy.deepcopy(tiny_llama)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1 + 0.1 * scale)
        model.save_pretrained(folder)
        make_tokenizer().save_pretrained(folder)
    return folders


def series(folders: list[Path]) -> list[str]:
    names = ",".join(map(str, folders))
    return ["training=series", f"training.checkpoints=[{names}]"]


@pytest.fixture
def plain(overrides: list[str]) -> list[str]:
    return [text for text in overrides if not text.startswith("training")]


def test_each_checkpoint_is_probed_at_its_step_as_a_point_of_its_own_would(
    plain: list[str], checkpoints: list[Path]
) -> None:
    config = compose(*plain, *series(checkpoints), "training.probe_questions=2")
    stored = load_training(extract(config, show_progress=False).paths.results)
    assert stored.steps["step"].to_list() == [10, 30]
    of_last = stored.rows.filter(step=30).select("sample_id", "layer", "projection", "nuclear_norm")
    alone = [text for text in plain if not text.startswith("model.source")]
    point = extract(
        compose(*alone, f"model.source.path={checkpoints[1]}"), show_progress=False
    ).rows()
    same = point.filter(pl.col("sample_id").is_in(of_last["sample_id"].implode()))
    keys = ["sample_id", "layer", "projection"]
    assert_frame_equal(of_last.sort(keys), same.select(of_last.columns).sort(keys), rel_tol=1e-6)


def test_the_point_counts_by_what_the_checkpoints_hold(
    plain: list[str], checkpoints: list[Path]
) -> None:
    before = point_id(compose(*plain, *series(checkpoints)))
    (checkpoints[1] / "model.safetensors").write_bytes(
        (checkpoints[0] / "model.safetensors").read_bytes()
    )
    assert point_id(compose(*plain, *series(checkpoints))) != before


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["last", "checkpoint-30"], r"last does not end in its step.*type last@100"),
        (["checkpoint-30", "checkpoint-10"], "later than the one before"),
    ],
)
def test_steps_that_cannot_be_read_or_do_not_rise_are_refused(
    plain: list[str], names: list[str], told: str
) -> None:
    folders = [Path(name) for name in names]
    with pytest.raises(ConfigError, match=told):
        point_id(compose(*plain, *series(folders)))


def test_a_checkpoint_of_another_architecture_is_refused(
    plain: list[str], checkpoints: list[Path]
) -> None:
    other = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=32, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, vocab_size=330, max_position_embeddings=1024,
        )
    )  # fmt: skip
    other.save_pretrained(checkpoints[1])
    config = compose(*plain, *series(checkpoints), "training.probe_questions=2")
    with pytest.raises(ModelError, match="other weights than the first checkpoint"):
        extract(config, show_progress=False)
