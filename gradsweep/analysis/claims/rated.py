"""Runs the follow-up's claims over every rated dataset, then over all of them together."""

from __future__ import annotations

import polars as pl

from gradsweep.analysis.claims import data_quality
from gradsweep.analysis.claims.estimate import require_draws
from gradsweep.analysis.claims.finding import Claim, Finding
from gradsweep.analysis.claims.overall import Result, overall
from gradsweep.analysis.claims.training import scope_results
from gradsweep.analysis.rated import is_rated, rated_samples

RATED_CLAIMS: tuple[Claim, ...] = tuple(data_quality.SCOPES)

_NO_DATA = "no rated data in these points; run `python -m gradsweep -m +experiment=data_quality`"


def evaluate_rated_claims(
    rows: pl.DataFrame,
    samples: pl.DataFrame | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Finding]:
    """Test every statistic of the follow-up's claims (`RATED_CLAIMS`).

    Of correct responses under the study's objective. The ends of a rating are other samples, so
    intervals are bootstraps over the samples of either side, unpaired; controls are the loss summed
    over tokens, and length taken out. Findings, verdicts and controls are those of
    `evaluate_claims`. There are none where the points have no rated data.

    Args:
        rows: as `load_rows` gives them.
        samples: of the same points, for the number of response tokens.
        confidence: of the intervals.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ConfigError: a confidence outside (0, 1), or fewer than 100 resamples.
        DataError: a projection with rows of single heads only.
    """
    require_draws(confidence, resamples)
    if not any(map(is_rated, rows["dataset"].unique())):
        return []
    arranged = rated_samples(rows, samples, data_quality.METRICS)
    material = data_quality.RatedMaterial(arranged, resamples, seed)
    findings: list[Finding] = []
    for claim, scopes in data_quality.SCOPES.items():
        results: list[Result] = [
            result
            for scope in scopes(material)
            for result in scope_results(claim, scope, confidence)
        ]
        findings += [
            overall(claim, statement, results, confidence, _NO_DATA)
            for statement in claim.statements
        ]
        findings += [result.finding for result in results]
    return findings
