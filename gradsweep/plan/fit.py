"""Tells whether a job has the memory that its points are expected to need."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gradsweep.config import Config
from gradsweep.errors import ConfigError
from gradsweep.models.footprint import amount, weight_kind
from gradsweep.plan.estimate import (
    Hardware,
    Memory,
    capacity_gb,
    fits,
    peak_memory,
    smaller,
    usual_batch,
)
from gradsweep.plan.estimate.memory import spreads_over_gpus
from gradsweep.plan.points import PlannedPoint

_WAYS_SHOWN = 3


@dataclass(frozen=True)
class Misfit:
    """A model that needs more memory than its jobs have, even for samples of usual length."""

    config: Config
    hardware: Hardware
    needed: Memory

    @property
    def problem(self) -> str:
        """`model=llama3_8b in float32 needs about 41 GB, a job has …`."""
        model, needed = self.config.model, self.needed
        parts = f"weights {needed.weights:.0f}, activations {needed.activations:.0f}"
        return (
            f"model={model.name} in {weight_kind(model)} needs about {amount(needed.total)} "
            f"({parts}) for {usual_batch(self.config)} tokens, and {self._room}"
        )

    @property
    def ways(self) -> list[str]:
        """Settings with which it is expected to fit, the gentlest first; more memory last."""
        have, ways = self.hardware, []
        room = capacity_gb(self.config.model, have) or 0
        on_all = (have.memory_gb or 0) * have.gpus
        needs = {"": self.needed.total, **smaller(self.config, have, usual_batch(self.config))}
        for setting, gb in needs.items():
            if gb <= room:
                ways.append(f"{setting} (about {amount(gb)})")
            elif gb <= on_all and room < on_all:
                ways.append(f"model.device_map=auto {setting}".strip() + f" (about {amount(gb)})")
        return [*ways[:_WAYS_SHOWN], self._more_memory]

    @property
    def field(self) -> str:
        """The setting that decides how much a job has."""
        if self.hardware.kind == "cpu":
            return f"hydra.launcher.mem_gb={self.hardware.memory_gb:g}"
        return f"hydra.launcher.gpu_memory_gb={self.hardware.memory_gb:g}"

    @property
    def _room(self) -> str:
        have = self.hardware
        if have.kind == "cpu":
            who = "a job" if have.name is None else "this machine"
            return f"{who} has {have.memory_gb:.0f} GB"
        if have.gpus > 1 and not spreads_over_gpus(self.config.model):
            return (
                f"of a job's {have.gpus} GPUs of {have.memory_gb:g} GB it uses one: "
                "model.device_map is not auto"
            )
        each = "one GPU" if have.gpus == 1 else f"{have.gpus} GPUs"
        return f"a job has {each} of {have.memory_gb:g} GB"

    @property
    def _more_memory(self) -> str:
        if self.hardware.kind == "cpu":
            enough = math.ceil(self.needed.total)
            here = self.hardware.name is not None
            return f"a machine with {enough} GB" if here else f"hydra.launcher.mem_gb={enough}"
        gpus = math.ceil(self.needed.total / (self.hardware.memory_gb or 1))
        spread = "" if spreads_over_gpus(self.config.model) else "model.device_map=auto with "
        return f"{spread}{gpus} GPUs (hydra.launcher.gpus_per_node, or in per_model)"


def misfit(config: Config, hardware: Hardware) -> Misfit | None:
    """None where it is expected to fit, or where need or memory is unknown."""
    tokens = usual_batch(config)
    needed = peak_memory(config, hardware, tokens)
    if needed is None or fits(config, hardware, tokens):
        return None
    return Misfit(config, hardware, needed)


def require_memory(points: Sequence[PlannedPoint], hardware: Callable[[Config], Hardware]) -> None:
    """Raise ConfigError for the first of these points whose jobs have too little memory.

    Args:
        points: of a plan.
        hardware: what a job of a point has.
    """
    # Points of a model mostly agree in all that matters here.
    distinct = {repr((p.config.model, p.config.gradients)): p.config for p in points}
    for config in distinct.values():
        if too_large := misfit(config, hardware(config)):
            raise ConfigError(
                f"{too_large.field}: {too_large.problem}; allowed is what fits: "
                f"{', or '.join(too_large.ways)}; hydra.launcher.check_memory=false submits it "
                "anyway"
            )
