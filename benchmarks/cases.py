"""The cases: models with batches of realistic samples, each made from its name alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from gradsweep.config.composition import compose
from gradsweep.data import load_samples
from gradsweep.engine import Batch, make_batch
from gradsweep.models.encode import encode
from gradsweep.models.load import load_model
from gradsweep.models.placement import resolve_device
from gradsweep.records import EncodedSample

VOCABULARY = 32_000
"""Tokens that the 8B shapes know: as many as Llama 2, not Llama 3's 128,256. Two layers carry the
head of thirty-two; with the larger one, leaving out unneeded logits would flatter gradsweep."""

POOL = 64
"""Arithmetic questions among which samples of a suitable length are looked for."""


@dataclass(frozen=True)
class Workload:
    """A frozen model in eval mode, and the batches that every method runs on."""

    model: nn.Module
    batches: list[Batch]


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    name: str
    title: str
    build: Callable[[], Workload]
    plain: bool = True
    """Whether the plain method is timed too (it is slow)."""
    checkpointed: bool = False
    """Whether memory with gradient checkpointing is measured too."""


def smollm2(cot: str, length: int, samples_per_batch: int = 1, n_batches: int = 4) -> Workload:
    """Load SmolLM2-135M-Instruct and samples of the bundled data, all of `length` tokens."""
    config = compose("model=smollm2_135m_instruct", f"cot={cot}", f"n_samples={POOL}")
    loaded = load_model(config.model)
    encoded = [
        outcome
        for sample in load_samples(config).samples
        if isinstance(
            outcome := encode(sample, loaded.tokenizer, config.model.prompt, 1024), EncodedSample
        )
    ]
    nearest = sorted(encoded, key=lambda sample: abs(len(sample.input_ids) - length))
    context = [token for sample in nearest for token in sample.input_ids]
    pairs = [_of_length(sample, length, context) for sample in nearest]
    batches = [
        _batch(pairs[i * samples_per_batch : (i + 1) * samples_per_batch]) for i in range(n_batches)
    ]
    return Workload(loaded.model, batches)


def _of_length(sample: EncodedSample, length: int, context: list[int]) -> tuple[list[int], int]:
    """Return (token ids, response length): cut, or led by other samples as by few-shot text."""
    ids = sample.input_ids[:length]
    missing = length - len(ids)
    response = len(ids) - sample.response_start
    return (context * (1 + missing // len(context)))[:missing] + ids, response


def llama(
    length: int,
    response: int,
    *,
    layers: int = 2,
    width: int = 4096,
    vocabulary: int = VOCABULARY,
    n_batches: int = 2,
    rows: int = 1,
) -> Workload:
    """Build random layers in the proportions of Llama-3-8B: 4 query heads to each key-value head,
    heads of 128, a feed-forward 3.5 times the width. Random tokens."""
    torch.manual_seed(0)
    heads = max(width // 128, 4)
    config = LlamaConfig(
        hidden_size=width,
        intermediate_size=width * 7 // 2,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=max(heads // 4, 1),
        vocab_size=vocabulary,
        max_position_embeddings=8192,
        tie_word_embeddings=False,
        use_cache=False,
    )
    model = LlamaForCausalLM(config).eval().requires_grad_(False).to(resolve_device("auto"))
    pairs = [
        [(torch.randint(1, vocabulary, (length,)).tolist(), response) for _ in range(rows)]
        for _ in range(n_batches)
    ]
    return Workload(model, [_batch(of_batch) for of_batch in pairs])


def _batch(pairs: list[tuple[list[int], int]]) -> Batch:
    ids = torch.tensor([tokens for tokens, _ in pairs])
    mask = torch.stack([torch.arange(ids.shape[1]) >= ids.shape[1] - n for _, n in pairs])
    device = resolve_device("auto")
    return make_batch(ids.to(device), mask.to(device), None)


def _main_cases() -> list[Case]:
    small = "SmolLM2-135M"
    responses = {100: 20, 250: 150, 500: 350, 1000: 800}
    return [
        Case("smollm2_none", f"{small}, none, T=100", partial(smollm2, "none", 100)),
        Case(
            "smollm2_none_batched",
            f"{small}, none, 5 samples of T=100",
            partial(smollm2, "none", 100, samples_per_batch=5, n_batches=2),
        ),
        Case(
            "smollm2_simplified",
            f"{small}, simplified, T=250",
            partial(smollm2, "simplified", 250),
        ),
        Case(
            "smollm2_detailed",
            f"{small}, detailed, T=450",
            partial(smollm2, "detailed", 450),
            checkpointed=True,
        ),
        *(
            Case(
                f"llama8b_{length}",
                f"8B shapes, 2 layers, T={length} ({response} of response)",
                partial(llama, length, response),
                checkpointed=length >= 500,
            )
            for length, response in responses.items()
        ),
    ]


def _growth_cases() -> list[Case]:
    """Let one size grow while the rest stays at T=256, 4 layers, width 1024, vocabulary 8,192."""
    build = partial(llama, vocabulary=8192, layers=4, width=1024)
    tokens = {f"T={n}": partial(build, n, n // 2) for n in (64, 128, 256, 512, 1024)}
    layers = {f"{n} layers": partial(build, 256, 128, layers=n) for n in (2, 4, 8, 16)}
    widths = {f"d={n}": partial(build, 256, 128, width=n) for n in (512, 1024, 2048, 4096)}
    builds = {**tokens, **layers, **widths}
    return [
        Case(f"growth_{title.replace('=', '').replace(' ', '_')}", title, make, plain=False)
        for title, make in builds.items()
    ]


def _quick_case() -> Case:
    build = partial(llama, 48, 24, width=256, vocabulary=512)
    return Case("quick", "tiny random Llama, T=48", build, checkpointed=True)


MAIN = {case.name: case for case in _main_cases()}
GROWTH = {case.name: case for case in _growth_cases()}
QUICK = {"quick": _quick_case()}
ALL = MAIN | GROWTH | QUICK
