"""Fixed questions that are measured again and again while a model trains on others."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from torch import nn

from gradsweep.config import (
    Config,
    GradientsConfig,
    ModelConfig,
    ModelSource,
    Prompt,
    SourceKind,
    SpectraOptions,
)
from gradsweep.data import load_samples
from gradsweep.data.questions import digest
from gradsweep.engine.objectives import Objective, objective_named
from gradsweep.engine.probe import check_can_be_watched
from gradsweep.engine.run import Run
from gradsweep.errors import ConfigError, DataError
from gradsweep.models.load import LoadedModel
from gradsweep.models.unwrapped import unwrapped
from gradsweep.records import PROJECTIONS, Moment, Sample, SampleResult, Source
from gradsweep.training.random_state import random_state_kept
from gradsweep.training.ranks import is_sharded


@dataclass(frozen=True)
class ProbeSample:
    """One question with one response to it, under one condition."""

    prompt: str
    """As a user would type it; no template applied."""
    response: str
    """Its tokens carry the loss."""
    cot: str = "none"
    """A word for the length of thought: the rows' `probe_cot`."""
    correctness: str = "correct"
    """correct, irrelevant or a word of one's own: the rows' `probe_correctness`."""
    question_id: str = ""
    """The same for one question in every condition; empty takes the prompt's hash."""


