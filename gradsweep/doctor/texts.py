"""The responses of a point beside those of the other conditions, read once for all points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gradsweep.config import (
    Config,
    CorrectnessConfig,
    CorrectnessKind,
    CotConfig,
    CotKind,
    CotLevel,
    IrrelevantSource,
)
from gradsweep.data import load_samples
from gradsweep.doctor.check import Check, CheckState
from gradsweep.doctor.responses import IRRELEVANT, LEVELS, check_irrelevant, check_levels
from gradsweep.errors import ExcludedPointError, GradsweepError
from gradsweep.records import Sample

Length = Callable[[str], int]


class Texts:
    """Conditions that are read and checked once; points that share their data share the checks."""

    def __init__(self) -> None:
        self._samples: dict[str, list[Sample] | GradsweepError] = {}
        """By what decides them; an error where they cannot be had, which may take a while to see:
        an address that does not answer is asked once, and not for every point."""

    def irrelevant(self, config: Config) -> Check:
        """Run `check_irrelevant` on the point's dataset and CoT level, whichever it measures."""
        given = config.correctness
        asked = CorrectnessConfig() if given.kind is CorrectnessKind.correct else given
        other = replace(asked, kind=CorrectnessKind.irrelevant)
        try:
            correct = self._of(config.with_one_response())
            irrelevant = self._of(config.with_one_response(other))
            return check_irrelevant(correct, irrelevant, preferred=_may_be_pairs(config))
        except ExcludedPointError as error:
            return Check(IRRELEVANT, CheckState.NOT_CHECKED, str(error))
        except GradsweepError as error:
            return _unread(IRRELEVANT, error)

    def levels(self, config: Config, length: Length | None = None) -> Check:
        """Run `check_levels` on the dataset, by `length` in tokens; in words when it is None."""
        found: dict[str, list[Sample]] = {}
        for level in config.dataset.available_levels or list(CotLevel):
            at_level = replace(config.with_one_response(), cot=CotConfig(level))
            try:
                found[level.name] = self._of(at_level)
            except ExcludedPointError:
                continue  # the user's file has no responses at this level
            except GradsweepError as error:
                return _unread(LEVELS, error)
        if not found:
            return Check(LEVELS, CheckState.NOT_CHECKED, "the data have groups of responses alone")
        common = set.intersection(*({s.question_id for s in one} for one in found.values()))
        lengths = {
            level: [(length or _words)(s.response) for s in one if s.question_id in common]
            for level, one in found.items()
        }
        return check_levels(lengths, "tokens" if length else "words")

    def _of(self, config: Config) -> list[Sample]:
        parts = (config.dataset, config.cot, config.correctness, config.n_samples, config.seed)
        key = repr(parts)
        if key not in self._samples:
            self._samples[key] = _loaded(config)
        found = self._samples[key]
        if isinstance(found, GradsweepError):
            # With it would stay every frame that it was raised through, and rows in them.
            raise found.with_traceback(None)
        return found


def _loaded(config: Config) -> list[Sample] | GradsweepError:
    try:
        return load_samples(config).samples
    except GradsweepError as error:
        return error


def _may_be_pairs(config: Config) -> bool:
    """Whether irrelevant responses may be the rejected ones of the user's own file."""
    generated = config.correctness.source is IrrelevantSource.generated
    own = config.dataset.path is not None and config.cot.kind is not CotKind.custom
    return own and not generated


def _words(response: str) -> int:
    return len(response.split())


def _unread(name: str, error: GradsweepError) -> Check:
    return Check(name, CheckState.NOT_CHECKED, f"the data cannot be read: {error}")
