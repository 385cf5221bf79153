"""One point: a choice on every axis, checked across fields."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

from omegaconf import MISSING

from gradsweep.config.conditions import (
    CorrectnessConfig,
    CorrectnessKind,
    DatasetConfig,
    Quality,
)
from gradsweep.config.cot import CotConfig, CotKind, CotLevel
from gradsweep.config.model import LAYERS, ModelConfig
from gradsweep.config.named_objects import check_named_object
from gradsweep.config.objective import (
    DEFAULT_OBJECTIVE,
    Responses,
    check_options,
    objective_name,
    objective_options,
    responses_of,
)
from gradsweep.config.run import GradientsConfig, Resolution, StoreConfig, TrackingConfig
from gradsweep.config.training import TrainingConfig
from gradsweep.errors import ConfigError, ExcludedPointError
from gradsweep.records import Axes
from gradsweep.whole_numbers import check_whole

TOLD_BY_AXES = ("quality", "model.weights")
"""Fields that the value on an axis tells (`Config.axes`)."""


@dataclass
class Config:
    """One point: the choice on every axis, and how to run it."""

    model: ModelConfig = MISSING
    dataset: DatasetConfig = MISSING
    cot: CotConfig = field(default_factory=CotConfig)
    correctness: CorrectnessConfig = field(default_factory=CorrectnessConfig)
    objective: dict[str, Any] = field(default_factory=lambda: dict(DEFAULT_OBJECTIVE))
    """What loss a gradient belongs to: `_target_`, a class of `gradsweep.engine.objectives` or one
    of your own, and its options; `name` on the axis, `responses` that a unit has (single, pair or
    group) and `members`, which asks for rows of each of these."""
    gradients: GradientsConfig = field(default_factory=GradientsConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    n_samples: Optional[int] = None
    """Samples of this point; None is the dataset's own number."""
    seed: int = 0
    """Decides the subset, the generated questions and the irrelevant responses."""
    quality: Optional[Quality] = None
    """Which end of a dataset that others have rated: high or low, of `dataset=wizardlm_ifd` and its
    like; None for all others."""
    sweep: Optional[str] = None
    """Name of the sweep this point belongs to; set by a multirun when not given."""

    def __post_init__(self) -> None:
        check_named_object(self.objective, "objective")
        check_options(self.objective)
        self._take_responses_of_objective()
        check_whole("n_samples", self.n_samples)
        check_whole("seed", self.seed, least=-(2**63))
        if self.sweep is not None and (not self.sweep.strip(" .") or "/" in self.sweep):
            raise ConfigError(
                f"sweep={self.sweep!r} must name a folder of store.root/sweeps: letters, digits "
                "and other characters but '/'"
            )
        whole = isinstance(self.model, ModelConfig)  # data alone are loaded without a model
        if whole and self.model.device_map is not None and self.gradients.device != "auto":
            raise ConfigError(
                f"gradients.device={self.gradients.device}: model.device_map="
                f"{self.model.device_map.name} puts the layers on all GPUs, and only "
                "gradients.device=auto is allowed with it; model.device_map=null puts the whole "
                "model on one device"
            )
        if whole:
            self._require_named_projections()
            self._check_placement()
        self._require_quality()
        if self.cot.kind is not CotKind.custom:
            self._require_level("cot", self.cot.level)
        if self.cot.match_length is not None:
            self._require_level("cot.match_length", self.cot.match_length)
        if self.gradients.by is Resolution.step:
            self._require_steps()

    def _require_steps(self) -> None:
        """Refuse `gradients.by=step` where a step has no loss of its own.

        Raises:
            ExcludedPointError: the loss is no mean over one response's tokens, or the response is
                repeated or cut.
            ConfigError: the model is trained.
        """
        if objective_options(self.objective) != DEFAULT_OBJECTIVE:
            raise ExcludedPointError(
                f"gradients.by=step: a step's gradient is its part of a mean over tokens, and "
                f"objective={self.objective_name} has another loss; allowed is objective=sft with "
                "objective.reduction=mean"
            )
        if self.cot.match_length is not None:
            raise ExcludedPointError(
                f"gradients.by=step: cot.match_length={self.cot.match_length.name} repeats or cuts "
                "responses, so that they have no steps; allowed is cot.match_length=null"
            )
        if self.training.trains:
            raise ConfigError(
                f"gradients.by=step: training={self.training.kind.name} measures whole samples by "
                "step of the optimizer; type training=none, or gradients.by=sample"
            )

    def _take_responses_of_objective(self) -> None:
        """A pair or group has both kinds of responses, so that its axis correctness has one value.

        Raises:
            ExcludedPointError: `correctness` is pair or group, and the objective takes single
                responses.
        """
        responses = responses_of(self.objective)
        if responses is not Responses.single:
            self.correctness = replace(self.correctness, kind=CorrectnessKind[responses.name])
        elif self.correctness.kind.name in (Responses.pair.name, Responses.group.name):
            raise ExcludedPointError(
                f"correctness={self.correctness.kind.name}: objective={self.objective_name} has "
                "one response in its loss; allowed are correctness=correct and "
                "correctness=irrelevant"
            )

    def with_one_response(self, correctness: CorrectnessConfig | None = None) -> Config:
        """Return the point of the study's objective on these data; correct unless asked otherwise.

        What reads the data of a pair, of a group or of steps response by response reads that.
        """
        asked = correctness or CorrectnessConfig()
        whole = replace(self.gradients, by=Resolution.sample)
        objective = dict(DEFAULT_OBJECTIVE)
        return replace(self, correctness=asked, objective=objective, gradients=whole)

    def _check_placement(self) -> None:
        """Raises ConfigError where `model.placement` cannot do what the point asks."""
        if self.model.placement is None:
            return
        asked = f"model.placement={self.model.placement.name}"
        if self.training.trains:
            raise ConfigError(
                f"{asked}: training={self.training.kind.name} is measured in one process; type "
                "model.placement=null, or watch a training loop of your own under FSDP2 "
                "(docs/training.md)"
            )
        if self.gradients.attention_shares:
            raise ConfigError(
                f"{asked}: gradients.attention_shares=true takes a pass of its own for each "
                "response, of which the processes have different numbers; leave it out, or "
                "measure the shares without model.placement"
            )
        if self.gradients.device.startswith("cuda:"):
            raise ConfigError(
                f"{asked}: gradients.device={self.gradients.device} is one GPU for all processes; "
                "allowed are gradients.device=auto and cuda, by which each takes its own, and cpu"
            )

    def probe_conditions(self) -> list[Config]:
        """Return a training point under each condition that is probed.

        Where a correctness is named, single responses are measured under the study's objective;
        otherwise the units are those of the point's own.
        """
        levels = [CotLevel[name] for name in self.training.probe_cot]
        cots = [CotConfig(level=level) for level in levels] or [self.cot]
        kinds = [CorrectnessKind[name] for name in self.training.probe_correctness]
        single = [self.with_one_response(CorrectnessConfig(kind=kind)) for kind in kinds]
        return [replace(point, cot=cot) for cot in cots for point in single or [self]]

    def _require_named_projections(self) -> None:
        """Raises ConfigError when `model.projections` lacks one that is to be measured."""
        named = self.model.named_projections
        missing = [name for name in self.gradients.projections if named and name not in named]
        if missing:
            offered = ",".join(name for name in named if name != LAYERS)
            raise ConfigError(
                f"gradients.projections: model.projections names no module for "
                f"{', '.join(missing)}; name it, or measure what is named: "
                f"gradients.projections=[{offered}]"
            )

    def _require_quality(self) -> None:
        """Raises `ExcludedPointError` where the dataset has no ends, or one of them is to be named.

        A grid may have datasets of both kinds: `quality=null,high,low`.
        """
        if self.dataset.has_qualities == (self.quality is not None):
            return
        if self.quality is None:
            raise ExcludedPointError(
                f"dataset={self.dataset.name} has the best and the worst samples of a larger one: "
                "type quality=high or quality=low"
            )
        raise ExcludedPointError(
            f"quality={self.quality.name}: dataset={self.dataset.name} is whole; quality goes with "
            "datasets that others have rated, as dataset=wizardlm_ifd"
        )

    def _require_level(self, field_name: str, level: CotLevel) -> None:
        """Raises `ExcludedPointError` when the dataset is known not to have this level."""
        levels = [available.name for available in self.dataset.available_levels]
        if levels and level.name not in levels:
            source = " from the hub" if self.dataset.from_hub else ""
            raise ExcludedPointError(
                f"dataset={self.dataset.name}{source} has no {field_name}={level.name}: "
                f"its levels are {', '.join(levels)}"
            )

    @property
    def axes(self) -> Axes:
        return Axes(
            self.model.label,
            self.dataset.label(self.quality),
            self.cot.label,
            self.correctness.kind.name,
            self.objective_name,
        )

    @property
    def objective_name(self) -> str:
        """The value of the axis objective."""
        return objective_name(self.objective)

    @property
    def requested_samples(self) -> int:
        """How many samples this point asks for; the data may have fewer."""
        return self.n_samples if self.n_samples is not None else self.dataset.n_samples

    @property
    def most_samples(self) -> int | None:
        """How many samples are stored at most; None where each step of a response is one."""
        return None if self.gradients.by is Resolution.step else self.requested_samples

    @property
    def results(self) -> Path:
        return Path(self.store.root)
