"""Types of arguments that several verbs take."""

from __future__ import annotations

import argparse


def seconds(text: str) -> float:
    """Of `--watch`."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"seconds must be from 1 to 3600, got {text}")
    return value
