"""Claims of the follow-up (arXiv 2504.10766, ACL 2026) about better data, and about thoughts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gradsweep.analysis.bootstrap import question_weights, weighted_mean
from gradsweep.analysis.claims.controls import REDUCTION
from gradsweep.analysis.claims.estimate import Estimate
from gradsweep.analysis.claims.finding import Claim, Expected, Statement
from gradsweep.analysis.claims.runs import RunScope, RunTrial, defined
from gradsweep.analysis.questions import FEWEST_QUESTIONS
from gradsweep.analysis.rated import (
    HIGH,
    LOW,
    Samples,
    is_rated,
    log_ratio,
    log_ratio_at_equal_length,
)
from gradsweep.analysis.rated import THOUGHTS as OF_THOUGHTS
from gradsweep.analysis.reduction import of_mean_loss
from gradsweep.records import OPTIONAL_METRICS, STUDY_OBJECTIVE

NORM, RANK = "nuclear_norm", "effective_rank"
NEXT = "cosine_next_layer"
METRICS = (NORM, RANK, NEXT)

SMALLER = Statement(
    "better data have smaller gradients",
    "mean nuclear norm, low / high quality",
    Expected.ABOVE, 1.0, 1.1, ratio=True, cases="samples",
)  # fmt: skip
RICHER = Statement(
    "better data have gradients of a higher effective rank",
    "mean effective rank, high / low quality",
    Expected.ABOVE, 1.0, 1.1, ratio=True, cases="samples",
)  # fmt: skip
BETTER_DATA = Claim(
    8,
    "Better data give smaller and richer gradients",
    "Of samples that others rate highest, gradients have lower nuclear norms and higher effective "
    "ranks than of those that they rate lowest.",
    "its follow-up, arXiv 2504.10766",
    (SMALLER, RICHER),
)

THOUGHTS = Statement(
    "thoughts have gradients of a higher effective rank than answers to instructions",
    "mean effective rank, thoughts / best of the rated data",
    Expected.ABOVE, 1.0, 1.1, ratio=True, cases="samples",
)  # fmt: skip
REASONING_DATA = Claim(
    9,
    "Reasoning data have the richest gradients",
    "Thoughts of a reasoning model have gradients of a higher effective rank than the best of the "
    "instruction data.",
    "its follow-up, arXiv 2504.10766",
    (THOUGHTS,),
)

UNLIKE = Statement(
    "the gradients of neighbouring layers are nearly at right angles",
    "mean cosine with the next layer's gradient",
    Expected.ALIKE, 0.0, 0.1, cases="samples",
)  # fmt: skip
RIGHT_ANGLES = Claim(
    10,
    "Gradients of neighbouring layers have nothing in common",
    "The cosine of a projection's gradient with that of the next layer is close to zero, whatever "
    "the data.",
    "its follow-up, arXiv 2504.10766",
    (UNLIKE,),
)

EQUAL_LENGTH = "at equal response length"
"""Length taken out by a regression (`log_ratio_at_equal_length`)."""


@dataclass(frozen=True)
class RatedMaterial:
    """What claims about rated data are tested in."""

    samples: Sequence[Samples]
    resamples: int
    seed: int


def _of_ends(material: RatedMaterial) -> Iterator[RunScope]:
    ends = {(s.model, s.series, s.dataset, s.end): s for s in material.samples if s.end}
    for model, series, dataset in dict.fromkeys(key[:3] for key in ends):
        high, low = (ends.get((model, series, dataset, end)) for end in (HIGH, LOW))
        lacking = [f"the same with {end}" for end, s in ((HIGH, high), (LOW, low)) if s is None]
        trials = tuple(
            _ratio(material, statement, metric, first, second, lacking[0] if lacking else "")
            for statement, metric, first, second in (
                (SMALLER, NORM, low, high),
                (RICHER, RANK, high, low),
            )
        )
        yield RunScope(model, series, dataset, trials)


def _of_thoughts(material: RatedMaterial) -> Iterator[RunScope]:
    """Each dataset of thoughts against the best ends of all rated data of the model and series."""
    for thoughts in material.samples:
        if thoughts.dataset not in OF_THOUGHTS:
            continue
        same = (thoughts.model, thoughts.series)
        best = [s for s in material.samples if s.end == HIGH and (s.model, s.series) == same]
        joined = _joined(best) if best else None
        lacking = "" if best else f"a rated dataset with {HIGH}, as dataset=wizardlm_ifd"
        trial = _ratio(material, THOUGHTS, RANK, thoughts, joined, lacking)
        yield RunScope(*same, thoughts.dataset, (trial,))


def _of_layers(material: RatedMaterial) -> Iterator[RunScope]:
    for one in material.samples:
        dataset = f"{one.dataset} {one.end}".strip()
        if not is_rated(dataset):
            continue
        values, _, ids = one.at(NEXT)
        if not len(values):
            problem = f"cosines were not measured: run the same with {OPTIONAL_METRICS[NEXT]}"
            estimate = Estimate(problem=problem)
        else:
            weights = question_weights(ids, material.resamples, material.seed)
            resampled = weighted_mean(weights, values)
            estimate = _enough(resampled, len(values), len(one.question_ids) - len(values))
        yield RunScope(one.model, one.series, dataset, (RunTrial(UNLIKE, estimate, one.point_ids),))


def _ratio(
    material: RatedMaterial,
    statement: Statement,
    metric: str,
    first: Samples | None,
    second: Samples | None,
    lacking: str,
) -> RunTrial:
    if first is None or second is None:
        return RunTrial(statement, Estimate(problem=f"there is one side only: run {lacking}"), ())
    draws = material.resamples, material.seed
    counts = _counts((first, second), metric)
    estimate = _enough(log_ratio(first, second, metric, *draws), *counts)
    under = {}
    if metric == NORM and of_mean_loss(STUDY_OBJECTIVE, first.series):
        summed = log_ratio(first, second, metric, *draws, power=1.0)
        under[REDUCTION["mean"]] = _enough(summed, *counts)
    at_length = log_ratio_at_equal_length(first, second, metric, *draws)
    under[EQUAL_LENGTH] = _enough(at_length, *counts)
    points = tuple(dict.fromkeys((*first.point_ids, *second.point_ids)))
    return RunTrial(statement, estimate, points, {} if estimate.problem else under)


def _counts(sides: Sequence[Samples], metric: str) -> tuple[int, int]:
    """Samples of the smaller side, and those of both that are left out."""
    used = [len(side.at(metric)[0]) for side in sides]
    return min(used), sum(len(side.question_ids) for side in sides) - sum(used)


def _enough(resampled: np.ndarray, n_samples: int, n_left_out: int) -> Estimate:
    few = (
        f"{n_samples} samples, {FEWEST_QUESTIONS} are needed for a verdict: run the same points "
        "with a larger n_samples"
    )
    withheld = few if n_samples < FEWEST_QUESTIONS else ""
    estimate = Estimate(resampled, n_samples, n_left_out, withheld=withheld)
    return defined(estimate, "the statistic is undefined: values that are not positive, or lengths "
                             "that are not known or all the same")  # fmt: skip


def _joined(several: Sequence[Samples]) -> Samples:
    """Several datasets as one; a sample that two ratings chose counts twice."""
    first = several[0]
    return Samples(
        first.model,
        first.series,
        "rated",
        HIGH,
        tuple(dict.fromkeys(p for one in several for p in one.point_ids)),
        tuple(name for one in several for name in one.question_ids),
        {m: np.concatenate([one.values[m] for one in several]) for m in first.values},
        np.concatenate([one.tokens for one in several]),
    )


SCOPES: Mapping[Claim, Callable[[RatedMaterial], Iterator[RunScope]]] = {
    BETTER_DATA: _of_ends,
    REASONING_DATA: _of_thoughts,
    RIGHT_ANGLES: _of_layers,
}
"""Claim -> where it is tested: a rated dataset, a dataset of thoughts, or any of both."""
