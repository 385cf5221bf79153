"""What several verbs take, and how it is read."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Sequence

from gradsweep.records import METRICS

_PLACE = "a results folder (default: results) or a sweep, by name or folder"


def verb_parser(run: Callable[[Sequence[str]], int]) -> argparse.ArgumentParser:
    """Of the verb whose module has this `run`; its docstring is the help."""
    return argparse.ArgumentParser(
        f"python -m gradsweep {run.__module__.rsplit('.', 1)[-1]}",
        description=inspect.getdoc(run),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_selection(parser: argparse.ArgumentParser) -> None:
    """`words` for `selection`: where, and filters."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="results|sweep|axis=value",
        help=f"{_PLACE}; axis=value,value keeps only these",
    )


def add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("place", nargs="?", metavar="results|sweep", help=_PLACE)


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
