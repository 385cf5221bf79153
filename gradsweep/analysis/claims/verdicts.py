"""The rule by which an interval becomes a verdict, and verdicts become that of a claim."""

from __future__ import annotations

from collections.abc import Sequence

from gradsweep.analysis.claims.finding import (
    ClaimVerdict,
    Expected,
    Finding,
    Statement,
    Verdict,
)

_OPPOSITE = {
    Verdict.SUPPORTED: Verdict.NOT_SUPPORTED,
    Verdict.NOT_SUPPORTED: Verdict.SUPPORTED,
    Verdict.UNDECIDED: Verdict.UNDECIDED,
}


def decide(low: float, high: float, statement: Statement) -> tuple[Verdict, str]:
    """Decide what an interval says: a verdict, and the reason in words.

    An effect is ruled out by an interval that ends below the smallest effect that counts, and
    found by one that excludes the null value on the expected side. Neither means undecided.
    Statements that deny an effect (`NOT_ABOVE`, `ALIKE`) are supported where it is ruled out.
    """
    one_sided = statement.expected in (Expected.ABOVE, Expected.NOT_ABOVE)
    verdict, reason = (_above if one_sided else _apart)(low, high, statement)
    denies = statement.expected in (Expected.NOT_ABOVE, Expected.ALIKE)
    return (_OPPOSITE[verdict] if denies else verdict), reason


def _above(low: float, high: float, statement: Statement) -> tuple[Verdict, str]:
    null, counts = f"{statement.null:g}", f"{statement.counts:g}"
    if high < statement.null:
        return Verdict.NOT_SUPPORTED, f"the interval lies below {null}"
    if high < statement.counts:
        return Verdict.NOT_SUPPORTED, f"the interval ends below {counts}, the least that counts"
    if low > statement.null:
        return Verdict.SUPPORTED, f"the interval lies above {null}"
    wide = f"the interval reaches from no effect ({null}) to effects that count ({counts})"
    return Verdict.UNDECIDED, f"{wide}: take more questions"


def _apart(low: float, high: float, statement: Statement) -> tuple[Verdict, str]:
    null, counts = statement.null, statement.counts
    mirrored = null**2 / counts if statement.ratio else 2 * null - counts
    if mirrored < low and high < counts:
        within = f"from {mirrored:.2g} to {counts:.2g}"
        return Verdict.NOT_SUPPORTED, f"the interval lies within {within}: alike"
    if low > null or high < null:
        side = "above" if low > null else "below"
        return Verdict.SUPPORTED, f"the interval lies {side} {null:g}"
    return Verdict.UNDECIDED, f"the interval has {null:g} and effects that count: more questions"


def claim_verdicts(findings: Sequence[Finding]) -> list[ClaimVerdict]:
    """Derive the verdict of every claim in every scope, in the order of the findings.

    Only statements that decide count. One that is not supported refutes the claim; it is
    supported when all of them are; otherwise it is not testable or undecided, in this order.
    """
    scopes: dict[tuple[int, str, str, str], list[Finding]] = {}
    for finding in findings:
        if finding.decides:
            scope = (finding.claim, finding.model, finding.series, finding.dataset)
            scopes.setdefault(scope, []).append(finding)
    return [ClaimVerdict(*scope, *_together(parts)) for scope, parts in scopes.items()]


def _together(parts: Sequence[Finding]) -> tuple[Verdict, str]:
    for verdict in (Verdict.NOT_SUPPORTED, Verdict.NOT_TESTABLE, Verdict.UNDECIDED):
        alike = [part for part in parts if part.verdict is verdict]
        if alike:
            reasons = dict.fromkeys(f"{part.statistic}: {part.reason}" for part in alike)
            return verdict, "; ".join(reasons)
    return Verdict.SUPPORTED, "; ".join(f"{part.statistic}: {part.reason}" for part in parts)
