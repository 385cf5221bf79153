"""Nothing is measured of a sample that depends on its batch, on padding or on another thread."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.agreement import assert_rows_agree
from helpers.plain_gradients import assert_close, plain_gradients, tokens
from helpers.tiny_models import FAMILIES, each, randomised
from helpers.units import Around, unit_of_tokens, without_tokenizer
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerBase

from gradsweep import compose, extract, gradient_spectra
from gradsweep.config import GradientsConfig, ModelConfig, ModelSource, Prompt
from gradsweep.engine.independence import Independence, check_independence
from gradsweep.engine.objectives import Sft
from gradsweep.engine.run import Run
from gradsweep.errors import ModelError
from gradsweep.models.load import LoadedModel
from gradsweep.records import EncodedUnit, Sample, Unit

SIZES = {
    "vocab_size": 330,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
BORDER = 64
"""Tokens at which the rotary frequencies change."""
LONGROPE = {
    "max_position_embeddings": 512,
    "original_max_position_embeddings": BORDER,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 1e4,
        "short_factor": [1.0] * 3,
        "long_factor": [4.0] * 3,
    },
}
DYNAMIC = {
    "max_position_embeddings": BORDER,
    "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0},
}
YARN = {
    "max_position_embeddings": 512,
    "rope_parameters": {
        "rope_type": "yarn",
        "rope_theta": 1e4,
        "factor": 4.0,
        "original_max_position_embeddings": BORDER,
    },
}


def rope(model_type: str, options: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **SIZES, **options)
    return randomised(AutoModelForCausalLM.from_config(config))


def found(model: nn.Module, *lengths: int) -> Independence:
    units = [unit_of_tokens(length, 8) for length in lengths]
    return check_independence(without_tokenizer(model.eval()), units)


@pytest.mark.parametrize("family", each(FAMILIES))
def test_models_whose_samples_stand_alone_keep_their_batches(
    family: str, tiny_model: Callable[[str], nn.Module]
) -> None:
    assert found(tiny_model(family), 12, 30).of_batch


@pytest.mark.parametrize(
    ("model_type", "options"), [("phi3", LONGROPE), ("llama", LONGROPE), ("llama", DYNAMIC)]
)
def test_frequencies_by_the_longest_sequence_of_a_pass_are_noticed(
    model_type: str, options: dict[str, Any]
) -> None:
    assert found(rope(model_type, options), 40, 120) == Independence(False, False)


def test_frequencies_that_never_change_are_no_matter() -> None:
    assert found(rope("llama", YARN), 40, 120) == Independence()


def test_on_one_side_of_the_border_nothing_differs() -> None:
    assert found(rope("phi3", LONGROPE), 30, 60).of_batch


def test_rows_of_one_unit_are_batch_mates() -> None:
    """Each pair has a row on both sides of the border, so that all passes are of one kind."""
    pairs = [
        EncodedUnit(Unit(a.unit.samples + b.unit.samples), a.rows + b.rows)
        for a, b in [(unit_of_tokens(n, 8), unit_of_tokens(n + 80, 8)) for n in (40, 44)]
    ]
    assert not check_independence(without_tokenizer(rope("phi3", LONGROPE)), pairs).of_batch


class SeesPadding(Around):
    """Adds the mean over all tokens, those after the sample too."""

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + x.mean(dim=1, keepdim=True)


class SeesBatchMates(Around):
    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) * (1 + 0.1 * len(x))


class WritesToItself(Around):
    """Harmless in one thread; in two, one may read the other's value."""

    def forward(self, x: Tensor) -> Tensor:
        self.length = x.shape[1]
        return self.inner(x)


class WritesInPlace(Around):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__(inner)
        self.register_buffer("largest", torch.zeros(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        self.largest.copy_(x.detach().abs().max())
        return self.inner(x)


class Remembers(WritesInPlace):
    """What ran before decides."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x) * (1 + self.largest)
        self.largest.copy_(x.detach().abs().sum())
        return y


class Counts(Around):
    """In a list, which is no state of the forward pass."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__(inner)
        self.calls: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append(len(x))
        return self.inner(x)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (SeesPadding, Independence(of_batch=False)),
        (SeesBatchMates, Independence(of_batch=False)),
        (WritesToItself, Independence(of_threads=False)),
        (WritesInPlace, Independence(of_threads=False)),
        (Counts, Independence()),
    ],
)
def test_a_module_is_known_by_what_it_does(
    kind: type[Around], expected: Independence, tiny_model: Callable[[str], Any]
) -> None:
    model = tiny_model("llama_gqa")
    model.model.layers[1].mlp = kind(model.model.layers[1].mlp)
    assert found(model, 12, 30) == expected


