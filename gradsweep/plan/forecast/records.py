"""The records of a forecast: points, models, and all that a command would start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gradsweep.config import Config
from gradsweep.models.footprint import model_weights_gb
from gradsweep.plan import Plan, PlannedPoint
from gradsweep.plan.estimate import Basis, Duration, Hardware, Memory, Tokens, fits, longest_batch
from gradsweep.plan.estimate.training import RunLength
from gradsweep.plan.fit import Misfit
from gradsweep.plan.grouping import Array
from gradsweep.plan.scheduling import JobPlanner

START_SECONDS = 20.0
"""Seconds in which a job imports torch and reads its data."""
LOAD_GB_PER_SECOND = 0.5
"""Rate at which weights come from a shared file system. Not measured."""
STATES = ("run", "stopped", "failed", "queued", "running", "done")
"""States of points in the order in which they are shown; the first three would be started."""


@dataclass(frozen=True)
class PointForecast:
    """A point, and what is left to do at it."""

    planned: PlannedPoint
    state: str
    """One of `STATES`."""
    job: str | None
    """The task in which a queued point waits."""
    samples: int
    """Left to measure."""
    tokens: Tokens
    """Tokens of a sample."""
    duration: Duration
    """Seconds that a sample takes."""
    disk_bytes: float | None
    hardware: Hardware
    run: RunLength | None = None
    """How long the whole run is, of a training point."""

    @property
    def starts(self) -> bool:
        """Whether the command would start it."""
        return self.state in STATES[:3]

    @property
    def seconds(self) -> float:
        """Seconds that what is left takes; 0 where nothing tells."""
        return self.samples * (self.duration.seconds or 0.0)


@dataclass(frozen=True)
class ModelForecast:
    """Points that run on the same weights in the same way."""

    config: Config
    """The config of the one that needs most memory."""
    points: tuple[PointForecast, ...]
    hardware: Hardware
    memory: Memory | None
    """Memory that the largest possible batch needs."""
    misfit: Misfit | None
    n_loads: int
    """Processes that would load its weights, to start some of the points."""

    @property
    def tight(self) -> bool:
        """Whether samples of usual length fit and the longest possible do not."""
        return not self.misfit and not fits(self.config, self.hardware, longest_batch(self.config))

    @property
    def load_seconds(self) -> float:
        """Seconds of a process before it measures."""
        return START_SECONDS + self.read_gb / LOAD_GB_PER_SECOND

    @property
    def read_gb(self) -> float:
        """Weights that a process reads in GB, with `model.placement` for others too; 0: unknown."""
        if self.config.model.placement:
            return model_weights_gb(self.config.model) or 0.0
        return self.memory.weights if self.memory else 0.0

    @property
    def seconds(self) -> float:
        """Seconds of all processes together."""
        measuring = sum(point.seconds for point in self.points if point.starts)
        return measuring + self.n_loads * self.load_seconds

    @property
    def known(self) -> bool:
        """Whether anything tells what a sample takes."""
        return any(point.duration.seconds is not None for point in self.points)

    @property
    def device_hours(self) -> float:
        """Hours in which processes occupy GPUs, or cores of a CPU."""
        have = self.hardware
        return self.seconds * (have.gpus if have.kind == "cuda" else have.cores or 1) / 3600


@dataclass(frozen=True)
class Forecast:
    """All that a command would start, and what that would take."""

    plan: Plan
    scheduler: JobPlanner | None
    """None: one point after the other, in the process that was asked."""
    points: tuple[PointForecast, ...]
    models: tuple[ModelForecast, ...]
    arrays: tuple[Array, ...]
    """Arrays of the points that would be started; empty without a scheduler."""
    caveat: str
    """Words on what the arrays take for granted; empty when nothing."""
    job_seconds: Mapping[int, tuple[float, ...]]
    """Array -> seconds of each of its jobs, with starting and loading weights."""
    wall_seconds: float
    """Seconds from the first start to the last end, without waiting for the scheduler."""
    disk_bytes: float
    """Bytes that the points to start will add."""

    @property
    def starting(self) -> list[PointForecast]:
        return [point for point in self.points if point.starts]

    @property
    def counts_hours(self) -> bool:
        """Whether the hours of devices are somebody else's to give, as on a cluster."""
        return self.scheduler is not None and self.scheduler.shared

    @property
    def bases(self) -> dict[Basis, int]:
        """Count the points to start by what their time rests on."""
        bases = [point.duration.basis for point in self.starting]
        return {basis: bases.count(basis) for basis in Basis if basis in bases}

    @property
    def device_hours(self) -> dict[str, float]:
        """`cuda` or `cpu` -> hours of GPUs, or of cores."""
        hours: dict[str, float] = {}
        for model in self.models:
            kind = model.hardware.kind
            hours[kind] = hours.get(kind, 0.0) + model.device_hours
        return {kind: number for kind, number in hours.items() if number}
