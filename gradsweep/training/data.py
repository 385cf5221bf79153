"""What a training point trains on, what it holds out, and what it probes: no question is in two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from gradsweep.config import Config
from gradsweep.data import load_samples
from gradsweep.engine.objectives import Objective, Sft, make_objective
from gradsweep.engine.other_models import OtherModels, OthersOf, reference_log_probs
from gradsweep.engine.run import Run
from gradsweep.errors import DataError
from gradsweep.models.load import LoadedModel
from gradsweep.records import EncodedUnit, Sample, SampleResult


@dataclass(frozen=True)
class Probe:
    """Fixed questions under one condition, ready to be measured again and again."""

    cot: str
    correctness: str
    run: Run
    is_own: bool
    """Whether the units are those of the point's own condition, with its own loss."""

    def results(self) -> list[SampleResult]:
        """Measure them with the weights of the moment, in the order of the data."""
        outcomes = [result for results in self.run.outcomes() for result in results]
        return sorted(outcomes, key=lambda result: result.index)


@dataclass(frozen=True)
class TrainingData:
    """The point's questions, split."""

    train: Sequence[EncodedUnit]
    held_out: Sequence[EncodedUnit]
    probes: Sequence[Probe]
    rejected: Sequence[SampleResult]
    """Outcomes of units that cannot run, trained on or held out."""
    teacher: nn.Module | None
    """The objective's second model that runs beside the first."""


def training_data(
    config: Config, loaded: LoadedModel, samples: Sequence[Sample], others: OthersOf | None = None
) -> TrainingData:
    """Split and encode the point's samples, and load the probe's conditions.

    The last questions of the point's order are held out, and the first of these are probed.

    Args:
        config: of a training point.
        loaded: its model, with the weights before the first step.
        samples: all of the point's own condition.
        others: gives what the objective takes from a second model that is named.

    Raises:
        DataError: too few questions for a step, or for the probe; or a prompt that is probed is
            trained on under another question.
    """
    objective = trained_objective(config)
    start = start_as_reference(config, loaded, objective) or others
    run = Run(loaded, config.model, config.gradients, objective, samples, others=start)
    held_out = _held_out(config, samples)
    probed = held_out[: config.training.probe_questions]
    train = [unit for unit in run.units if unit.unit.question_id not in set(held_out)]
    _require_enough(config, len(train), len(held_out))
    conditions = config.probe_conditions() if config.training.probe_every else []
    probes = [_probe(at, config, loaded, probed, others) for at in conditions]
    _require_apart(train, probes)
    return TrainingData(
        train,
        [unit for unit in run.units if unit.unit.question_id in set(held_out)],
        probes,
        run.rejected,
        run.teacher,
    )


def trained_objective(config: Config) -> Objective:
    """Make the objective whose units are drawn into steps.

    With sft's reduction=step these are samples, and the trainer weighs them (`weighs_by_tokens`).
    """
    objective = make_objective(config.objective)
    if isinstance(objective, Sft) and objective.reduction == "step":
        return replace(objective, reduction="mean")
    return objective


def weighs_by_tokens(config: Config) -> bool:
    """Whether a step's loss is the mean over its response tokens, not over its units."""
    objective = make_objective(config.objective)
    return isinstance(objective, Sft) and objective.reduction == "step"


def series_probes(config: Config, loaded: LoadedModel, samples: Sequence[Sample]) -> list[Probe]:
    """Return the probes of a checkpoint: nothing is trained on, so the first questions serve.

    Args:
        config: of a training point, with the checkpoint for a model.
        loaded: the checkpoint.
        samples: all of the point's own condition.
    """
    questions = list(dict.fromkeys(sample.question_id for sample in samples))
    probed = questions[: config.training.probe_questions]
    return [_probe(at, config, loaded, probed, None) for at in config.probe_conditions()]


def start_as_reference(
    config: Config, loaded: LoadedModel, objective: Objective
) -> OthersOf | None:
    """Return what gives units the model's own log-probabilities before the first step.

    An objective that compares with a reference would else compare the model of a step with itself.
    """
    if "reference" not in objective.other_models or config.objective.get("reference"):
        return None

    def others(units: Sequence[EncodedUnit]) -> OtherModels:
        return OtherModels(references=reference_log_probs(config, loaded, units, loaded))

    return others


def _held_out(config: Config, samples: Sequence[Sample]) -> list[str]:
    questions = list(dict.fromkeys(sample.question_id for sample in samples))
    count = math.ceil(config.training.held_out * len(questions))
    return questions[len(questions) - count :]


def _require_enough(config: Config, n_train: int, n_held_out: int) -> None:
    training = config.training
    if n_train < training.samples_per_step:
        raise DataError(
            f"training.batch_size={training.batch_size} × training.accumulation="
            f"{training.accumulation} needs {training.samples_per_step} samples for one step, and "
            f"{n_train} of dataset={config.dataset.name} are left beside training.held_out="
            f"{training.held_out}: a larger n_samples, or a smaller step"
        )
    if training.probe_every and n_held_out < training.probe_questions:
        raise DataError(
            f"training.probe_questions={training.probe_questions} are of the {n_held_out} held-out "
            f"questions of dataset={config.dataset.name}: a larger n_samples or training.held_out, "
            f"or training.probe_questions={n_held_out}"
        )


def _probe(
    at: Config,
    config: Config,
    loaded: LoadedModel,
    questions: Sequence[str],
    others: OthersOf | None,
) -> Probe:
    """The probe of `config` under the condition `at`."""
    run = _probe_run(at, loaded, questions, others)
    conditions = [(c.cot, c.correctness, c.objective) for c in (at, config)]
    return Probe(at.cot.label, at.correctness.kind.name, run, conditions[0] == conditions[1])


def _probe_run(
    at: Config, loaded: LoadedModel, questions: Sequence[str], others: OthersOf | None
) -> Run:
    samples = [s for s in load_samples(at).samples if s.question_id in questions]
    there = {sample.question_id for sample in samples}
    if missing := [question for question in questions if question not in there]:
        raise DataError(
            f"training.probe_cot: {len(missing)} of {len(questions)} questions that are probed "
            f"have no response at cot={at.cot.label} correctness={at.correctness.kind.name}"
        )
    objective = trained_objective(at)
    second = others if objective.other_models else None
    start = start_as_reference(at, loaded, objective) or second
    return Run(loaded, at.model, at.gradients, objective, samples, others=start)


def _require_apart(train: Sequence[EncodedUnit], probes: Sequence[Probe]) -> None:
    """Two questions of a user's file may have one prompt."""
    prompts = {row.sample.prompt for unit in train for row in unit.rows}
    for probe in probes:
        for unit in probe.run.units:
            for row in unit.rows:
                if row.sample.prompt in prompts:
                    raise DataError(
                        f"the prompt of question {row.sample.question_id} is probed and, under "
                        "another question, trained on: a probe shows what training does to other "
                        "questions; leave one of the two out of the data"
                    )
