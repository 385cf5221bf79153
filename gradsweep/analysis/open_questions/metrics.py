"""Do other metrics of the same gradients tell the same story? The claims, metric by metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from gradsweep.analysis.claims import (
    CLAIMS,
    Claim,
    Expected,
    Finding,
    Statement,
    Verdict,
    claim_verdicts,
)
from gradsweep.analysis.claims.controls import Material
from gradsweep.analysis.claims.evaluate import claims_of_each
from gradsweep.analysis.held_conditions import held
from gradsweep.analysis.open_questions.material import (
    OTHERS,
    SIGNALS,
    QuestionMaterial,
    metric_words,
)
from gradsweep.analysis.open_questions.question import (
    Answer,
    Answered,
    Numbers,
    OpenQuestion,
    Scope,
)
from gradsweep.analysis.reduction import SCALED

QUESTION = OpenQuestion(
    "metrics",
    "Do other metrics tell the same story?",
    "Every claim is evaluated over all models and datasets with each metric in the place of the "
    "nuclear norm. A claim stands whatever the metric where it has the same verdict under each. "
    "Norms (nuclear, σ₁, Frobenius) measure size; ranks and σ₁/Σσ measure shape, know no scale, "
    "and need not go the same way: where a claim says larger, a larger rank is a flatter spectrum.",
    "Controls that stand beside the claims themselves are not repeated here.",
)

RESAMPLES = 200
"""Enough to tell verdicts; claims themselves have more."""
RUN = "run points of two CoT levels: `python -m gradsweep -m cot=none,detailed`"
_DECIDED = (Verdict.SUPPORTED, Verdict.NOT_SUPPORTED)

Verdicts = Mapping[str, Verdict]
"""Metric -> the verdict on a claim under it."""


def statement_of(claim: Claim, kind: str) -> Statement:
    """Say that the verdict on a claim is the same under every metric of a kind."""
    return Statement(
        f"claim {claim.number} has one verdict under every measure of {kind}",
        f"share of metrics of {kind} with the commonest verdict, claim {claim.number}",
        Expected.ABOVE,
        1.0,
        1.0,
        decides=kind == "size",
        cases="metrics",
    )


def answered(material: QuestionMaterial) -> Answered:
    """Evaluate every claim under every metric."""
    measured = [n for n in (material.metric, *SIGNALS, *OTHERS) if n in material.summary.valued]
    under = _verdicts(material, tuple(dict.fromkeys(measured)))
    claims = [
        claim
        for claim in CLAIMS
        if any(of[claim.number] is not Verdict.NOT_TESTABLE for of in under.values())
    ]
    if not claims:
        return Answered(QUESTION, run=RUN)
    of_claim = {claim.number: {name: of[claim.number] for name, of in under.items()}
                for claim in claims}  # fmt: skip
    return Answered(
        QUESTION,
        tuple(answer for claim in claims for answer in _answers(claim, of_claim[claim.number])),
        tuple(_sentences(of_claim)),
        (_table(claims, of_claim),),
    )


def _verdicts(material: QuestionMaterial, metrics: Sequence[str]) -> dict[str, dict[int, Verdict]]:
    """Metric -> claim -> its verdict over all models and datasets."""
    source = material.source
    conditions = held(source, metrics)
    resamples = min(RESAMPLES, material.resamples)
    materials = [
        Material(
            source, metric, "mean", resamples, material.seed,
            own_conditions=conditions, controlled=False,
        )
        for metric in metrics
    ]  # fmt: skip
    found = claims_of_each(materials, material.confidence)
    return {metric: _overall(of_one) for metric, of_one in zip(metrics, found, strict=True)}


def _overall(found: Sequence[Finding]) -> dict[int, Verdict]:
    verdicts = claim_verdicts([finding for finding in found if finding.overall])
    return {one.claim: one.verdict for one in verdicts}


def _answers(claim: Claim, under: Verdicts) -> Iterator[Answer]:
    """One for measures of size, one for those of shape."""
    for kind in ("size", "shape"):
        of_kind = {name: v for name, v in under.items() if (name in SCALED) == (kind == "size")}
        if not of_kind:
            continue
        verdicts = list(of_kind.values())
        most = max(verdicts, key=verdicts.count)
        told = ", ".join(f"{metric_words(name)} {v.value}" for name, v in of_kind.items())
        alike = verdicts.count(most) / len(verdicts)
        yield Answer(
            statement_of(claim, kind), _ALL, alike, np.nan, np.nan, _alike(set(verdicts)), told, 0
        )


_ALL = Scope("all", "", "all")


def _alike(verdicts: set[Verdict]) -> Verdict:
    """Whether verdicts say one thing, or contradict each other."""
    if verdicts <= {Verdict.TOO_FEW, Verdict.NOT_TESTABLE}:
        return max(verdicts, key=lambda one: one is Verdict.TOO_FEW)
    if set(_DECIDED) <= verdicts:
        return Verdict.NOT_SUPPORTED
    return Verdict.SUPPORTED if len(verdicts) == 1 and verdicts <= set(_DECIDED) else (
        Verdict.UNDECIDED
    )  # fmt: skip


def _table(claims: list[Claim], of_claim: Mapping[int, Verdicts]) -> Numbers:
    names = list(next(iter(of_claim.values())))
    words = {name: metric_words(name) for name in names}
    lines = [
        {
            "claim": f"{claim.number}. {claim.title}",
            **{name: of_claim[claim.number][name].value for name in names},
        }
        for claim in claims
    ]
    return Numbers(
        name="verdicts",
        title="claims by metric",
        caption="Verdict on each claim over all models and datasets, by the metric it is asked of",
        keys=("claim",),
        columns=words,
        frame=pl.DataFrame(lines),
    )


def _sentences(of_claim: Mapping[int, Verdicts]) -> Iterator[str]:
    """Which claims stand whatever the metric, and which do not."""
    stand = [n for n, of in of_claim.items() if set(of.values()) == {Verdict.SUPPORTED}]
    fall = [n for n, of in of_claim.items() if set(of.values()) == {Verdict.NOT_SUPPORTED}]
    mixed = [n for n, of in of_claim.items() if set(_DECIDED) <= set(of.values())]
    for numbers, words in (
        (stand, "supported whatever the metric"),
        (fall, "not supported whatever the metric"),
        (mixed, "supported or not by the choice of the metric"),
    ):
        if numbers:
            plural = "claims" if len(numbers) > 1 else "claim"
            yield f"{words}: {plural} {', '.join(map(str, numbers))}"
