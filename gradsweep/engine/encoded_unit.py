"""A unit as the model reads it, or why it cannot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gradsweep.config import ModelConfig
from gradsweep.models.encode import encode, rejected
from gradsweep.models.load import LoadedModel
from gradsweep.records import (
    EncodedSample,
    EncodedUnit,
    Sample,
    SampleResult,
    SampleStatus,
    Unit,
)


def encoded_unit(
    unit: Unit, loaded: LoadedModel, model: ModelConfig, refers: bool
) -> EncodedUnit | SampleResult:
    """The unit as the model reads it, or the outcome of the first member that it cannot read.

    `refers`: the objective compares with a reference, which the data may have recorded.
    """
    rows: list[EncodedSample] = []
    for sample in unit.samples:
        outcome = _with_embeddings(
            encode(sample, loaded.tokenizer, model.prompt, model.max_length, model.template_date),
            loaded,
        )
        if refers:
            outcome = _with_whole_reference(outcome)
        if isinstance(outcome, SampleResult):
            return replace(
                outcome,
                sample_id=unit.unit_id,
                question_id=unit.question_id,
                index=unit.index,
                reason=_of_member(outcome.reason, sample, unit),
            )
        rows.append(outcome)
    return EncodedUnit(unit, tuple(rows))


def _with_embeddings(
    outcome: EncodedSample | SampleResult, loaded: LoadedModel
) -> EncodedSample | SampleResult:
    """The outcome, unless a token of it lies beyond the rows of the model's embedding."""
    if isinstance(outcome, SampleResult):
        return outcome
    embedding: Any = loaded.model.get_input_embeddings()
    n_rows = len(embedding.weight)
    largest = max(outcome.input_ids)
    if largest < n_rows:
        return outcome
    reason = (
        f"the tokenizer gives token {largest} ({loaded.tokenizer.decode([largest])!r}) and the "
        f"model's embedding has {n_rows} rows: the tokenizer is another model's, or tokens "
        "were added to it alone"
    )
    status, start = SampleStatus.TOKEN_WITHOUT_EMBEDDING, outcome.response_start
    return rejected(outcome.sample, status, reason, start, outcome.truncated)


def _with_whole_reference(outcome: EncodedSample | SampleResult) -> EncodedSample | SampleResult:
    """The outcome, unless the data record the log-probability of more than is measured."""
    if isinstance(outcome, SampleResult) or not outcome.truncated:
        return outcome
    if outcome.sample.reference_log_prob is None:
        return outcome
    reason = (
        "the data record the reference's log-probability of the whole response, which is cut at "
        f"model.max_length: {outcome.n_tokens_uncut} would hold it"
    )
    status = SampleStatus.REFERENCE_OF_WHOLE_RESPONSE
    return rejected(outcome.sample, status, reason, outcome.response_start, outcome.truncated)


def _of_member(reason: str, sample: Sample, unit: Unit) -> str:
    if len(unit.samples) == 1:
        return reason
    place = unit.samples.index(sample) + 1
    return f"{place} of {len(unit.samples)} responses of the unit: {reason}"
