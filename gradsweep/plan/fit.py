"""Tells whether a job has the memory that its points are expected to need."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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
    this_machine,
    usual_batch,
)
from gradsweep.plan.estimate.memory import memory_settings, spreads_over_gpus
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
            elif gb <= on_all and room < on_all and not self.config.model.placement:
                ways.append(f"model.device_map=auto {setting}".strip() + f" (about {amount(gb)})")
        return [*ways[:_WAYS_SHOWN], self._more_memory]

    @property
    def field(self) -> str:
        """The setting that decides how much a job has; empty where it is this machine."""
        if self.hardware.kind == "cpu" and self.hardware.name is not None:
            return ""
        if self.hardware.kind == "cpu":
            return f"hydra.launcher.mem_gb={self.hardware.memory_gb:g}"
        return f"hydra.launcher.gpu_memory_gb={self.hardware.memory_gb:g}"

    @property
    def _room(self) -> str:
        have = self.hardware
        if have.kind == "cpu":
            who = "a job" if have.name is None else "this machine"
            each = f" for each of {have.sharers} processes" if have.sharers > 1 else ""
            return f"{who} has {have.memory_gb:.0f} GB{each}"
        if have.gpus > 1 and not spreads_over_gpus(self.config.model):
            why = (
                "give each a process by hydra.launcher.tasks_per_node"
                if self.config.model.placement
                else "model.device_map is not auto"
            )
            return f"of a job's {have.gpus} GPUs of {have.memory_gb:g} GB it uses one: {why}"
        each = "one GPU" if have.gpus == 1 else f"{have.gpus} GPUs"
        who = "each of a job's processes" if self.config.model.placement else "a job"
        return f"{who} has {each} of {have.memory_gb:g} GB"

    @property
    def _more_memory(self) -> str:
        if self.hardware.kind == "cpu":
            enough = math.ceil(self.needed.total)
            here = self.hardware.name is not None
            if self.hardware.sharers > 1:
                return "hydra.launcher.array_parallelism=1, one process at a time"
            return f"a machine with {enough} GB" if here else f"hydra.launcher.mem_gb={enough}"
        if self.config.model.placement:
            return (
                "more processes, one for each GPU (hydra.launcher.tasks_per_node, "
                "hydra.launcher.nodes, or in per_model)"
            )
        gpus = math.ceil(self.needed.total / (self.hardware.memory_gb or 1))
        spread = "" if spreads_over_gpus(self.config.model) else "model.device_map=auto with "
        return f"{spread}{gpus} GPUs (hydra.launcher.gpus_per_node, or in per_model)"


def misfit(config: Config, hardware: Hardware) -> Misfit | None:
    """Say why a point would not fit; None where it would, or where need or memory is unknown."""
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
    for config in _distinct([point.config for point in points]):
        if too_large := misfit(config, hardware(config)):
            raise _refusal(too_large, "hydra.launcher.check_memory=false submits it anyway")


def require_memory_here(configs: Sequence[Config]) -> None:
    """Raise ConfigError for the first that this machine has too little memory for, or none.

    `gradients.check_memory=false` is not checked; nor is a GPU, whose memory only its driver knows.
    """
    for config in _distinct([config for config in configs if config.gradients.check_memory]):
        # Batches side by side are for speed: a model that has room for one is not refused.
        workers = config.gradients.workers or 1
        alone = replace(config, gradients=replace(config.gradients, workers=workers))
        if too_large := misfit(alone, this_machine(config.gradients.device)):
            raise _refusal(too_large, "gradients.check_memory=false tries it anyway")


def _distinct(configs: Sequence[Config]) -> list[Config]:
    """Points of a model mostly agree in all that matters here."""
    return list({repr(memory_settings(config)): config for config in configs}.values())


def _refusal(too_large: Misfit, anyway: str) -> ConfigError:
    field = f"{too_large.field}: " if too_large.field else ""
    return ConfigError(
        f"{field}{too_large.problem}; allowed is what fits: {', or '.join(too_large.ways)}; "
        f"{anyway}"
    )
