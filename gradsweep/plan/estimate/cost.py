"""What measuring a point took, read from its summary.json when more are planned; a point's size.

meter = Meter(); meter.add(results) …; summary["cost"] = meter.cost(config, hardware)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from gradsweep.config import Config, GradientsConfig, Resolution, Responses
from gradsweep.config.objective import MEMBERS, objective_options, responses_of
from gradsweep.config.options import effects_set
from gradsweep.models.footprint import weight_kind
from gradsweep.models.parameters import parameters_of
from gradsweep.plan.estimate.gathering import ranks_of
from gradsweep.plan.estimate.hardware import Hardware
from gradsweep.plan.estimate.shape import QUERIES_OF_A_KEY, shape_of
from gradsweep.plan.estimate.training import samples_passed
from gradsweep.records import ALL_PROJECTIONS, HEAD_PROJECTIONS, SampleResult
from gradsweep.store import PointPaths
from gradsweep.store.checksums import read_summary
from gradsweep.store.kept import save_kept

ROW_BYTES = 80
"""Of one row in Parquet (720 rows took 56 kB), without singular values."""
SAMPLE_BYTES = 640
HEAD_WIDTH = 128
"""Of most of today's models."""
POINT_BYTES = 8_000
"""config.yaml, summary.json, DONE."""


@dataclass(frozen=True)
class Cost:
    """The cost of what the process that finished a point measured of it: all, or what was left."""

    model: str
    weights: str
    """As they lay in memory: float32, bfloat16, …"""
    work: tuple[str, ...]
    """What was measured, as `work` spells it."""
    dataset: str
    cot: str
    kind: str
    """`cuda` or `cpu`."""
    device: str
    cores: int
    samples: int
    tokens: int
    """Of prompts and responses together, without padding."""
    seconds: float
    """Wall time of measuring and storing, without loading the weights."""
    stored_bytes: int = 0
    """Of all rows and samples of the point on disk; known when it is read."""
    stored_samples: int = 0
    responses: str = Responses.single.name
    """Of the objective: which responses a sample has."""
    by: str = Resolution.sample.name
    """What counts as a sample: a whole response, or a step of one with all before it."""
    ranks: int = 1
    """Processes that shared out the weights; samples and seconds are of the first one."""


class Meter:
    """Counts from when it is made, which is when the weights are there."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._samples = self._tokens = 0

    def add(self, results: Sequence[SampleResult]) -> None:
        """Count what has just been stored."""
        measured = [result for result in results if result.rows]
        self._samples += len(measured)
        self._tokens += sum(r.n_prompt_tokens + r.n_response_tokens for r in measured)

    def cost(self, config: Config, hardware: Hardware) -> dict[str, Any]:
        """The fields of `Cost` for summary.json; empty when nothing was measured."""
        if not self._samples:
            return {}
        seconds = time.monotonic() - self._start
        found = Cost(
            model=config.model.name,
            weights=weight_kind(config.model),
            work=work(config),
            dataset=config.dataset.name,
            cot=config.cot.label,
            kind=hardware.kind,
            device=hardware.name or hardware.kind,
            cores=hardware.cores or 1,
            samples=self._samples,
            tokens=self._tokens,
            seconds=seconds,
            responses=responses_of(config.objective).name,
            by=config.gradients.by.name,
            ranks=ranks_of(config, hardware),
        )
        of_reader = ("stored_bytes", "stored_samples")
        return {name: value for name, value in asdict(found).items() if name not in of_reader}


def work(config: Config) -> tuple[str, ...]:
    """Settings that decide what a token takes, in time and on disk: others' costs say nothing."""
    settings = [
        name if value is True else f"{name}={getattr(value, 'name', value)}"
        for name, value, effect in effects_set(config.gradients)
        if effect.is_work
    ]
    settings += [MEMBERS] if objective_options(config.objective).get(MEMBERS) else []
    return (*sorted(config.gradients.projections), *sorted(settings))


def read_costs(results: Path) -> list[Cost]:
    """Read what points took that are DONE and say so (those of earlier versions do not)."""
    found = []
    for done in sorted((results / "points").glob("*/DONE")):
        paths = PointPaths(results, done.parent.name)
        summary = read_summary(paths)
        if raw := summary.get("cost"):
            known = {f.name: raw[f.name] for f in fields(Cost) if f.name in raw}
            cost = Cost(**known | {"work": _in_order(raw["work"])})
            n_bytes = sum(path.stat().st_size for path in (paths.rows, paths.samples))
            n_samples = int(summary["samples"].get("ok", 0))
            found.append(replace(cost, stored_bytes=n_bytes, stored_samples=n_samples))
    save_kept(results)
    return found


class CostsByPoint:
    """Costs of thousands of points, from which each estimate takes the few that it looks at."""

    def __init__(self, costs: Sequence[Cost]) -> None:
        self._costs = costs
        self._places: dict[tuple[str, str], list[int]] = {}
        for place, cost in enumerate(costs):
            for name in (("model", cost.model), ("dataset", cost.dataset)):
                self._places.setdefault(name, []).append(place)

    def of(self, config: Config) -> Sequence[Cost]:
        """Return those of the point's model, and those of its dataset; all for one that trains,
        whose probes may be of other data."""
        if config.training.trains:
            return self._costs
        names = (("model", config.model.name), ("dataset", config.dataset.name))
        places = {place for name in names for place in self._places.get(name, ())}
        return [self._costs[place] for place in sorted(places)]


def heads_of_layer(wanted: GradientsConfig, width: float) -> float:
    """About how many rows of single heads a layer of a model of this width has; 0 unless asked."""
    if not wanted.heads:
        return 0.0
    heads = width / HEAD_WIDTH
    of_queries = [name for name in wanted.projections if name in HEAD_PROJECTIONS]
    shared = [name for name in of_queries if name in ("k", "v")]
    return heads * (len(of_queries) - len(shared) + len(shared) / QUERIES_OF_A_KEY)


def _in_order(stored: Sequence[str]) -> tuple[str, ...]:
    """As `work` spells it; earlier versions wrote the settings in another order."""
    settings = [name for name in stored if name not in ALL_PROJECTIONS]
    return (*sorted(set(stored) - set(settings)), *sorted(settings))


def point_bytes(config: Config, tokens: float, costs: Sequence[Cost]) -> float | None:
    """Estimate what a point takes on disk.

    By what earlier points of this model took per sample, else rows times bytes of a row. None where
    the model's number of parameters, hence of layers, is unknown.
    """
    samples, wanted = samples_passed(config), config.gradients
    key = (config.model.name, work(config))
    same = [cost for cost in costs if (cost.model, cost.work) == key and cost.stored_samples]
    if same:
        stored = sum(cost.stored_samples for cost in same)
        return POINT_BYTES + samples * sum(cost.stored_bytes for cost in same) / stored
    parameters = parameters_of(config.model)
    if parameters is None:
        return None
    shape = shape_of(parameters)
    values = min(tokens, shape.width) if wanted.save_spectra else wanted.top_k or 0
    members = 2 if MEMBERS in work(config) else 0  # chosen and rejected; of most units
    rows = len(wanted.projections) * shape.layers * (1 + members)
    rows += shape.layers * heads_of_layer(wanted, shape.width)
    return POINT_BYTES + samples * (SAMPLE_BYTES + rows * (ROW_BYTES + 8 * values))
