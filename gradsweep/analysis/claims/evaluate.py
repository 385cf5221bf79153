"""Runs every claim over every model and dataset, then over all of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.claims import (
    early_layers,
    fast_thinking,
    instruct_models,
    knowledge,
    slow_thinking,
)
from gradsweep.analysis.claims.finding import OVERALL, Claim, Finding, Statement, Verdict
from gradsweep.analysis.claims.matched import Matched, Study, studies
from gradsweep.analysis.claims.trials import Scope, Trial
from gradsweep.analysis.claims.verdicts import decide
from gradsweep.analysis.effect_sizes import quantiles
from gradsweep.config import CotLevel
from gradsweep.errors import ConfigError
from gradsweep.records import Axes

_CLAIM_FILES = (fast_thinking, slow_thinking, instruct_models, knowledge, early_layers)

CLAIMS: tuple[Claim, ...] = tuple(file.CLAIM for file in _CLAIM_FILES)

FEWEST_QUESTIONS = 10
"""Below this a bootstrap interval is too narrow to decide anything."""
MOST_UNDEFINED = 0.025
"""Share of resamples in which a statistic may be undefined."""


@dataclass(frozen=True)
class _Result:
    finding: Finding
    resampled: NDArray[np.float64] | None
    """(1 + resamples,); None where it is not testable."""


def evaluate_claims(
    rows: pl.DataFrame,
    metric: str = "nuclear_norm",
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Finding]:
    """Test every statistic of every claim (`CLAIMS`), by scope and over all of them.

    `rows` is the frame of the store's reader; results depend on neither its order nor on what
    other models and datasets are in it (but for the findings over all). Statistics are means
    over the projections in `rows`: filter them to look at one. Intervals are percentile
    bootstraps over questions, conditions drawn together (`Study`); `decide` makes verdicts of
    them. A finding over all averages the scopes that are testable, ratios on the log scale, and
    speaks of these models and datasets only.

    A scope that lacks points, or has fewer than 10 common questions, is not testable, and its
    reason says what to run. Findings of a claim stand together, the overall ones first.
    A scope is a model and dataset in one series.

    Raises:
        ConfigError: an unknown metric, a confidence
            outside (0, 1), or fewer than 100 resamples.
    """
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence must be in (0, 1), got {confidence}")
    if resamples < 100:
        raise ConfigError(f"resamples must be at least 100, got {resamples}")
    of_series = studies(rows, metric, resamples, seed)
    findings: list[Finding] = []
    for file in _CLAIM_FILES:
        results: list[_Result] = []
        for study in of_series:
            for scope in file.scopes(study):
                results += _scope_results(study, file.CLAIM, scope, confidence)
        findings += [_overall(file.CLAIM, s, results, confidence) for s in file.CLAIM.statements]
        findings += [result.finding for result in results]
    return findings


def _scope_results(
    study: Study, claim: Claim, scope: Scope, confidence: float
) -> Iterator[_Result]:
    # Trials of a scope often look at the same points.
    matched: dict[tuple[tuple[Axes, ...], ...], Matched] = {}
    for trial in scope.trials:
        problem = trial.problem or _missing(study, trial)
        if problem:
            yield _not_testable(
                claim, trial.statement, study.series, scope, problem, _points(study, trial)
            )
            continue
        key = tuple(tuple(group.values()) for group in trial.groups)
        if key not in matched:
            matched[key] = study.matched(trial.groups)
        yield _tried(study, claim, scope, trial, matched[key], confidence)


def _tried(
    study: Study, claim: Claim, scope: Scope, trial: Trial, matched: Matched, confidence: float
) -> _Result:
    points = _points(study, trial)
    if matched.n_questions < FEWEST_QUESTIONS:
        problem = _too_few(matched)
        return _not_testable(claim, trial.statement, study.series, scope, problem, points)
    resampled = trial.compute(matched)
    undefined = 1 - float(np.isfinite(resampled).mean())
    if not np.isfinite(resampled[0]) or undefined > MOST_UNDEFINED:
        problem = (
            f"the statistic is undefined in {undefined:.0%} of the resamples (a mean that is not "
            "positive, no spread, or no layers in a part)"
        )
        return _not_testable(claim, trial.statement, study.series, scope, problem, points)
    value, low, high = _interval(resampled, trial.statement, confidence)
    verdict, reason = decide(low, high, trial.statement)
    finding = _finding(
        claim, trial.statement, study.series, scope, (value, low, high), verdict, reason,
        matched.n_questions, matched.n_left_out, points,
    )  # fmt: skip
    return _Result(finding, resampled)


def _overall(
    claim: Claim, statement: Statement, results: Sequence[_Result], confidence: float
) -> Finding:
    """The mean over the scopes that are testable; mixed scopes leave it undecided."""
    scope = Scope(OVERALL, OVERALL, ())
    of_statement = [r for r in results if _is_of(r.finding, statement)]
    tested = [r for r in of_statement if r.resampled is not None]
    points = tuple(dict.fromkeys(p for r in tested for p in r.finding.point_ids))
    if not tested:
        reasons = dict.fromkeys(r.finding.reason for r in of_statement)
        problem = next(iter(reasons), "no reasoning dataset in these points")
        if len(reasons) > 1:
            problem = f"in none of {len(of_statement)} models and datasets; the first: {problem}"
        return _not_testable(claim, statement, "", scope, problem, points).finding
    resampled = np.mean([r.resampled for r in tested if r.resampled is not None], axis=0)
    value, low, high = _interval(resampled, statement, confidence)
    verdict, reason = decide(low, high, statement)
    counts = Counter(r.finding.verdict for r in tested)
    opposite = {Verdict.SUPPORTED: Verdict.NOT_SUPPORTED, Verdict.NOT_SUPPORTED: Verdict.SUPPORTED}
    if verdict in opposite and counts[opposite[verdict]]:
        verdict = Verdict.UNDECIDED
        reason = f"mixed: {reason} on average, but models and datasets contradict each other"
    told = ", ".join(f"{name.value} in {n}" for name, n in counts.items())
    reason = f"{reason} ({told} of {len(of_statement)} models and datasets)"
    n_questions = sum(r.finding.n_questions for r in tested)
    n_left_out = sum(r.finding.n_left_out for r in tested)
    return _finding(
        claim, statement, "", scope, (value, low, high), verdict, reason,
        n_questions, n_left_out, points,
    )  # fmt: skip


def _is_of(finding: Finding, statement: Statement) -> bool:
    return (finding.statement, finding.statistic) == (statement.text, statement.statistic)


def _interval(
    resampled: NDArray[np.float64], statement: Statement, confidence: float
) -> tuple[float, float, float]:
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    low, high = quantiles(resampled[1:], tails)
    numbers = np.array([resampled[0], low, high])
    value, low, high = (np.exp(numbers) if statement.ratio else numbers).tolist()
    return value, low, high


def _points(study: Study, trial: Trial) -> tuple[str, ...]:
    """The trial's points that are there."""
    needed = [axes for group in trial.groups for axes in group.values()]
    return tuple(dict.fromkeys(study.points[axes] for axes in needed if axes in study.points))