class ProbeSet:
    """Fixed samples, each measured by itself without dropout, as points of the grid are.

    Choose questions that are not trained on. Measuring leaves the training as it is, to the last
    bit: weights, `.grad`, modes, `requires_grad` and random states are what they were.
    """

    def __init__(
        self,
        samples: Sequence[ProbeSample],
        prompt: str = "plain",
        max_length: int = 1024,
        objective: Objective | str = "sft",
        batch_tokens: int = 512,
    ) -> None:
        """Group samples by condition; nothing is encoded yet.

        Args:
            samples: any number of questions and conditions.
            prompt: `plain`, or `chat` for the tokenizer's chat template.
            max_length: tokens of prompt and response together.
            objective: gives each sample its loss; those of pairs and groups need points.
            batch_tokens: padded tokens that are measured together.

        Raises:
            ConfigError: `prompt` is neither, or there is no such objective.
            DataError: no sample, or one that is there twice.
        """
        if prompt not in Prompt.__members__:
            raise ConfigError(f"prompt={prompt!r}: allowed are {', '.join(Prompt.__members__)}")
        if not samples:
            raise DataError("ProbeSet got no samples: give at least one ProbeSample")
        self._prompt = Prompt[prompt]
        self._max_length = max_length
        self._batch_tokens = batch_tokens
        self._objective = objective_named(objective) if isinstance(objective, str) else objective
        self._by_condition: dict[tuple[str, str], list[Sample]] = {}
        for sample in samples:
            own = self._by_condition.setdefault((sample.cot, sample.correctness), [])
            own.append(_sample(sample, len(own)))
        for condition, own in self._by_condition.items():
            _check_distinct(condition, own)
        self._runs: dict[tuple[str, str], Run] = {}
        self._made_for: tuple[Any, ...] = ()

    @classmethod
    def of(cls, *configs: Config, **options: Any) -> ProbeSet:
        """Take the samples of points of the grid, as `gradsweep.compose` gives them.

        Args:
            configs: one for each condition: `compose("dataset=gsm8k", "cot=none", "n_samples=8")`.
            options: those of `ProbeSet` itself; prompt and max_length are the first config's
                unless they are given.

        Raises:
            DataError, ExcludedPointError: as `gradsweep.data.load_samples`.
        """
        if not configs:
            raise DataError("ProbeSet.of got no config: give one from gradsweep.compose")
        first = configs[0].model
        defaults: dict[str, Any] = {"prompt": first.prompt.name, "max_length": first.max_length}
        samples = [
            ProbeSample(
                sample.prompt,
                sample.response,
                config.cot.label,
                config.correctness.kind.name,
                sample.question_id,
            )
            for config in configs
            for sample in load_samples(config).samples
        ]
        return cls(samples, **(defaults | options))

    @property
    def prompts(self) -> set[str]:
        """The questions, to be left out of what is trained on."""
        return {sample.prompt for own in self._by_condition.values() for sample in own}

    def measure(
        self,
        model: nn.Module,
        tokenizer: Any,
        step: int,
        projections: Sequence[str] = PROJECTIONS,
        options: SpectraOptions | None = None,
    ) -> Iterator[tuple[Moment, list[SampleResult]]]:
        """Yield the outcomes of each condition with the weights of the moment.

        In the weights' own precision: the autocast that accelerate puts around a model's forward
        is left out. Of a model that is sharded by FSDP2 all processes call it, and take one
        sample at a time.

        Args:
            model: in any mode, wrapped by PEFT, DistributedDataParallel or torch.compile.
            tokenizer: a fast one; a copy of it is used.
            step: optimizer steps that the weights have had.
            projections: what is measured, in every layer.
            options: as for `gradient_spectra`.

        Raises:
            ModelError: a family that gradsweep does not know, a projection that is not there, or a
                model compiled in place or sharded by ZeRO-3, whose modules show no gradient.
        """
        bare = unwrapped(model)
        check_can_be_watched(bare)
        options = options or SpectraOptions()
        made_for = (id(bare), id(tokenizer), tuple(projections), repr(options))
        if made_for != self._made_for:
            with random_state_kept():
                self._runs = dict(self._prepared(bare, tokenizer, projections, options))
            self._made_for = made_for
        for (cot, correctness), run in self._runs.items():
            with random_state_kept(), _without_autocast(bare):
                results = [result for batch in run.outcomes() for result in batch]
            moment = Moment(step, Source.probe, cot, correctness)
            yield moment, sorted(results, key=lambda result: result.index)

    def _prepared(
        self, model: Any, tokenizer: Any, projections: Sequence[str], options: SpectraOptions
    ) -> Iterator[tuple[tuple[str, str], Run]]:
        # Encoding changes how a tokenizer counts blanks; the trainer's own stays as it is.
        loaded = LoadedModel(model, copy.deepcopy(tokenizer), self._prompt, self._max_length)
        source = ModelSource(kind=SourceKind.folder, path=".")
        config = ModelConfig(
            name="trained",
            source=source,
            prompt=self._prompt,
            max_length=self._max_length,
        )
        chosen = {field.name: getattr(options, field.name) for field in fields(SpectraOptions)}
        gradients = GradientsConfig(**chosen, projections=list(projections))
        gradients.batch_tokens = self._batch_tokens
        if any(is_sharded(parameter) for parameter in model.parameters()):
            # Every pass gathers weights, on all processes in turn: threads would gather crosswise.
            gradients.batch_tokens, gradients.workers = 1, 1
        for condition, samples in self._by_condition.items():
            yield condition, Run(loaded, config, gradients, self._objective, samples)


def _sample(given: ProbeSample, index: int) -> Sample:
    question_id = given.question_id or digest(given.prompt)
    return Sample(
        sample_id=digest(question_id, given.prompt, given.response),
        question_id=question_id,
        prompt=given.prompt,
        response=given.response,
        index=index,
    )


def _check_distinct(condition: tuple[str, str], samples: Sequence[Sample]) -> None:
    seen: set[str] = set()
    for sample in samples:
        if sample.sample_id in seen:
            raise DataError(
                f"ProbeSet: the sample {sample.prompt[:60]!r} is there twice with one response "
                f"(cot={condition[0]}, correctness={condition[1]}): give it once"
            )
        seen.add(sample.sample_id)


@contextmanager
def _without_autocast(model: nn.Module) -> Iterator[None]:
    """Inside the block the model's forward is the one from before accelerate wrapped it."""
    wrapped, original = vars(model).get("forward"), vars(model).get("_original_forward")
    if wrapped is None or original is None:
        yield
        return
    model.forward = original
    try:
        yield
    finally:
        model.forward = wrapped
