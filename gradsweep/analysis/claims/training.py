"""Runs the claims about training over every run, then over all of them together."""

from __future__ import annotations

from gradsweep.analysis.claims import foretells, gap_stays
from gradsweep.analysis.claims.controls import controls
from gradsweep.analysis.claims.estimate import judged, require_draws
from gradsweep.analysis.claims.finding import Claim, Finding
from gradsweep.analysis.claims.overall import Result, make_finding, overall
from gradsweep.analysis.claims.runs import RunScope, TrainingMaterial
from gradsweep.records import STUDY_OBJECTIVE
from gradsweep.store.training import TrainingTables

_CLAIM_FILES = (foretells, gap_stays)

TRAINING_CLAIMS: tuple[Claim, ...] = tuple(file.CLAIM for file in _CLAIM_FILES)

_NO_RUNS = "no run with optimizer steps here at objective=sft; train with training=full"


def evaluate_training_claims(
    tables: TrainingTables,
    metric: str = "nuclear_norm",
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Finding]:
    """Test every statistic of the claims about training (`TRAINING_CLAIMS`).

    Claim 6 compares the runs of a model with each other, with a bootstrap over runs; claim 7 looks
    at each run's probes, with a bootstrap over questions. Points that are not trained change no
    number. Findings, verdicts and controls are those of `evaluate_claims`.

    Args:
        tables: of `gradsweep.load_training`.
        metric: one that their rows have.
        confidence: of the intervals.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ConfigError: an unknown metric, a confidence outside (0, 1), or fewer than 100 resamples.
        DataError: a projection with rows of single heads only.
    """
    require_draws(confidence, resamples)
    material = TrainingMaterial(tables, metric, resamples, seed)
    findings: list[Finding] = []
    for file in _CLAIM_FILES:
        results = [
            result
            for scope in file.scopes(material)
            for result in scope_results(file.CLAIM, scope, confidence)
        ]
        of_study = [r for r in results if r.finding.objective == STUDY_OBJECTIVE]
        findings += [
            overall(file.CLAIM, statement, of_study, confidence, _NO_RUNS)
            for statement in file.CLAIM.statements
        ]
        findings += [result.finding for result in results]
    return findings


def scope_results(claim: Claim, scope: RunScope, confidence: float) -> list[Result]:
    """Make a finding of every statement that is estimated in a scope, with its controls."""
    return [
        Result(
            make_finding(
                claim, trial.statement, (scope.model, scope.series, scope.dataset),
                judged(trial.estimate, trial.statement, confidence), trial.estimate,
                trial.point_ids,
                controls([trial.estimate], [dict(trial.under)], trial.statement, confidence),
                scope.objective,
            ),
            trial.estimate,
            dict(trial.under),
        )
        for trial in scope.trials
    ]  # fmt: skip
