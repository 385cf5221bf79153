"""Whether and how a point's model is trained while it is measured (`training=`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Optional

from gradsweep.config.conditions import CorrectnessKind
from gradsweep.config.cot import CotLevel
from gradsweep.config.options import Effect, Science, option, science_of
from gradsweep.errors import ConfigError
from gradsweep.whole_numbers import check_whole, most

_ALWAYS = Effect(Science.always)
"""Only of points that train: all others have no training in their identity."""

_COUNTS = ("steps", "batch_size", "accumulation", "update_layers", "probe_questions", "rank")
_FROM_ZERO = ("warmup", "update_every", "probe_every", "checkpoint_every", "seed")


class TrainingKind(Enum):
    none = "none"
    """The model stands still: its gradients at the weights that were loaded."""
    full = "full"
    """Every weight is trained."""
    lora = "lora"
    """Adapters of the measured projections are trained (PEFT)."""
    series = "series"
    """Checkpoints that somebody else's training left, measured as steps of one run."""


class Optimizer(Enum):
    adamw = "adamw"
    sgd = "sgd"
    muon = "muon"
    """torch's Muon for matrices of the layers, AdamW for everything else."""


class Schedule(Enum):
    """The learning rate after warm-up, over all steps."""

    constant = "constant"
    linear = "linear"
    cosine = "cosine"


@dataclass
class TrainingConfig:
    """The run of a training point: Trainer's loop over the point's own data and objective."""

    kind: TrainingKind = option(TrainingKind.none, _ALWAYS)
    steps: int = option(20, _ALWAYS)
    """Optimizer steps. Beyond the data, training goes through them again."""
    batch_size: int = option(4, _ALWAYS)
    """Units in one pass: samples, or the pairs or groups that the objective takes."""
    accumulation: int = option(1, _ALWAYS)
    """Passes that make one optimizer step."""
    trained_layers: list[int] = option(
        effect=Effect(Science.when_set, canonical=sorted), default_factory=list
    )
    """Numbers of the layers whose weights, or adapters, are trained, from 0; all others stand
    still, embeddings and head too, and have no update rows. Empty trains everything."""
    optimizer: Optimizer = option(Optimizer.adamw, _ALWAYS)
    learning_rate: float = option(2e-5, _ALWAYS)
    schedule: Schedule = option(Schedule.constant, _ALWAYS)
    warmup: int = option(0, _ALWAYS)
    """Steps over which the learning rate rises from 0."""
    clipping: Optional[float] = option(1.0, _ALWAYS)
    """Largest gradient norm that the optimizer gets; null leaves it as it is."""
    weight_decay: float = option(0.0, _ALWAYS)
    seed: int = option(0, _ALWAYS)
    """Of the order of samples, dropout, and the adapters' first weights; `seed` chooses the
    samples."""
    held_out: float = option(0.25, _ALWAYS)
    """Share of the questions that are not trained on: for the held-out loss, and the probe's."""
    update_every: int = option(1, _ALWAYS)
    """Steps between measured updates; 0 measures none."""
    update_layers: int = option(1, _ALWAYS)
    """Every so-manieth layer has `update` rows: 4 measures layers 0, 4, 8, …"""
    probe_every: int = option(5, _ALWAYS)
    """Steps between probes, which also come before the first step and after the last one; 0 never
    probes and never takes a held-out loss."""
    probe_questions: int = option(4, _ALWAYS)
    """Held-out questions that are probed, the same ones every time."""
    probe_cot: list[str] = option(effect=_ALWAYS, default_factory=list)
    """Levels at which they are probed, as in `[none,detailed]`; empty is the point's own."""
    probe_correctness: list[str] = option(effect=_ALWAYS, default_factory=list)
    """correct, irrelevant or both; empty is the point's own."""
    checkpoint_every: int = option(100)
    """Steps between checkpoints, from which a killed point goes on; 0 writes none. Each has the
    model and its optimizer's state; two are kept until the point is done."""
    keep_model: bool = option(False)
    """Keep the trained weights in the point's folder, as `model=folder` reads them."""
    rank: int = option(8, Effect(Science.when_set))
    """Of adapters (training=lora)."""
    alpha: float = option(16.0, Effect(Science.when_set))
    """Adapters are added times alpha/rank (training=lora)."""
    dropout: float = option(0.0, Effect(Science.when_set))
    """Of the adapters' inputs (training=lora)."""
    checkpoints: list[str] = option(effect=_ALWAYS, default_factory=list)
    """Folders or hub revisions in the order of training, each with its step where the name does
    not end in one: `[runs/checkpoint-100,runs/checkpoint-200]`, `[step1000,step2000]`,
    `[main@143000]` (training=series)."""

    def __post_init__(self) -> None:
        if self.kind is TrainingKind.none:
            return
        for name in _COUNTS:
            check_whole(f"training.{name}", getattr(self, name))
        for name in _FROM_ZERO:
            check_whole(f"training.{name}", getattr(self, name), least=0)
        for name in ("learning_rate", "clipping", "alpha"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"training.{name} must be above 0, got {value}")
        layers, largest = self.trained_layers, most("training.trained_layers")
        if len(set(layers)) < len(layers) or not all(0 <= number <= largest for number in layers):
            raise ConfigError(
                f"training.trained_layers={layers} must be numbers of layers from 0, "
                "each once, as training.trained_layers=[0,1]; [] trains every layer"
            )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"training.dropout must be in [0, 1), got {self.dropout}")
        if not 0 <= self.weight_decay < float("inf"):
            raise ConfigError(f"training.weight_decay must be 0 or more, got {self.weight_decay}")
        if not 0 < self.held_out < 1:
            raise ConfigError(
                f"training.held_out must be in (0, 1), got {self.held_out}: probes and the "
                "held-out loss are of questions that are not trained on"
            )
        self._check_probe()
        self._check_series()

    def _check_probe(self) -> None:
        allowed = {
            "probe_cot": [level.name for level in CotLevel],
            "probe_correctness": [CorrectnessKind.correct.name, CorrectnessKind.irrelevant.name],
        }
        for name, names in allowed.items():
            unknown = [value for value in getattr(self, name) if value not in names]
            if unknown:
                raise ConfigError(
                    f"training.{name}: {unknown[0]} is none of {', '.join(names)}; type "
                    f"training.{name}=[{names[0]}]"
                )
        if self.kind is not TrainingKind.series and not (self.update_every or self.probe_every):
            raise ConfigError(
                "training.update_every=0 and training.probe_every=0 would measure nothing: give "
                "one of them"
            )

    def _check_series(self) -> None:
        series = self.kind is TrainingKind.series
        if series and len(self.checkpoints) < 2:
            raise ConfigError(
                "training=series measures checkpoints as steps of one run, and "
                f"training.checkpoints names {len(self.checkpoints)}: name two or more, as "
                "training.checkpoints=[runs/checkpoint-100,runs/checkpoint-200]"
            )

    @property
    def trains(self) -> bool:
        """Whether the point has rows of several steps."""
        return self.kind is not TrainingKind.none

    @property
    def samples_per_step(self) -> int:
        """Units of one optimizer step."""
        return self.batch_size * self.accumulation

    def identity(self) -> dict[str, Any]:
        """Return what decides the numbers, as plain values; empty where nothing is trained."""
        return science_of(self) if self.trains else {}
