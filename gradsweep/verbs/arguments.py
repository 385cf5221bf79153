"""Types of arguments that several verbs take."""

from __future__ import annotations

import argparse

from gradsweep.records import METRICS


def metric_list(text: str) -> tuple[str, ...]:
    """`nuclear_norm,effective_rank`, each once."""
    metrics = tuple(dict.fromkeys(text.split(",")))
    unknown = [metric for metric in metrics if metric not in METRICS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown metric {unknown[0]!r}; there are {', '.join(METRICS)}"
        )
    return metrics


def seconds(text: str) -> float:
    """Of `--watch`."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"seconds must be from 1 to 3600, got {text}")
    return value
