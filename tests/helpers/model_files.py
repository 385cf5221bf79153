"""Files that look like a model from outside: for what reads names and bytes, and loads nothing."""

from __future__ import annotations

import os
from pathlib import Path


def write_model(folder: Path, weights: bytes = b"weights") -> Path:
    """A folder with all that a model needs to be found."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def age(*paths: Path, seconds: float = 60) -> None:
    """Make files look as if they had been written a while ago; of folders, every file in them."""
    for path in paths:
        for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
            before = file.stat().st_mtime_ns - int(seconds * 1e9)
            os.utime(file, ns=(before, before))
