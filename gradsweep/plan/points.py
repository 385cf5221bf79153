"""Resolve and check every point of a grid, and see from the files which are left to run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from functools import cached_property
from operator import attrgetter

from omegaconf import DictConfig

from gradsweep.config import Config, ModelConfig, Responses, StoreConfig, TrackingConfig
from gradsweep.config.composition import BUILT_IN, ConfigSource, checked, to_config
from gradsweep.config.objective import responses_of
from gradsweep.config.parts import SharedParts
from gradsweep.config.point import TOLD_BY_AXES
from gradsweep.config.unread import TypedSettings
from gradsweep.errors import ConfigError, ExcludedPointError, counted
from gradsweep.identity import point_id
from gradsweep.models.projections import check_family
from gradsweep.plan.grid import Cell, composed, grid_of, sweeper_params
from gradsweep.records import AXES, Axes
from gradsweep.store import PointPaths, PointState, point_state
from gradsweep.store.place import require_possible


@dataclass(frozen=True)
class PlannedPoint:
    """One point of the grid, resolved."""

    point_id: str
    axes: Axes
    state: PointState
    overrides: tuple[str, ...]
    """What the command line says for this point."""
    config: Config


@dataclass(frozen=True)
class Plan:
    """All points of a command line, in the order in which they run."""

    name: str
    """The sweep's name: as given, or from what varies and which points these are."""
    results: str
    points: tuple[PlannedPoint, ...]
    """Distinct points; the same point asked for twice is here once."""
    excluded: tuple[str, ...]
    """Why cells of the grid are not points: the study does not have them."""
    models: tuple[ModelConfig, ...]
    """One of each name, in the order in which they are needed."""
    duplicates: int = 0
    """Cells of the grid that are the same point as an earlier cell."""
    notes: tuple[str, ...] = ()
    """What an objective decides of other axes: which responses its units have."""
    source: ConfigSource = BUILT_IN
    """Where the points were composed from."""

    def count(self, *states: PointState) -> int:
        return sum(point.state in states for point in self.points)

    @property
    def counted(self) -> str:
        """The one line that a grid of hundreds of points is read for."""
        total, done = len(self.points), self.count(PointState.DONE)
        return f"{counted(total, 'point')}, {done} done, {total - done} to run"

    @cached_property
    def varied(self) -> list[str]:
        """The axes on which these points differ."""
        return _varied(self.points)

    @cached_property
    def _everywhere(self) -> frozenset[str]:
        """Overrides that all points have."""
        return frozenset.intersection(*(frozenset(p.overrides) for p in self.points))

    def label(self, point: PlannedPoint) -> str:
        """Name a point by what varies in this plan: values of axes, then other fields."""
        values = [getattr(point.axes, axis) for axis in self.varied]
        fields = [text for text in point.overrides if text not in self._everywhere]
        others = [text for text in fields if text.split("=")[0] not in (*AXES, *TOLD_BY_AXES)]
        return " · ".join(values + others) or str(point.axes)


def make_plan(overrides: Sequence[str], multirun: bool, source: ConfigSource = BUILT_IN) -> Plan:
    """Compose every point that `overrides` asks for; nothing is written or loaded.

    Args:
        overrides: as on the command line; with `multirun`, `axis=a,b` spans a grid.
        multirun: whether there may be several points.
        source: a user's own YAML, as `--config-dir` gives it.

    Raises:
        ConfigError, DataError, ModelError: a field that no point could run with.
        hydra.errors.HydraException: an unknown option or field, with those there are.
    """
    if not multirun:
        cell = _one_cell(overrides, source)
        plan = plan_cells([cell], composed([cell], source), False, source.folders)
        return replace(plan, source=source)
    grid = grid_of(overrides, source)
    plan = plan_cells(grid.cells, composed(grid.cells, source), True, source.folders)
    return replace(plan, source=source, excluded=(*grid.left_out, *plan.excluded))