def test_a_sample_that_depends_on_those_before_is_refused(
    tiny_model: Callable[[str], Any],
) -> None:
    model = tiny_model("llama_gqa")
    model.model.layers[0].mlp = Remembers(model.model.layers[0].mlp)
    with pytest.raises(ModelError, match="keeps something of the samples before"):
        found(model, 12, 30)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding_in_16_bits_is_no_dependence(
    dtype: torch.dtype, tiny_model: Callable[[str], nn.Module]
) -> None:
    assert found(tiny_model("llama_gqa").to(dtype), 12, 60).of_batch


def test_the_model_is_left_as_it_was(tiny_model: Callable[[str], nn.Module]) -> None:
    model = tiny_model("llama_gqa").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    units = [unit_of_tokens(12, 8), unit_of_tokens(20, 8)]
    check_independence(without_tokenizer(model), units)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())


def samples(texts: Sequence[str]) -> list[Sample]:
    return [Sample(f"s{i}", f"q{i}", "2+3?", text, i) for i, text in enumerate(texts)]


def test_samples_on_both_sides_of_the_border_have_their_own_gradients(
    make_tokenizer: Callable[..., PreTrainedTokenizerBase], caplog: pytest.LogCaptureFixture
) -> None:
    """Each is what autograd gives for it alone, whatever batches and workers were asked for."""
    model = rope("phi3", LONGROPE)
    loaded = LoadedModel(model, make_tokenizer(), Prompt.plain, 512)  # type: ignore[arg-type]
    texts = ["It is 5. " * n for n in (1, 40, 2, 30, 1, 50)]
    config = ModelConfig("mine", ModelSource(hub_id="me/mine"))
    gradients = GradientsConfig(batch_tokens=4096, workers=2)
    with caplog.at_level(logging.WARNING, logger="gradsweep"):
        run = Run(loaded, config, gradients, Sft(), samples(texts))
        outcomes = [outcome for results in run.outcomes() for outcome in results]
    assert "units run one by one" in caplog.text
    units = {unit.unit.unit_id: unit.rows[0] for batch in run.batches for unit in batch}
    assert len(outcomes) == len(texts)
    for outcome in outcomes:
        row = units[outcome.sample_id]
        ids = torch.tensor(row.input_ids)
        assert_close(outcome, plain_gradients(model, ids, row.response_start))


@pytest.mark.parametrize("on_the_left", [False, True])
def test_tensors_of_ones_own_are_measured_one_by_one_where_their_batch_matters(
    on_the_left: bool, caplog: pytest.LogCaptureFixture
) -> None:
    model = rope("phi3", LONGROPE)
    rows = [tokens(length, seed=length) for length in (50, 40, 120)]
    batch = pad_sequence(rows, True, -1, "left" if on_the_left else "right")
    attention = batch >= 0
    response = attention & (torch.cumsum(attention, dim=1) > 8)
    with caplog.at_level(logging.WARNING, logger="gradsweep"):
        ours = gradient_spectra(model, batch.clamp(min=0), response, attention_mask=attention)
    assert "units run one by one" in caplog.text
    for unit, ids in zip(ours.samples, rows, strict=True):
        assert_close(unit, plain_gradients(model, ids, 8))
    with pytest.raises(ModelError, match="have several rows"):
        gradient_spectra(
            model,
            batch[1:].clamp(min=0),
            response[1:],
            attention_mask=attention[1:],
            units=[2],
        )


@pytest.fixture
def longrope_folder(tmp_path: Path, make_tokenizer: Callable[..., PreTrainedTokenizerBase]) -> Path:
    folder = tmp_path / "longrope"
    rope("phi3", LONGROPE).save_pretrained(folder)  # type: ignore[operator]
    make_tokenizer().save_pretrained(folder)
    return folder


def test_batch_size_changes_no_number_of_a_point(longrope_folder: Path, tmp_path: Path) -> None:
    """Its samples lie on both sides of the border."""
    data = tmp_path / "mine.jsonl"
    lines = [{"prompt": f"{n}+2?", "responses": {"none": "It is. " * n}} for n in (1, 40, 2, 30)]
    data.write_text("\n".join(map(json.dumps, lines)))

    def rows(batch_tokens: int) -> Any:
        config = compose(
            "model=folder",
            f"model.source.path={longrope_folder}",
            "model.max_length=512",
            "dataset=jsonl",
            f"dataset.path={data}",
            "cot=none",
            "tracking=none",
            f"gradients.batch_tokens={batch_tokens}",
            f"store.root={tmp_path / str(batch_tokens)}",
        )
        return extract(config, show_progress=False).rows()

    assert_rows_agree(rows(1), rows(4096))
