"""What heads look at equals the attention that the model itself writes out, and sums to one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from helpers.stored_points import spectrum_row
from helpers.tiny_models import FAMILIES, each
from torch import nn

from gradsweep import compose, extract, load_rows
from gradsweep.engine.attention import AttentionReader, Shares, with_shares
from gradsweep.errors import ConfigError, ModelError
from gradsweep.models.projections import find_projections
from gradsweep.records import EncodedSample, Sample

TRIED = ("llama_gqa", "qwen2_biases", "gemma3", "gpt2_conv1d")
IDS = [3, 5, 7, 9, 11, 13, 2, 4, 6]
START, STEPS = 4, (0, 0, 1, 1, 2)


def encoded(steps: tuple[int, ...] = STEPS) -> EncodedSample:
    sample = Sample("id", "question", "prompt", "response", 0)
    return EncodedSample(sample, IDS, START, False, len(IDS), step_of_token=steps)


def shares_of(model: nn.Module, sample: EncodedSample) -> dict[tuple[int, int], Any]:
    reader = AttentionReader(model, find_projections(model, ["q"]))
    with reader.installed():
        return dict(reader.shares(sample))


@pytest.mark.parametrize("family", each(TRIED))
def test_shares_are_those_of_the_attention_that_the_model_writes_out(family: str) -> None:
    model: Any = FAMILIES[family]().eval()
    before = model.config._attn_implementation
    found = shares_of(model, encoded())
    assert model.config._attn_implementation == before
    model.set_attn_implementation("eager")
    with torch.no_grad():
        written = model(torch.tensor([IDS]), output_attentions=True).attentions
    assert len(found) == len(written) * written[0].shape[1]
    for (layer, head), (first, prompt, earlier) in found.items():
        of_response = written[layer][0, head, START:].double()
        own = sum(
            float(of_response[q, START + k])
            for q in range(len(STEPS))
            for k in range(len(STEPS))
            if STEPS[k] == STEPS[q]
        ) / len(STEPS)
        assert first == pytest.approx(float(of_response[:, 0].mean()), abs=1e-6)
        assert prompt == pytest.approx(float(of_response[:, 1:START].sum(1).mean()), abs=1e-6)
        assert first + prompt + earlier + own == pytest.approx(1.0, abs=1e-5)


def test_without_known_steps_the_share_of_earlier_ones_is_unknown(tiny_llama: nn.Module) -> None:
    found = shares_of(tiny_llama, encoded(()))
    assert all(math.isnan(shares.earlier) for shares in found.values())
    assert all(0 <= shares.prompt <= 1 for shares in found.values())


def test_a_module_that_does_not_give_its_attention_is_named(tiny_llama: nn.Module) -> None:
    reader = AttentionReader(tiny_llama, find_projections(tiny_llama, ["q"]))
    attention = tiny_llama.model.layers[0].self_attn  # type: ignore[union-attr]
    handle = attention.register_forward_hook(lambda module, args, output: (output[0], None))  # type: ignore[operator, union-attr]
    with reader.installed(), pytest.raises(ModelError, match=r"Attention of layer 0"):
        reader.shares(encoded())
    handle.remove()


def test_only_rows_of_q_s_heads_get_them() -> None:
    rows = [
        spectrum_row(0, name, 1.0, head=head) for name, head in (("q", 1), ("q", None), ("k", 1))
    ]
    of_head, *others = with_shares(rows, {(0, 1): Shares(0.5, 0.25, 0.125)})
    assert (of_head.attention_to_first, of_head.attention_to_prompt) == (0.5, 0.25)
    assert of_head.attention_to_earlier_steps == 0.125
    assert all(math.isnan(row.attention_to_prompt) for row in others)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((), r"type gradients\.heads=true"),
        (
            ("gradients.heads=true", "gradients.projections=[k]"),
            r"with q in gradients\.projections",
        ),
        (("gradients.heads=true", "gradients.by=step"), r"leave out gradients\.by=step"),
    ],
)
def test_what_cannot_have_them_is_said(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose("gradients.attention_shares=true", "tracking=none", *overrides)


@pytest.mark.long
def test_a_point_has_them_and_its_other_numbers_stay(saved_model: Path, tmp_path: Path) -> None:
    model = ["model=folder", f"model.source.path={saved_model}", "model.name=tiny", "n_samples=3"]
    model.append(f"store.root={tmp_path / 'results'}")
    also = ["tracking=none", "cot=detailed", "gradients.heads=true"]
    extract(compose(*model, *also), show_progress=False)
    extract(compose(*model, *also, "gradients.attention_shares=true"), show_progress=False)
    rows = load_rows(tmp_path / "results").sort("sample_id", "layer", "projection", "head")
    plain, read = rows.partition_by("point_id", maintain_order=True)
    if plain["attention_to_prompt"].is_finite().any():
        plain, read = read, plain
    norms = [frame["nuclear_norm"].to_numpy() for frame in (plain, read)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    shares = ["attention_to_first", "attention_to_prompt", "attention_to_earlier_steps"]
    of_q = read.filter(pl.col("projection") == "q", pl.col("head").is_not_null())
    assert (of_q.select(shares).to_numpy() > 0).all()
    assert (of_q.select(shares).sum_horizontal() < 1).all()
    others = read.join(of_q, on=["sample_id", "layer", "projection", "head"], how="anti",
                       nulls_equal=True)  # fmt: skip
    assert others.select(pl.col(shares).is_nan().all()).row(0) == (True, True, True)
