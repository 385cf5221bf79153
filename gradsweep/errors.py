"""Errors that are a user's to mend. The command line prints them as one line, without a traceback.

Every message names the field, what was given and what is allowed. Invariants of
our own use `assert`; these classes are for input and for the outside world.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class GradsweepError(Exception):
    """Base of every error whose message alone tells a user what to do next."""


class ConfigError(GradsweepError, ValueError):
    """A config field, or a combination of fields, that cannot be run."""


class UsageError(ConfigError):
    """A command line that cannot be read: an unknown verb or flag. Its exit status is 2."""


class ExcludedPointError(ConfigError):
    """A cell of the grid that the study does not have (a dataset without that CoT level)."""


class DataError(GradsweepError, ValueError):
    """A data file that is missing, empty or malformed; says which file and which line."""


class ModelError(GradsweepError, ValueError):
    """A model source that cannot be found or loaded, or a projection the model does not have."""


class WeightsError(ModelError):
    """Weights of a model that are NaN or infinite."""


class StoreError(GradsweepError, RuntimeError):
    """Results that cannot be written: a full disk, or a folder that another process is writing."""


class PointBusyError(StoreError):
    """Another live process is writing this folder."""


class SchedulerError(GradsweepError, RuntimeError):
    """What the cluster refuses or does not answer: sbatch, squeue, scontrol."""


class TrainingError(GradsweepError, RuntimeError):
    """A training run that cannot go on: it diverged, or its checkpoint is of another run."""


class TrackingError(GradsweepError, RuntimeError):
    """W&B cannot be used for what was asked: no key, no route, or a refusal of the server."""


class RankFailedError(GradsweepError, RuntimeError):
    """Another process of those that share one model has failed, with that one's message."""


class RankLostError(GradsweepError, RuntimeError):
    """Another process of those that share one model has ended without a word: nothing goes on."""


class StopRequested(KeyboardInterrupt):
    """A job was told to end soon. Not a failure of the point: what is stored is kept."""


def few(names: Sequence[str], most: int = 10) -> str:
    """Names as a message lists them: the first ones, and how many there are besides."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "nothing") + rest


def counted(number: int, noun: str) -> str:
    """A number with what it counts: "1 point", "3 points"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """Name what was probably meant: " (did you mean detailed?)"; empty where nothing is close."""
    close = get_close_matches(given.lower(), list(allowed), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""
