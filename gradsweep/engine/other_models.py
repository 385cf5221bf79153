"""The second model of an objective: a teacher beside the model, or a reference run before it.

It reads the model's own tokens, so both must have the same vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from gradsweep.config import Config, ModelConfig, Prompt
from gradsweep.config.objective import OTHER_MODELS, other_model
from gradsweep.engine.batch import Batch, collate, smallest_unit, token_batches
from gradsweep.engine.frozen import frozen
from gradsweep.engine.lockstep import Lockstep, LockstepSchedule
from gradsweep.engine.response import install_response_head
from gradsweep.engine.schedule import Schedule
from gradsweep.errors import ModelError
from gradsweep.models.load import LoadedModel, load_model
from gradsweep.records import EncodedUnit

Load = Callable[[ModelConfig], LoadedModel]
"""Loads a model; what it returns may be dropped when the pass is over."""

LogProbs = Mapping[str, tuple[float, ...]]
"""`Sample.sample_id` -> log p of each of its response tokens, in nats."""


@dataclass(frozen=True)
class OtherModels:
    """What an objective takes from a second model."""

    teacher: nn.Module | None = None
    references: LogProbs = field(default_factory=dict)
    """Empty where the model is its own reference."""


OthersOf = Callable[[Sequence[EncodedUnit]], OtherModels]
"""Units as the first model reads them -> what the objective takes from the second."""


def others_of(
    config: Config, loaded: LoadedModel, load: Load | None = None, known: LogProbs | None = None
) -> OthersOf | None:
    """Return what gives a run the second model of `objective.teacher` or `objective.reference`.

    Args:
        config: the point.
        loaded: its model.
        load: loads a second model; None loads it where the first one lies.
        known: the reference's log-probabilities of an earlier run, which is not repeated.

    Returns:
        None where the objective names none; else a function that raises ModelError where the
        vocabularies differ, a sample does not fit in memory alone, or a model cannot be loaded.
    """
    wanted = {name: other_model(config.objective, name) for name in OTHER_MODELS}
    second = {name: _alike(m, config.model) for name, m in wanted.items() if m is not None}
    if not second:
        return None

    def others(units: Sequence[EncodedUnit]) -> OtherModels:
        get = load or (lambda model: load_model(model, config.gradients.device))
        teacher, references = None, known or {}
        if "reference" in second and not _all_known(units, references):
            references = reference_log_probs(config, loaded, units, get(second["reference"]))
        if "teacher" in second:
            of_teacher = get(second["teacher"])
            _require_same_tokens("teacher", loaded, of_teacher)
            check_teacher(loaded.model, of_teacher.model)
            teacher = of_teacher.model
        return OtherModels(teacher, references)

    return others


def check_teacher(model: nn.Module, teacher: nn.Module) -> None:
    """Refuse a teacher whose logits are of other tokens.

    Raises:
        ModelError: the two have output vocabularies of different sizes.
    """
    sizes = [_vocabulary(each) for each in (model, teacher)]
    if sizes[0] != sizes[1]:
        raise ModelError(
            f"objective.teacher: the teacher has {sizes[1]} tokens in its vocabulary and the model "
            f"{sizes[0]}; a divergence between the two needs models with the same vocabulary"
        )


def with_references(unit: EncodedUnit, references: LogProbs) -> EncodedUnit:
    """Return the unit with what the reference says of its members, where it is known."""
    rows = tuple(
        replace(row, reference_log_probs=references.get(row.sample.sample_id)) for row in unit.rows
    )
    return replace(unit, rows=rows)


def _alike(other: ModelConfig, model: ModelConfig) -> ModelConfig:
    """It gets token ids, and never renders a prompt; it is shared out as the first model is."""
    spread = None if model.placement else other.device_map
    return replace(
        other,
        prompt=Prompt.plain,
        max_length=model.max_length,
        device_map=spread,
        placement=model.placement,
    )


def _all_known(units: Sequence[EncodedUnit], known: LogProbs) -> bool:
    rows = [row for unit in units for row in unit.rows]
    return all(len(known.get(r.sample.sample_id, ())) == r.n_response_tokens for r in rows)


def reference_log_probs(
    config: Config, loaded: LoadedModel, units: Sequence[EncodedUnit], reference: LoadedModel
) -> LogProbs:
    """Run a reference over the units' responses.

    Args:
        config: the point, for its batches and messages.
        loaded: the model whose tokens the units have.
        units: as that model reads them.
        reference: the model to run; it may be the same.

    Raises:
        ModelError: the vocabularies differ, or a unit does not fit in memory alone.
    """
    _require_same_tokens("reference", loaded, reference)
    batches = list(token_batches(units, config.gradients.batch_tokens))
    group, device = reference.group, reference.model.device
    if group:
        batches = batches[group.rank.index :: group.rank.count]
    found: dict[str, tuple[float, ...]] = {}
    with frozen(reference.model), install_response_head(reference.model) as head:

        def forward(batch: Batch) -> list[list[tuple[float, ...]]]:
            with torch.no_grad():
                tokens = head.tokens(reference.model, batch)
            of_rows = tokens.log_probs.split(tokens.counts.tolist())
            return [
                [tuple(of_rows[row].tolist()) for row in rows] for rows in batch.layout.unit_rows
            ]

        schedule = Schedule(forward, _does_not_fit, 1)
        if group:
            in_step = Lockstep(group, collate([smallest_unit(units)], device))
            schedule = LockstepSchedule(forward, _does_not_fit, in_step)
        for place, results in schedule.run(collate(batch, device) for batch in batches):
            for unit, of_unit in zip(batches[place], results, strict=True):
                for row, values in zip(unit.rows, of_unit, strict=True):
                    found[row.sample.sample_id] = values
    return dict(group.gathered(found.items())) if group else found


def _does_not_fit(unit: Batch) -> list[tuple[float, ...]]:
    raise ModelError(
        f"objective.reference: a unit of {len(unit.input_ids)} responses does not fit in memory, "
        "even alone; a smaller model.max_length needs less"
    )


def _require_same_tokens(option: str, loaded: LoadedModel, other: LoadedModel) -> None:
    if loaded.tokenizer.get_vocab() != other.tokenizer.get_vocab():
        raise ModelError(
            f"objective.{option}: its tokenizer has another vocabulary than the model's, so it "
            "would read other text; allowed are models that share one"
        )


def _vocabulary(model: Any) -> int:
    return len(model.get_output_embeddings().weight)
