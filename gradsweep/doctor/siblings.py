"""Whether stored points of one model and dataset differ as their conditions do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradsweep.analysis.paired import pair_lines
from gradsweep.analysis.questions import FEWEST_QUESTIONS, PointQuestions
from gradsweep.analysis.rows import CORRECT, IRRELEVANT
from gradsweep.config import cot_reading_key
from gradsweep.doctor.check import Check, CheckState
from gradsweep.doctor.stored import StoredPoint, StoredPoints
from gradsweep.errors import DataError
from gradsweep.records import READING_ORDER
from gradsweep.report.numerals import distinct

OTHER_CONDITIONS = "conditions"

ALIKE = 0.01
"""Ratios of means within this of 1 are alike."""

_SIGNIFICANT = 0.05

_DOCTOR = "python -m gradsweep doctor <point id> tells what is wrong with the other point"


def check_siblings(
    points: StoredPoints,
    point_ids: Mapping[tuple[str, str], str],
    cot: str,
    correctness: str,
) -> Check:
    """Compare a point with its siblings in other conditions, question by question.

    These are the same point at the other CoT level that is farthest away, and with the other
    correctness of the same level (without CoT, right and wrong answers give nearly the same
    gradients: paper, section 4).

    Args:
        points: of the folder.
        point_ids: (cot, correctness) -> point, itself among them
            (`gradsweep.store.points.other_conditions`).
        cot: level of the point.
        correctness: of its responses.
    """
    others = [key for key in _others(point_ids, cot, correctness) if key in point_ids]
    if (cot, correctness) not in point_ids or not others:
        return Check(
            OTHER_CONDITIONS,
            CheckState.NOT_CHECKED,
            "no other condition is stored",
            _how(cot, correctness),
        )
    itself = points.of(point_ids[cot, correctness])
    siblings, damaged = _read(points, {key: point_ids[key] for key in others})
    if not siblings:
        return Check(OTHER_CONDITIONS, CheckState.NOT_CHECKED, damaged, _DOCTOR)
    if any(one.has_steps for one in (itself, *siblings.values())):
        return Check(
            OTHER_CONDITIONS,
            CheckState.NOT_CHECKED,
            "its samples are single steps, and conditions are compared by whole responses",
            "run the same points with gradients.by=sample",
        )
    measured = {key: one for key, one in siblings.items() if len(one.rows)}
    if itself.rows.is_empty() or not measured:
        whose = "the point has" if itself.rows.is_empty() else "other conditions have"
        return Check(
            OTHER_CONDITIONS,
            CheckState.NOT_CHECKED,
            f"{whose} no measured sample yet",
            "run the same command again (python -m gradsweep status shows which), then ask again",
        )
    checks = [_compared(itself.questions, one.questions, cot, k) for k, one in measured.items()]
    order = [CheckState.PROBLEM, CheckState.WARNING, CheckState.OK, CheckState.NOT_CHECKED]
    worst = min(checks, key=lambda check: order.index(check.state))
    finding = "; ".join(filter(None, [*(check.finding for check in checks), damaged]))
    return Check(OTHER_CONDITIONS, worst.state, finding, worst.remedy or (damaged and _DOCTOR))


def _read(
    points: StoredPoints, point_ids: Mapping[tuple[str, str], str]
) -> tuple[dict[tuple[str, str], StoredPoint], str]:
    """Read siblings, by condition, and say which are damaged; those have a problem of their own."""
    found, damaged = {}, []
    for condition, point_id in point_ids.items():
        try:
            found[condition] = points.of(point_id)
        except DataError:
            damaged.append(f"{' '.join(condition)} cannot be read ({point_id[:8]})")
    return found, "; ".join(damaged)


def _how(cot: str, correctness: str) -> str:
    other = "none" if cot == "detailed" else "detailed"
    return f"run the same point with cot={other} (correctness={correctness}), then ask again"


def _others(
    point_ids: Mapping[tuple[str, str], str], cot: str, correctness: str
) -> list[tuple[str, str]]:
    levels = sorted(
        {level for level, kind in point_ids if kind == correctness}, key=cot_reading_key
    )
    ends = [level for level in (levels[:1] + levels[-1:]) if level != cot]
    farthest = [(ends[-1], correctness)] if ends else []
    return [*farthest, (cot, IRRELEVANT if correctness == CORRECT else CORRECT)]


def _compared(
    first: PointQuestions, second: PointQuestions, cot: str, other: tuple[str, str]
) -> Check:
    """One pair: identical numbers are a problem, alike ones a warning where they should differ."""
    tests = pair_lines(first, second, resamples=0)  # intervals are of no use here
    name = " ".join(other)
    n = min((line["n_questions"] for line in tests), default=0)
    # No test of chance: any number of them will do.
    if n and all(line["difference"] == 0 for line in tests):
        return Check(
            OTHER_CONDITIONS,
            CheckState.PROBLEM,
            f"{name}: exactly the same numbers",
            "both points were measured on the same responses: check the data of the condition",
        )
    ratio = _mean_ratio(tests)
    times = f"{distinct([ratio])[0]} times the nuclear norm, " if n else ""
    if n < FEWEST_QUESTIONS:
        return Check(
            OTHER_CONDITIONS,
            CheckState.NOT_CHECKED,
            f"{name}: {times}{n} questions in common are too few for a test",
            f"at least {FEWEST_QUESTIONS} questions are needed: raise n_samples",
        )
    differs = sum(line["p_adjusted"] < _SIGNIFICANT for line in tests)
    finding = f"{name}: {times}different in {differs} of {len(tests)} projections ({n} questions)"
    expected_alike = cot == other[0] == "none"
    if differs or expected_alike:
        return Check(OTHER_CONDITIONS, CheckState.OK, finding)
    state = CheckState.PROBLEM if abs(ratio - 1) < ALIKE else CheckState.WARNING
    remedy = "see irrelevant responses and CoT levels; or raise n_samples"
    return Check(OTHER_CONDITIONS, state, finding, remedy)


def _mean_ratio(tests: list[dict[str, Any]]) -> float:
    """Second over first mean, a geometric mean over projections; NaN where none is positive."""
    order = {name: place for place, name in enumerate(READING_ORDER)}
    by_name = sorted(tests, key=lambda one: (order.get(n := one["projection"], len(order)), n))
    first, second = (np.array([t[m] for t in by_name]) for m in ("first_mean", "second_mean"))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = second / first
    return float(np.exp(np.log(ratios[ratios > 0]).mean())) if (ratios > 0).any() else np.nan
