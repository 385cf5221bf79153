"""The rule by which an interval becomes a verdict."""

from __future__ import annotations

from gradsweep.analysis.claims.finding import Expected, Statement, Verdict

_OPPOSITE = {
    Verdict.SUPPORTED: Verdict.NOT_SUPPORTED,
    Verdict.NOT_SUPPORTED: Verdict.SUPPORTED,
    Verdict.UNDECIDED: Verdict.UNDECIDED,
}


def decide(low: float, high: float, statement: Statement) -> tuple[Verdict, str]:
    """Decide what an interval says: a verdict, and the reason in words.

    The smallest effect that counts is what decides: an effect is found by an interval that lies
    beyond it on the expected side, and ruled out by one that ends before it. Neither means
    undecided. Statements that deny an effect (`NOT_ABOVE`, `ALIKE`) are supported where it is
    ruled out.
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
    if low > statement.counts:
        return Verdict.SUPPORTED, f"the interval lies above {counts}, the least that counts"
    if low > statement.null:
        wide = f"the interval lies above {null}, but reaches below {counts}, the least that counts"
    else:
        wide = f"the interval reaches from no effect ({null}) to effects that count ({counts})"
    return Verdict.UNDECIDED, f"{wide}: take more {statement.cases}"


def _apart(low: float, high: float, statement: Statement) -> tuple[Verdict, str]:
    null, counts = statement.null, statement.counts
    mirrored = null**2 / counts if statement.ratio else 2 * null - counts
    if mirrored < low and high < counts:
        within = f"from {mirrored:.2g} to {counts:.2g}"
        return Verdict.NOT_SUPPORTED, f"the interval lies within {within}: alike"
    if low > counts or high < mirrored:
        side = f"above {counts:.2g}" if low > counts else f"below {mirrored:.2g}"
        return Verdict.SUPPORTED, f"the interval lies {side}, the least that counts"
    alike = f"alike ({mirrored:.2g} to {counts:.2g})"
    return (
        Verdict.UNDECIDED,
        f"the interval has values that are {alike} and values that are not: take more "
        f"{statement.cases}",
    )
