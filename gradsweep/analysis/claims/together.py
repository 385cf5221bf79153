"""Verdicts of a scope's statements become that of its claim, with the caveats of the controls."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradsweep.analysis.claims.evaluate import CLAIMS
from gradsweep.analysis.claims.finding import (
    ClaimVerdict,
    Control,
    Finding,
    Outcome,
    Verdict,
)
from gradsweep.analysis.claims.rated import RATED_CLAIMS
from gradsweep.analysis.claims.training import TRAINING_CLAIMS

ALL_CLAIMS = (*CLAIMS, *TRAINING_CLAIMS, *RATED_CLAIMS)
"""In the order of their numbers."""

_FIRST = (Verdict.NOT_SUPPORTED, Verdict.NOT_TESTABLE, Verdict.TOO_FEW, Verdict.UNDECIDED)
"""The first of these that a deciding statement has is the verdict on its claim."""


def claim_verdicts(findings: Sequence[Finding]) -> list[ClaimVerdict]:
    """Derive the verdict of every claim in every scope, in the order of the findings.

    Only statements that decide count. One that is not supported refutes the claim; it is
    supported when all of them are; otherwise it is not testable, without enough questions, or
    undecided, in this order.
    """
    told = {claim.number: claim.told for claim in ALL_CLAIMS}
    scopes: dict[tuple[int, str, str, str, str], list[Finding]] = {}
    for finding in findings:
        scope = (
            finding.claim, finding.model, finding.series, finding.dataset, finding.objective,
        )  # fmt: skip
        scopes.setdefault(scope, []).append(finding)
    verdicts = []
    for scope, parts in scopes.items():
        deciding = [part for part in parts if part.decides]
        verdict, reason = _together(deciding)
        words = told[scope[0]](parts)
        reason = f"{reason}; {words}" if words else reason
        found = _outcomes(deciding)
        outcomes = {name: tuple(by_outcome) for name, by_outcome in found.items()}
        caveats = tuple(_caveat(name, by_outcome) for name, by_outcome in found.items())
        number, model, series, dataset, objective = scope
        verdicts.append(
            ClaimVerdict(
                number, model, series, dataset, verdict, reason, outcomes, caveats, objective
            )
        )
    return verdicts


def _together(parts: Sequence[Finding]) -> tuple[Verdict, str]:
    for verdict in _FIRST:
        alike = [part for part in parts if part.verdict is verdict]
        if alike:
            reasons = dict.fromkeys(f"{part.statistic}: {part.reason}" for part in alike)
            return verdict, "; ".join(reasons)
    return Verdict.SUPPORTED, "; ".join(f"{part.statistic}: {part.reason}" for part in parts)


_Outcomes = dict[Outcome, list[tuple[str, Control]]]
"""What becomes of a verdict -> statistics of which it does, with their numbers."""


def _outcomes(parts: Sequence[Finding]) -> dict[str, _Outcomes]:
    """By the control's name."""
    found: dict[str, _Outcomes] = {}
    for part in parts:
        for control in part.controls:
            by_outcome = found.setdefault(control.name, {})
            by_outcome.setdefault(control.outcome, []).append((part.statistic, control))
    return found


def _caveat(name: str, by_outcome: _Outcomes) -> str:
    """`loss summed over tokens: reversed (mean, none / detailed: 0.07 [0.06, 0.08])`."""
    return f"{name}: {'; '.join(_outcome(found, o) for o, found in by_outcome.items())}"


def _outcome(found: Sequence[tuple[str, Control]], outcome: Outcome) -> str:
    if outcome is Outcome.NOT_CONTROLLED:
        return f"{outcome.value}: {'; '.join(dict.fromkeys(c.reason for _, c in found))}"
    numbers = "; ".join(f"{statistic}: {_numbers(control)}" for statistic, control in found)
    return f"{outcome.value} ({numbers})"


def _numbers(control: Control) -> str:
    numbers = (control.value, control.low, control.high)
    value, low, high = (f"{x:.3g}" if math.isfinite(x) else "–" for x in numbers)
    verdict = f", {control.verdict.value}" if control.outcome is Outcome.CHANGED else ""
    return f"{value} [{low}, {high}]{verdict}"
