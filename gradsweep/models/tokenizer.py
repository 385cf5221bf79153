"""Loads a model's tokenizer, the same one whatever optional libraries are installed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from gradsweep.config import ModelConfig, Prompt
from gradsweep.errors import ModelError
from gradsweep.models.chat import check_template
from gradsweep.models.encode import token_offsets
from gradsweep.models.pretrained import from_pretrained
from gradsweep.models.source import ResolvedSource
from gradsweep.progress import say_once

PROBE = "Tom buys 3 apples,\n\tand eats 12.5 % of them. Größe: 三个苹果, x² ≤ 10"
"""Blanks, digits, a line break and letters of several scripts: where classes of one file part."""

log = logging.getLogger("gradsweep")


def load_tokenizer(
    config: ModelConfig, source: ResolvedSource, arguments: dict[str, Any]
) -> PreTrainedTokenizerBase:
    """Load the tokenizer beside the weights.

    Raises:
        ModelError: it cannot be read, gives no character offsets, or has no usable chat template
            and `config.prompt` is chat.
    """
    # mistral-common's own tokenizer would take the place of tokenizer.json where it is installed.
    arguments = arguments | {"mistral_format": False}
    tokenizer = from_pretrained(
        AutoTokenizer.from_pretrained, "tokenizer", config, source, arguments
    )
    if not tokenizer.is_fast:
        raise ModelError(
            f"model={config.name}: its tokenizer {type(tokenizer).__name__} gives no character "
            "offsets, which find the response's tokens; a fast one (tokenizer.json) is needed"
        )
    check_prompt(config, tokenizer)  # before the weights, which take longer
    file = Path(source.location) / "tokenizer.json"
    if source.gguf_file is None and file.is_file():
        _compare_with_file(config.name, tokenizer, file)
    return tokenizer


def check_prompt(config: ModelConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    """Try the chat template, where `config.prompt` is chat, and say what it does.

    Raises:
        ModelError: there is none, or it cannot be used.
    """
    if config.prompt is not Prompt.chat:
        return
    try:
        remarks = check_template(tokenizer, config.template_date)
    except ModelError as error:
        raise ModelError(f"model={config.name}: {error}") from error
    for remark in remarks:
        say_once(f"note: model={config.name}: {remark}")


def _compare_with_file(name: str, tokenizer: PreTrainedTokenizerBase, file: Path) -> None:
    """Say where the class that the folder's config names does not do what its file says."""
    own = Tokenizer.from_file(str(file))
    own.no_truncation()
    own.no_padding()
    theirs = own.encode(PROBE, add_special_tokens=False).ids
    ours = token_offsets(tokenizer, PROBE, add_special_tokens=False)["input_ids"]
    if ours != theirs:
        log.warning(
            "model=%s: %s, which its config names, gives other token ids than its tokenizer.json "
            "(%d for %r, and not %d): the ids of the class are used; where the file is right, set "
            "tokenizer_class to PreTrainedTokenizerFast in tokenizer_config.json",
            *(name, type(tokenizer).__name__, len(ours), PROBE, len(theirs)),
        )