def plan_cells(
    grid: Sequence[Cell],
    configs: Iterable[DictConfig],
    multirun: bool = True,
    own_folders: Sequence[str] = (),
) -> Plan:
    """`make_plan` of cells that are composed already; raises as it does."""
    typed = TypedSettings(own_folders)
    points: dict[str, PlannedPoint] = {}
    excluded: dict[str, None] = {}
    models: dict[str, ModelConfig] = {}
    duplicates, shared = 0, SharedParts()
    for cell, raw in zip(grid, configs, strict=True):
        try:
            config = to_config(raw, shared)
            require_possible(config.results)
            typed.see(cell, config)
            if not multirun:
                typed.require_all_read()
            point = _planned(config, cell)
        except ExcludedPointError as reason:
            if not multirun:
                raise
            excluded[str(reason)] = None
            typed.see_excluded(cell)
            continue
        duplicates += point.point_id in points
        points.setdefault(point.point_id, point)
        models.setdefault(config.model.name, config.model)
        _require_shared_settings(next(iter(points.values())).config, config)
    if not points:
        raise ExcludedPointError("; ".join(excluded))
    typed.require_all_read()
    ordered = tuple(points.values())
    for model in {repr(point.config.model): point.config.model for point in ordered}.values():
        check_family(model)
    first = ordered[0].config
    return Plan(
        first.sweep or _name(ordered),
        first.store.root,
        ordered,
        tuple(excluded),
        tuple(models.values()),
        duplicates,
        tuple(_decided(ordered)),
    )


def _decided(points: Sequence[PlannedPoint]) -> Iterator[str]:
    """Say of which objectives' points the axis correctness is what nobody has typed."""
    for kind, has in (
        (Responses.pair, "both responses"),
        (Responses.group, "all responses to a question"),
    ):
        names = dict.fromkeys(
            point.axes.objective
            for point in points
            if responses_of(point.config.objective) is kind
            and f"correctness={kind.name}" not in point.overrides
        )
        if names:
            told = ",".join(names)
            yield f"objective={told} has {has} in its loss: correctness is {kind.name}"


def _require_shared_settings(first: Config, other: Config) -> None:
    """Raises ConfigError where points would go to several folders, sweeps or trackers."""
    if (first.store, first.tracking, first.sweep) == (other.store, other.tracking, other.sweep):
        return
    for name in ("sweep", *_fields("store", first.store), *_fields("tracking", first.tracking)):
        values = [_text(attrgetter(name)(config)) for config in (first, other)]
        if values[0] != values[1]:
            raise ConfigError(
                f"{name}={','.join(values)}: all points of a command share this field; run the "
                f"command once for each value, first with {name}={values[0]}"
            )


def _fields(group: str, settings: StoreConfig | TrackingConfig) -> list[str]:
    return [f"{group}.{field.name}" for field in fields(settings)]


def _text(value: object) -> str:
    """A value as it is typed on the command line."""
    if isinstance(value, Enum):
        return value.name
    return "null" if value is None else str(value)


def _one_cell(overrides: Sequence[str], source: ConfigSource) -> list[str]:
    """Without -m an experiment's grid would silently be one point of the defaults."""
    experiments = [text for text in overrides if text.startswith("+experiment=")]
    if experiments and sweeper_params(overrides, source):
        raise ConfigError(f"{experiments[0]} is a grid of points: run it with -m")
    return list(overrides)


def _planned(config: Config, overrides: Sequence[str]) -> PlannedPoint:
    identity = point_id(config)
    state = point_state(PointPaths(config.results, identity))
    return PlannedPoint(identity, config.axes, state, tuple(overrides), config)


def _name(points: Sequence[PlannedPoint]) -> str:
    digest = hashlib.sha256("".join(sorted(p.point_id for p in points)).encode()).hexdigest()
    return "-".join([*(_varied(points) or ["point"]), digest[:8]])


def _varied(points: Sequence[PlannedPoint]) -> list[str]:
    return [axis for axis in AXES if len({getattr(p.axes, axis) for p in points}) > 1]


def checked_plan(overrides: Sequence[str], multirun: bool, source: ConfigSource = BUILT_IN) -> Plan:
    """`make_plan`, with Hydra's complaints as `ConfigError`."""
    return checked(lambda: make_plan(overrides, multirun, source))
