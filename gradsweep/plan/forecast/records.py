"""What a command would start, and what that would take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gradsweep.config import Config
from gradsweep.jobs.fit import Misfit
from gradsweep.jobs.records import Array
from gradsweep.jobs.settings import LaunchSettings
from gradsweep.plan import Plan, PlannedPoint
from gradsweep.plan.estimate import Basis, Duration, Hardware, Memory, Tokens, fits, longest_batch

START_SECONDS = 20.0
"""Of a job: importing torch, reading data."""
LOAD_GB_PER_SECOND = 0.5
"""At which weights come from a shared file system. Not measured."""
STATES = ("run", "stopped", "failed", "queued", "running", "done")
"""In which points are shown; those of the first three would be started."""


@dataclass(frozen=True)
class PointForecast:
    point: PlannedPoint
    state: str
    """One of `STATES`."""
    job: str | None
    """The task in which a queued point waits."""
    samples: int
    """Left to measure."""
    tokens: Tokens
    """Of a sample."""
    duration: Duration
    """Of a sample."""
    disk_bytes: float | None
    hardware: Hardware

    @property
    def starts(self) -> bool:
        """Whether the command would start it."""
        return self.state in STATES[:3]

    @property
    def seconds(self) -> float:
        """Of what is left; 0 where nothing tells."""
        return self.samples * (self.duration.seconds or 0.0)


@dataclass(frozen=True)
class ModelForecast:
    """Points that run on the same weights in the same way."""

    config: Config
    """Of one of them."""
    points: tuple[PointForecast, ...]
    hardware: Hardware
    memory: Memory | None
    """With the largest batch there can be."""
    misfit: Misfit | None
    n_loads: int
    """Processes that would load its weights, to start some of the points."""

    @property
    def tight(self) -> bool:
        """Samples of usual length fit, the longest possible do not."""
        return not self.misfit and not fits(self.config, self.hardware, longest_batch(self.config))

    @property
    def load_seconds(self) -> float:
        """Of a process, before it measures."""
        weights = self.memory.weights if self.memory else 0.0
        return START_SECONDS + weights / LOAD_GB_PER_SECOND

    @property
    def seconds(self) -> float:
        """Of all processes together."""
        measuring = sum(one.seconds for one in self.points if one.starts)
        return measuring + self.n_loads * self.load_seconds

    @property
    def device_hours(self) -> float:
        """Hours in which processes occupy GPUs, or cores of a CPU."""
        have = self.hardware
        return self.seconds * (have.gpus if have.kind == "cuda" else have.cores or 1) / 3600


@dataclass(frozen=True)
class Forecast:
    plan: Plan
    settings: LaunchSettings | None
    """None: one point after the other, in the process that was asked."""
    points: tuple[PointForecast, ...]
    models: tuple[ModelForecast, ...]
    arrays: tuple[Array, ...]
    """Of the points that would be started; empty without a launcher."""
    array_limit_known: bool
    """Whether the cluster said how large an array may be."""
    job_seconds: Mapping[int, tuple[float, ...]]
    """Array -> time of each of its jobs, with starting and loading weights."""
    wall_seconds: float
    """From the first start to the last end, without waiting for the scheduler."""
    disk_bytes: float
    """That the points to start will add."""

    @property
    def starting(self) -> list[PointForecast]:
        return [one for one in self.points if one.starts]

    @property
    def bases(self) -> dict[Basis, int]:
        """How many of the points to start rest on what."""
        found = [one.duration.basis for one in self.starting]
        return {basis: found.count(basis) for basis in Basis if basis in found}

    @property
    def device_hours(self) -> dict[str, float]:
        """`cuda` or `cpu` -> hours of GPUs, or of cores."""
        hours: dict[str, float] = {}
        for model in self.models:
            kind = model.hardware.kind
            hours[kind] = hours.get(kind, 0.0) + model.device_hours
        return {kind: number for kind, number in hours.items() if number}
