"""Samples of single steps (`gradients.by=step`): one for each step of each response."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from gradsweep.data.questions import BETWEEN_STEPS, LabelledStep, Response, digest
from gradsweep.data.sentences import TextRules
from gradsweep.data.steps import step_ends
from gradsweep.records import Sample, Step, StepLabel


def step_samples(
    samples: Sequence[Sample],
    responses: Sequence[Response],
    rules: TextRules,
    *,
    corrupted: bool = False,
) -> list[Sample]:
    """Make of each sample one for each step of its response, in order.

    All have the sample's question, prompt and whole response; `index` counts them over the point.
    A sample that cannot be measured stays one.

    Args:
        samples: of whole responses.
        responses: of each sample, as the data have it; its own steps count where the sample has
            that text.
        rules: of the texts whose steps the data do not tell.
        corrupted: whether the samples are right responses with one digit changed
            (`cot.ablate=corrupt`): the step with it is the first wrong one.
    """
    made = [
        of_step
        for sample, response in zip(samples, responses, strict=True)
        for of_step in _steps_of(sample, response, rules, corrupted)
    ]
    return [replace(sample, index=index) for index, sample in enumerate(made)]


def _steps_of(
    sample: Sample, response: Response, rules: TextRules, corrupted: bool
) -> Iterator[Sample]:
    if sample.unusable:
        yield sample
        return
    own = response.steps if sample.response == response.text else ()
    ends = _ends_of(own) if own else step_ends(sample.response, rules)
    labels = [step.label for step in own] or [None] * len(ends)
    if corrupted and not response.steps:
        labels = [*_labels_of(sample.response, response.text, ends)]
    for index, (start, end) in enumerate(pairwise([0, *ends])):
        step = Step(index, start, end, labels[index])
        yield replace(
            sample,
            sample_id=digest(sample.sample_id, f"step {index} {start} {end}"),
            step=step,
        )


def _labels_of(text: str, whole: str, ends: Sequence[int]) -> Iterator[StepLabel]:
    """Labels by the first character in which a text differs from the right one."""
    pairs = zip(text, whole, strict=True)
    wrong = next(place for place, (one, other) in enumerate(pairs) if one != other)
    for start, end in pairwise([0, *ends]):
        if end <= wrong:
            yield StepLabel.RIGHT
        else:
            yield StepLabel.WRONG if start <= wrong else StepLabel.AFTER_WRONG


def _ends_of(steps: Sequence[LabelledStep]) -> list[int]:
    """What joins two steps belongs to the second, as white space between any steps does."""
    lengths = (
        len(step.text) + bool(place) * len(BETWEEN_STEPS) for place, step in enumerate(steps)
    )
    return list(accumulate(lengths))
