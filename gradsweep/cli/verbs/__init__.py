"""The verbs: what can be asked about a grid, its jobs, its results or its numbers.

Each is a module of this folder whose `run(args)` returns the exit status and whose docstring is
its `--help`. Modules are imported when their verb is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from gradsweep.errors import UsageError, did_you_mean

VERBS = {
    "plan": "what a command would run, skip and take: jobs, memory, time; nothing is started",
    "status": "where every point and its job stand; live with --watch",
    "logs": "what the job of a point has printed, and why the point failed",
    "retry": "submit again what failed, or is not done and in no job",
    "cancel": "end the jobs of points; what is stored stays",
    "report": "comparisons of what is stored; tables, figures and findings as files",
    "score": "samples ranked by their gradients, loss and length beside; either end as a dataset",
    "dashboard": "a saved workspace and a report in W&B, made or brought up to date",
    "doctor": "known failure signatures in stored points, or of a point before it runs",
    "compare": "two points, or matched pairs: how far apart, and is it chance?",
    "sync": "points that were tracked offline, to Weights & Biases",
    "verify": "a few gradients computed again by autograd in float64: do the numbers agree?",
}
"""Verb -> what `python -m gradsweep --help` says of it, in reading order."""


def run_verb(verb: str, args: Sequence[str]) -> int:
    """Run the verb's module and return its exit status.

    Raises:
        UsageError: a word that is no verb; lists those there are.
    """
    if verb not in VERBS:
        raise UsageError(
            f"{verb!r} is neither a verb{did_you_mean(verb, VERBS)} nor an override like "
            f"cot=detailed; verbs are {', '.join(VERBS)}; see python -m gradsweep --help"
        )
    status: int = import_module(f"gradsweep.cli.verbs.{verb}").run(args)
    return status
