"""What several verbs take, and how it is read."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Sequence

from gradsweep.records import METRICS
from gradsweep.store.sweep_flag import add_sweep

_PLACE = "a results folder (default: results) or a sweep, by name or folder"


def verb_parser(run: Callable[[Sequence[str]], int]) -> argparse.ArgumentParser:
    """The parser of the verb whose module has this `run`; the docstring of `run` is its help."""
    return argparse.ArgumentParser(
        f"python -m gradsweep {run.__module__.rsplit('.', 1)[-1]}",
        description=inspect.getdoc(run),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add `words` and `--sweep`, which `selection` reads: a place, and filters."""
    add_sweep(parser)
    parser.add_argument(
        "words",
        nargs="*",
        metavar="results|sweep|axis=value",
        help=f"{_PLACE}; axis=value,value keeps only these",
    )


def add_points(parser: argparse.ArgumentParser) -> None:
    """Add `words` and `--sweep`, which `jobs.choice.place_and_points` reads: a place, points."""
    add_sweep(parser)
    parser.add_argument(
        "words",
        nargs="*",
        metavar="results|sweep|POINT",
        help=f"{_PLACE}; points by id, its beginning, or axis=value,axis=value",
    )


def metric_list(text: str) -> tuple[str, ...]:
    """Read `nuclear_norm,effective_rank` into metrics, each once; argparse shows what is wrong.

    Whether they are there, the stored rows say.
    """
    metrics = tuple(dict.fromkeys(text.split(",")))
    if "" in metrics:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be metrics separated by commas, such as {','.join(METRICS[:2])}"
        )
    return metrics


def seconds(text: str) -> float:
    """Read the seconds of `--watch`: 1 to 3600; argparse shows what is wrong."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"seconds must be from 1 to 3600, got {text}")
    return value
