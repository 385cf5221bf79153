"""Readers of comma-separated values of a command line.

Each raises `argparse.ArgumentTypeError` with what was given and what is allowed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def listed(allowed: Sequence[str]) -> Callable[[str], list[str]]:
    """Return what reads a comma-separated list of some of these."""

    def read(text: str) -> list[str]:
        unknown = [name for name in text.split(",") if name not in allowed]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"{', '.join(unknown)} unknown; there are {', '.join(allowed)}"
            )
        return text.split(",")

    return read


def lengths(text: str) -> list[int]:
    """Read numbers of tokens."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 2:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed are numbers from 2, as 100,500")
    return found


def dtypes(text: str) -> list[torch.dtype]:
    """Read names of `DTYPES`."""
    return [DTYPES[name] for name in listed(list(DTYPES))(text)]
