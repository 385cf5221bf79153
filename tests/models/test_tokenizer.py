"""The tokenizer that is loaded is the folder's own."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from gradsweep import compose, extract
from gradsweep.config import ModelConfig, ModelSource, SourceKind
from gradsweep.models import load_model

MakeTokenizer = Callable[..., PreTrainedTokenizerBase]


@pytest.fixture
def folder(tmp_path: Path, tiny_llama: LlamaForCausalLM, make_tokenizer: MakeTokenizer) -> Path:
    tiny_llama.save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    return tmp_path


def load(folder: Path) -> None:
    source = ModelSource(kind=SourceKind.folder, path=str(folder))
    load_model(ModelConfig(name="tiny", source=source, max_length=64), "cpu")


def test_a_class_that_reads_the_file_otherwise_is_named(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Qwen 2's class puts its own pre-tokenizer in the place of the one in the file."""
    with caplog.at_level(logging.WARNING, logger="gradsweep"):
        load(folder)
    assert "tokenizer.json" not in caplog.text
    file = folder / "tokenizer_config.json"
    named = json.loads(file.read_text()) | {"tokenizer_class": "Qwen2Tokenizer"}
    file.write_text(json.dumps(named))
    with caplog.at_level(logging.WARNING, logger="gradsweep"):
        load(folder)
    assert "gives other token ids than its tokenizer.json" in caplog.text


def test_a_token_without_an_embedding_is_a_reason(
    folder: Path, make_tokenizer: MakeTokenizer, tmp_path: Path
) -> None:
    """Tokens were added to the tokenizer, and no rows to the embedding."""
    tokenizer = make_tokenizer()
    tokenizer.add_tokens([f"<{i}>" for i in range(100)] + ["<answer>"])
    tokenizer.save_pretrained(folder)
    lines = [
        {"prompt": "2+2?", "responses": {"none": "4"}},
        {"prompt": "2+3?", "responses": {"none": "<answer>5"}},
    ]
    data = tmp_path / "mine.jsonl"
    data.write_text("\n".join(map(json.dumps, lines)))
    point = extract(
        compose(
            *("model=folder", f"model.source.path={folder}", "dataset=jsonl"),
            *(f"dataset.path={data}", "cot=none", "tracking=none"),
            f"store.root={tmp_path / 'results'}",
        ),
        show_progress=False,
    )
    statuses = dict(point.samples().select("status", "reason").iter_rows())
    assert statuses.keys() == {"ok", "token_without_embedding"}
    assert "'<answer>'" in statuses["token_without_embedding"]
    assert "embedding has 330 rows" in statuses["token_without_embedding"]
