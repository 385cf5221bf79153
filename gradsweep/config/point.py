"""One point: a choice on every axis, checked across fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from omegaconf import MISSING

from gradsweep.config.conditions import CorrectnessConfig, CotConfig, DatasetConfig
from gradsweep.config.model import ModelConfig
from gradsweep.config.run import GradientsConfig, StoreConfig, TrackingConfig
from gradsweep.errors import ConfigError, ExcludedPointError
from gradsweep.records import Axes


@dataclass
class Config:
    """One point: the choice on every axis, and how to run it."""

    model: ModelConfig = MISSING
    dataset: DatasetConfig = MISSING
    cot: CotConfig = field(default_factory=CotConfig)
    correctness: CorrectnessConfig = field(default_factory=CorrectnessConfig)
    gradients: GradientsConfig = field(default_factory=GradientsConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    n_samples: Optional[int] = None
    """Samples of this point; None is the dataset's own number."""
    seed: int = 0
    """Of the subset, the generated questions and the irrelevant responses."""
    sweep: Optional[str] = None
    """Name of the sweep this point belongs to; set by a multirun when not given."""

    def __post_init__(self) -> None:
        if self.n_samples is not None and self.n_samples < 1:
            raise ConfigError(f"n_samples must be at least 1, got {self.n_samples}")
        levels = [level.name for level in self.dataset.levels]
        if levels and self.cot.level.name not in levels:
            raise ExcludedPointError(
                f"dataset={self.dataset.name} has no cot={self.cot.level.name}: "
                f"its levels are {', '.join(levels)}"
            )

    @property
    def axes(self) -> Axes:
        return Axes(
            self.model.name, self.dataset.name, self.cot.level.name, self.correctness.kind.name
        )

    @property
    def requested_samples(self) -> int:
        """How many samples this point asks for; the data may have fewer."""
        return self.n_samples if self.n_samples is not None else self.dataset.n_samples

    @property
    def results(self) -> Path:
        return Path(self.store.root)
