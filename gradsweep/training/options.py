"""What is measured of somebody's own training run, when, and where it goes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradsweep.config import SpectraOptions
from gradsweep.config.options import science_of
from gradsweep.errors import ConfigError, did_you_mean
from gradsweep.records import METRICS, PROJECTIONS, STUDY_OBJECTIVE, Axes
from gradsweep.training.probe import ProbeSet


@dataclass(kw_only=True, eq=False)
class WatchOptions:
    """Options that `SpectraCallback` and `watch` share."""

    update_every: int = 100
    """Optimizer steps between those whose own gradient is measured, from step 0 on; 0 measures
    none."""
    probe: ProbeSet | None = None
    """Fixed samples that are measured again and again; None measures none."""
    probe_every: int = 100
    """Optimizer steps between probes, which also come before the first step and after the last."""
    layers: int | Collection[int] = 4
    """Every so-manieth layer has `update` rows: 4 for layers 0, 4, 8, …; 1 for all; or the numbers
    of those that have: [2, 3]. Probes measure all layers."""
    projections: Sequence[str] = PROJECTIONS
    """q k v o, and of the MLP gate up down or fc1 fc2."""
    options: SpectraOptions = field(default_factory=SpectraOptions)
    """Solver, rank tolerance, which singular values to keep, metrics of your own."""
    metrics: Sequence[str] = ("nuclear_norm", "effective_rank")
    """Of which the means over layers are reported as scalars; rows have all."""
    folder: str | Path | None = None
    """Results folder in which the run is a training point, as `gradsweep report` and
    `gradsweep.load_training` read it; None keeps rows in memory."""
    model_name: str = ""
    """What the point calls the model; empty takes the end of its name or path."""
    dataset_name: str = "own"
    """What the point calls the data."""
    cot: str = "own"
    """What the point calls the length of thought in the data."""
    correctness: str = "correct"
    """What the point calls the responses in the data."""
    objective: str = STUDY_OBJECTIVE
    """What the point calls the loss."""

    def __post_init__(self) -> None:
        for name, least in (("update_every", 0), ("probe_every", 1)):
            value = getattr(self, name)
            if value < least:
                raise ConfigError(f"{name} must be at least {least}, got {value}")
        self._check_layers()
        if not self.update_every and self.probe is None:
            raise ConfigError(
                "update_every=0 without a probe would measure nothing: give update_every=100, or "
                "probe=ProbeSet(…)"
            )
        allowed = (*METRICS, *self.options.own_metrics)
        for metric in self.metrics:
            if metric not in allowed:
                raise ConfigError(
                    f"metrics: {metric!r} is none{did_you_mean(metric, allowed)}; allowed are "
                    f"{', '.join(allowed)}"
                )

    def _check_layers(self) -> None:
        if isinstance(self.layers, int):
            is_known = self.layers >= 1
        else:
            numbers = list(self.layers)
            is_known = bool(numbers) and all(isinstance(n, int) and n >= 0 for n in numbers)
        if not is_known:
            raise ConfigError(
                f"layers must be at least 1 (every so-manieth layer) or a list of layers' numbers, "
                f"got {self.layers!r}: type layers=1 for all, layers=[2, 3] for two"
            )

    def axes(self, model: Any) -> Axes:
        """Return the names of a run of this model."""
        path = str(getattr(getattr(model, "config", None), "_name_or_path", "") or "")
        name = self.model_name or Path(path).name or type(model).__name__.lower()
        return Axes(name, self.dataset_name, self.cot, self.correctness, self.objective)

    def science(self) -> dict[str, Any]:
        """Return what decides the numbers, as far as these options say it."""
        return {
            "gradients": science_of(self.options) | {"projections": sorted(self.projections)},
            "training": {
                "kind": "own",
                "update_every": self.update_every,
                "update_layers": (
                    self.layers if isinstance(self.layers, int) else sorted(set(self.layers))
                ),
                "probe_every": self.probe_every if self.probe else 0,
            },
        }
