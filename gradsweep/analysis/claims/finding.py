"""What a claim says, and what was found of it: the records of this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from html import escape

import polars as pl

from gradsweep.records import STUDY_OBJECTIVE
from gradsweep.store.series import model_label

OVERALL = "all"
"""Model and dataset of a finding over all of them."""


class Verdict(str, Enum):
    SUPPORTED = "supported"
    NOT_SUPPORTED = "not supported"
    """There is evidence against it: no effect that counts, or one the other way."""
    UNDECIDED = "undecided"
    """The interval allows both, or models and datasets contradict each other."""
    TOO_FEW = "too few for a verdict"
    """There is an interval, but fewer than `FEWEST_QUESTIONS` questions (or runs: `FEWEST_RUNS`)
    behind it."""
    NOT_TESTABLE = "not testable with these points"


class Outcome(str, Enum):
    """What becomes of a verdict when another thing that could explain it is taken out."""

    SAME = "same verdict"
    SAME_SIDE = "same direction, too few for a verdict"
    REVERSED = "reversed"
    CHANGED = "another verdict"
    """Neither the same nor the opposite: it may be undecided now."""
    NOT_CONTROLLED = "not controlled for"
    """Points for it are missing."""


class Expected(Enum):
    """Where a statement says that its statistic lies."""

    ABOVE = "above"
    NOT_ABOVE = "not above"
    APART = "apart from"
    ALIKE = "close to"


@dataclass(frozen=True)
class Statement:
    """One part of a claim, with the statistic that decides it."""

    text: str
    """In the words of the paper, as half a sentence."""
    statistic: str
    """What the number is, for the heading of a table."""
    expected: Expected
    null: float
    """The value without any effect, in the statistic's unit."""
    counts: float
    """The smallest effect that counts: the value, on the far side of `null`, that an interval
    must stay below for an effect to be ruled out."""
    ratio: bool = False
    """Whether it is a ratio: then scopes are averaged on the log scale."""
    decides: bool = True
    """Whether the claim stands and falls with it; otherwise it is a detail of the claim."""
    cases: str = "questions"
    """What its interval is over: more of them make it narrower."""


@dataclass(frozen=True)
class Claim:
    number: int
    """In the order of the paper (docs/findings.md)."""
    title: str
    text: str
    """One sentence in plain language."""
    source: str
    """Where the paper says it."""
    statements: tuple[Statement, ...]
    told: Callable[[Sequence[Finding]], str] = lambda findings: ""
    """Says in words what the findings of one scope show beyond their verdicts; may be empty."""


@dataclass(frozen=True)
class Control:
    """A statistic again, with another thing that could explain it taken out, in these points."""

    name: str
    """What is taken out: `loss summed over tokens`, `none as long as detailed`."""
    outcome: Outcome
    value: float
    """NaN where it is not controlled for, as are low and high."""
    low: float
    high: float
    verdict: Verdict
    reason: str
    """Of the verdict; for what is not controlled for, what to run."""


@dataclass(frozen=True)
class Finding:
    """One statistic of one claim, for a model and dataset or over all of them."""

    claim: int
    statement: str
    model: str
    """As in the rows; `base → instruct` where two are compared; `all` over all scopes."""
    series: str
    """As in the rows; empty over all scopes."""
    dataset: str
    """As in the rows; `wiki` for the knowledge tasks; `all` over all scopes."""
    statistic: str
    value: float
    """NaN when points are missing, as are low and high; there with too few questions, too."""
    low: float
    high: float
    """Bootstrap interval over questions (paired where conditions share them)."""
    null: float
    verdict: Verdict
    reason: str
    """Why; for what is not testable also what to run."""
    decides: bool
    n_questions: int
    """Questions that the value rests on (of claims about runs, runs): the fewest of its
    conditions; summed over scopes."""
    n_left_out: int
    """Questions that the points have, but without a finite value everywhere."""
    point_ids: tuple[str, ...]
    controls: tuple[Control, ...] = ()
    """What would reverse the verdict, for a statistic that decides; empty without an estimate."""
    objective: str = STUDY_OBJECTIVE
    """As in the rows; findings over all scopes are of the study's."""

    @property
    def overall(self) -> bool:
        return self.model == self.dataset == OVERALL

    def __repr__(self) -> str:
        scope = " · ".join((model_label(self.model, self.series, self.objective), self.dataset))
        value = f"{self.statistic} {self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"
        return f"Finding({self.claim} {self.statement}, {scope}: {value}, {self.verdict.value})"

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}: {escape(self.reason)}</p>"


@dataclass(frozen=True)
class ClaimVerdict:
    """What the findings of a scope say of a claim as a whole."""

    claim: int
    model: str
    series: str
    dataset: str
    verdict: Verdict
    reason: str
    controls: Mapping[str, tuple[Outcome, ...]]
    """Of each control, what becomes of the statistics that decide under it."""
    caveats: tuple[str, ...]
    """The same in words, a line for each control, with the numbers or what to run."""
    objective: str = STUDY_OBJECTIVE


def findings_frame(findings: Sequence[Finding]) -> pl.DataFrame:
    """Make a table of a line per finding; the columns are the fields of `Finding`, in its order.

    Verdicts and outcomes are their words, point_ids a list of strings, controls one of structs.
    """
    number, text, whole, yes = pl.Float64(), pl.String(), pl.Int64(), pl.Boolean()
    schema: dict[str, pl.DataType] = {
        "claim": whole, "statement": text, "model": text, "series": text,
        "dataset": text, "statistic": text,
        "value": number, "low": number, "high": number, "null": number,
        "verdict": text, "reason": text, "decides": yes,
        "n_questions": whole, "n_left_out": whole, "point_ids": pl.List(pl.String()),
        "controls": pl.List(pl.Struct({
            "name": text, "outcome": text, "value": number, "low": number, "high": number,
            "verdict": text, "reason": text,
        })),
        "objective": text,
    }  # fmt: skip
    lines = [
        asdict(f)
        | {
            "verdict": f.verdict.value,
            "point_ids": list(f.point_ids),
            "controls": [
                asdict(c) | {"outcome": c.outcome.value, "verdict": c.verdict.value}
                for c in f.controls
            ],
        }
        for f in findings
    ]
    return pl.DataFrame(lines, schema=schema, orient="row")