def _missing(study: Study, trial: Trial) -> str:
    """What lacks and how to get it; empty when every point is there."""
    needed = [axes for group in trial.groups for axes in group.values()]
    missing = [axes for axes in needed if axes not in study.points]
    if not missing:
        return ""
    names = ", ".join(f"{m.model} {m.dataset} {m.cot} {m.correctness}" for m in missing)
    order = [level.name for level in CotLevel]
    models, datasets, cots, kinds = (
        ",".join(dict.fromkeys(values))
        for values in (
            (m.model for m in missing),
            (m.dataset for m in missing),
            sorted((m.cot for m in missing), key=order.index),
            (m.correctness for m in missing),
        )
    )
    command = f"-m model={models} dataset={datasets} cot={cots} correctness={kinds}"
    return f"missing {names}; run `python -m gradsweep {command}` with the other settings the same"


def _too_few(matched: Matched) -> str:
    lost = f" ({matched.n_left_out} left out, not finite)" if matched.n_left_out else ""
    return (
        f"{matched.n_questions} common questions{lost}, {FEWEST_QUESTIONS} are needed: "
        "run the same points with a larger n_samples, all with the same seed"
    )


def _not_testable(
    claim: Claim,
    statement: Statement,
    series: str,
    scope: Scope,
    problem: str,
    points: tuple[str, ...],
) -> _Result:
    nothing = (float("nan"),) * 3
    untested = Verdict.NOT_TESTABLE
    finding = _finding(claim, statement, series, scope, nothing, untested, problem, 0, 0, points)
    return _Result(finding, None)


def _finding(
    claim: Claim,
    statement: Statement,
    series: str,
    scope: Scope,
    numbers: tuple[float, float, float],
    verdict: Verdict,
    reason: str,
    n_questions: int,
    n_left_out: int,
    points: tuple[str, ...],
) -> Finding:
    return Finding(
        claim.number, statement.text, scope.model, series, scope.dataset,
        statement.statistic, *numbers, statement.null, verdict, reason,
        statement.decides, n_questions, n_left_out, points,
    )  # fmt: skip
