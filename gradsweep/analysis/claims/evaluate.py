"""Runs every claim over every model and dataset, then over all of them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from gradsweep.analysis.claims import (
    early_layers,
    fast_thinking,
    instruct_models,
    knowledge,
    slow_thinking,
)
from gradsweep.analysis.claims.controls import Material, control_estimates, controls
from gradsweep.analysis.claims.estimate import Estimator, judged, points, require_draws
from gradsweep.analysis.claims.finding import Claim, Finding
from gradsweep.analysis.claims.matched import Study, studies_in
from gradsweep.analysis.claims.overall import Result, make_finding, overall
from gradsweep.analysis.claims.trials import Scope
from gradsweep.analysis.point_rows import FrameRows
from gradsweep.analysis.rows import require_metric
from gradsweep.records import SAMPLE_METRICS, STUDY_OBJECTIVE

Place = tuple[str, str, str, str]
"""Objective, series, dataset and model."""

_CLAIM_FILES = (fast_thinking, slow_thinking, instruct_models, knowledge, early_layers)
_OF_EVERY_OBJECTIVE = (fast_thinking,)
"""Claims whose question other objectives have too: it needs no irrelevant responses."""

RESAMPLES = 1000
"""Of a report's claims."""

CLAIMS: tuple[Claim, ...] = tuple(file.CLAIM for file in _CLAIM_FILES)


def evaluate_claims(
    rows: pl.DataFrame,
    metric: str = "nuclear_norm",
    *,
    samples: pl.DataFrame | None = None,
    loss: str = "mean",
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Finding]:
    """Test every statistic of every claim (`CLAIMS`), by scope and over all of them.

    `rows` is the frame of the store's reader; results depend on neither its order nor on what
    other models and datasets are in it (but for the findings over all). Statistics are means
    over the projections in `rows`: filter them to look at one. Intervals are percentile
    bootstraps over questions, conditions drawn together (`Study`); `decide` makes verdicts of
    them. A finding over all averages the scopes that are testable, ratios on the log scale, and
    speaks of these models and datasets only.

    A scope that lacks points is not testable, and its reason says what to run; one with fewer
    than `FEWEST_QUESTIONS` common questions has an interval and no verdict. A statistic that
    decides has controls: the same one with another explanation taken out (`Finding.controls`).
    Findings of a claim stand together, the overall ones first. A scope is a model and dataset in
    one series. Claims are about the study's objective; claim 1 is asked of every other one, too,
    in scopes of its own that no finding over all averages.

    Args:
        rows: as `load_rows` gives them.
        metric: one that they have.
        samples: of the same points (`load_samples_table`), for the control of the loss's
            reduction; it is "not controlled for" without them.
        loss: what `rows` are of: the mean over response tokens, or the sum (`sum_reduced`).
        confidence: of the intervals.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ConfigError: an unknown metric, a confidence outside (0, 1), or fewer than 100 resamples.
        DataError: `samples` lacks some of `rows`.
    """
    require_draws(confidence, resamples)
    require_metric(rows, metric)
    source = FrameRows(rows, samples)
    return point_claims(Material(source, metric, loss, resamples, seed), confidence)


def point_claims(material: Material, confidence: float = 0.95) -> list[Finding]:
    """Do what `evaluate_claims` does, of points whose rows are read when they are needed.

    Raises:
        DataError: a damaged file; a projection with rows of single heads only.
    """
    (findings,) = claims_of_each([material], confidence)
    return findings


def claims_of_each(
    materials: Sequence[Material], confidence: float = 0.95
) -> Iterator[list[Finding]]:
    """Do what `point_claims` does of each material, the same points under several metrics say.

    Dataset by dataset and model by model, whatever the claim and the material: points are read
    while they are at hand.
    """
    runs = [_Run(material, confidence) for material in materials]
    for place in sorted({place for run in runs for place in run.places}):
        for run in runs:
            run.test(place)
    for run in runs:
        yield run.findings()


class _Run:
    """Every claim of one material, scope by scope."""

    def __init__(self, material: Material, confidence: float) -> None:
        self._material, self._confidence = material, confidence
        found = studies_in(material.conditions, material.metric, material.resamples, material.seed)
        estimators = [Estimator(study, material.kept) for study in found]
        self._tried = [
            _ScopeOfClaim(file.CLAIM, estimator, scope)
            for file in _CLAIM_FILES
            for estimator in estimators
            if _is_about(file, estimator.study, material.metric)
            for scope in file.scopes(estimator.study)
        ]
        self.places: dict[Place, list[int]] = {}
        for number, tried in enumerate(self._tried):
            self.places.setdefault(tried.place, []).append(number)
        self._results: dict[int, list[Result]] = {}

    def test(self, place: Place) -> None:
        """Test what there is at a place."""
        for number in self.places.get(place, ()):
            tried = self._tried[number]
            self._results[number] = _scope_results(self._material, tried, self._confidence)

    def findings(self) -> list[Finding]:
        """Put what was tested together, claim by claim, each over all scopes first."""
        findings: list[Finding] = []
        for file in _CLAIM_FILES:
            results = [
                result
                for number, tried in enumerate(self._tried)
                if tried.claim is file.CLAIM
                for result in self._results[number]
            ]
            of_study = [r for r in results if r.finding.objective == STUDY_OBJECTIVE]
            findings += [
                overall(file.CLAIM, s, of_study, self._confidence) for s in file.CLAIM.statements
            ]
            findings += [result.finding for result in results]
        return findings


def _is_about(file: object, study: Study, metric: str) -> bool:
    """Whether the claim is about this objective; another one's loss is no cross-entropy."""
    if study.objective == STUDY_OBJECTIVE:
        return True
    return file in _OF_EVERY_OBJECTIVE and metric not in SAMPLE_METRICS


@dataclass(frozen=True)
class _ScopeOfClaim:
    """A claim in a model and dataset of one study."""

    claim: Claim
    estimator: Estimator
    scope: Scope

    @property
    def place(self) -> Place:
        """Scopes that look at the same points are next to each other in this order."""
        study = self.estimator.study
        return study.objective, study.series, self.scope.dataset, self.scope.model


def _scope_results(material: Material, tried: _ScopeOfClaim, confidence: float) -> list[Result]:
    results = []
    claim, estimator, scope = tried.claim, tried.estimator, tried.scope
    for trial in scope.trials:
        estimate = estimator.estimate(trial)
        under = {} if estimate.problem else control_estimates(material, estimator, trial)
        finding = make_finding(
            claim, trial.statement, (scope.model, estimator.study.series, scope.dataset),
            judged(estimate, trial.statement, confidence), estimate,
            points(estimator.study, trial),
            controls([estimate], [under], trial.statement, confidence),
            estimator.study.objective,
        )  # fmt: skip
        results.append(Result(finding, estimate, under))
    return results
