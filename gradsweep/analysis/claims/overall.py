"""From the scopes of a claim to a finding over all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gradsweep.analysis.claims.controls import controls
from gradsweep.analysis.claims.estimate import (
    Estimate,
    Judgement,
    averaged,
    for_verdict,
    judged,
)
from gradsweep.analysis.claims.finding import OVERALL, Claim, Control, Finding, Statement, Verdict
from gradsweep.records import STUDY_OBJECTIVE


@dataclass(frozen=True)
class Result:
    """A finding of one scope, with what the finding over all scopes is made of."""

    finding: Finding
    estimate: Estimate
    under: dict[str, Estimate]
    """By control."""


def overall(
    claim: Claim,
    statement: Statement,
    results: Sequence[Result],
    confidence: float,
    nothing_asked: str = "no reasoning dataset in these points at objective=sft",
) -> Finding:
    """Average the scopes that are testable; mixed scopes leave it undecided.

    Args:
        claim: what the statement is of.
        statement: which of its statements.
        results: of all of its scopes that count.
        confidence: of the intervals.
        nothing_asked: the reason where there is no scope at all.
    """
    scope = (OVERALL, "", OVERALL)
    of_statement = [r for r in results if _is_of(r.finding, statement)]
    tested = [of_statement[i] for i in for_verdict([r.estimate for r in of_statement])]
    if not tested:
        reasons = dict.fromkeys(r.finding.reason for r in of_statement)
        problem = next(iter(reasons), nothing_asked)
        if len(reasons) > 1:
            problem = f"in none of {len(of_statement)} models and datasets; the first: {problem}"
        nothing = Estimate(problem=problem)
        told = judged(nothing, statement, confidence)
        return make_finding(claim, statement, scope, told, nothing)
    estimates = [r.estimate for r in tested]
    estimate = averaged(estimates)
    told = _with_counts(
        judged(estimate, statement, confidence), [r.finding for r in tested], len(of_statement)
    )
    point_ids = tuple(dict.fromkeys(p for r in tested for p in r.finding.point_ids))
    controlled = controls(estimates, [r.under for r in tested], statement, confidence)
    return make_finding(claim, statement, scope, told, estimate, point_ids, controlled)


def make_finding(
    claim: Claim,
    statement: Statement,
    scope: tuple[str, str, str],
    judgement: Judgement,
    estimate: Estimate,
    point_ids: tuple[str, ...] = (),
    controlled: tuple[Control, ...] = (),
    objective: str = STUDY_OBJECTIVE,
) -> Finding:
    """Put a finding together; `scope` is model, series and dataset."""
    value, low, high, verdict, reason = judgement
    return Finding(
        claim.number, statement.text, *scope, statement.statistic, value, low, high,
        statement.null, verdict, reason, statement.decides, estimate.n_questions,
        estimate.n_left_out, point_ids, controlled, objective,
    )  # fmt: skip


def _with_counts(judgement: Judgement, tested: Sequence[Finding], n_scopes: int) -> Judgement:
    """Say how many scopes think so; scopes that contradict each other leave it undecided."""
    verdict, reason = judgement.verdict, judgement.reason
    counts = Counter(finding.verdict for finding in tested)
    opposite = {Verdict.SUPPORTED: Verdict.NOT_SUPPORTED, Verdict.NOT_SUPPORTED: Verdict.SUPPORTED}
    if verdict in opposite and counts[opposite[verdict]]:
        verdict = Verdict.UNDECIDED
        reason = f"mixed: {reason} on average, but models and datasets contradict each other"
    told = ", ".join(f"{name.value} in {n}" for name, n in counts.items())
    reason = f"{reason} ({told} of {n_scopes} models and datasets)"
    return judgement._replace(verdict=verdict, reason=reason)


def _is_of(finding: Finding, statement: Statement) -> bool:
    return (finding.statement, finding.statistic) == (statement.text, statement.statistic)
