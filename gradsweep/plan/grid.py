"""The cells of a grid, and their composed configs without composing every one of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import zip_longest

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.conf import HydraConf
from omegaconf import DictConfig, Node, OmegaConf

from gradsweep.config import Config
from gradsweep.config.composition import BUILT_IN, ConfigSource, compose_raw, unknown_fields
from gradsweep.config.overrides import override_of, readable
from gradsweep.config.parts import place_part
from gradsweep.errors import ConfigError
from gradsweep.plan.globs import spelled_out
from gradsweep.plan.ranges import require_values

Cell = list[str]
"""What the command line says for one cell of the grid: one override per key."""


@dataclass(frozen=True)
class Grid:
    """What a command line spans."""

    cells: list[Cell]
    """The override lists that Hydra's basic sweeper would run, in its order."""
    left_out: tuple[str, ...] = ()
    """Why options that a `glob(…)` means are in none of them."""


def cells(overrides: Sequence[str], source: ConfigSource = BUILT_IN) -> list[Cell]:
    """The cells of `grid_of`; raises as it does."""
    return grid_of(overrides, source).cells


def grid_of(overrides: Sequence[str], source: ConfigSource = BUILT_IN) -> Grid:
    """Read the grid of a command line.

    `hydra.sweeper.params` of an experiment come first, so that the command line replaces them.

    Raises:
        ConfigError: several values of a setting of Hydra's own, several experiments, values that
            are chosen while the grid runs, a range without values, or another sweeper.
    """
    _require_one_experiment(overrides)
    from_config = [f"{key}={value}" for key, value in sweeper_params(overrides, source).items()]
    spelled, left_out = spelled_out([*readable(from_config), *overrides], source)
    parsed = [override_of(text) for text in spelled]
    for override in parsed:
        if override.is_hydra_override() and override.is_sweep_override():
            raise ConfigError(
                f"{override.input_line}: all points of a command run under the same Hydra "
                "settings; give one value, and run the command once for each"
            )
        if override.is_sweep_override() and not override.is_discrete_sweep():
            raise ConfigError(
                f"{override.input_line}: a grid has values that can be counted; allowed are a,b,c, "
                "choice(a,b,c), range(0,3) and glob(*)"
            )
        require_values(override)
    deleted = [text for text, o in zip(spelled, parsed, strict=True) if o.is_delete()]
    spanned = [override for override in parsed if not override.is_delete()]
    combined = BasicSweeper.split_arguments(spanned, max_batch_size=None)[0]
    return Grid([[*cell, *deleted] for cell in combined], tuple(left_out))


def _require_one_experiment(overrides: Sequence[str]) -> None:
    """Of two experiments Hydra runs the defaults, not the grid of either."""
    named = [text for text in overrides if text.lstrip("+").startswith("experiment=")]
    if len(named) > 1 or any(_is_sweep(text) for text in named):
        raise ConfigError(
            f"{' '.join(named)}: a command runs one experiment; run the command once for each"
        )


def sweeper_params(overrides: Sequence[str], source: ConfigSource = BUILT_IN) -> dict[str, str]:
    """The grid that the config itself brings along: that of `+experiment=…`, empty without one.

    Raises:
        ConfigError: a sweeper that chooses points while it runs, so that nothing can be planned.
    """
    sweeper = hydra_settings(overrides, source).sweeper
    if not str(sweeper.get("_target_")).endswith(".BasicSweeper"):
        raise ConfigError(
            f"hydra/sweeper: {sweeper.get('_target_')} cannot be planned; allowed is `basic`, "
            "Hydra's default, which runs every combination"
        )
    return dict(sweeper.get("params") or {})


def hydra_settings(overrides: Sequence[str], source: ConfigSource = BUILT_IN) -> DictConfig:
    """The node `hydra` of what `overrides` compose, those with several values left out.

    Raises ConfigError for a setting that only a `+` could add, which Hydra would not read.
    """
    plain = [text for text in overrides if not _is_sweep(text)]
    settings: DictConfig = compose_raw(plain, source, return_hydra_config=True).hydra
    typed = [text.lstrip("+") for text in plain]
    for name in unknown_fields(settings, HydraConf, "hydra."):
        if not any(re.match(rf"{re.escape(name)}[.=]", text) for text in typed):
            continue  # of a plugin's
        raise ConfigError(f"{name}: there is no such setting, and nothing would come of it")
    return settings


def composed(grid: Sequence[Cell], source: ConfigSource = BUILT_IN) -> Iterator[DictConfig]:
    """Hydra's composed config of every cell, in order; valid until the next one is taken.

    Composing takes tens of milliseconds, and a grid of hundreds of cells has a few dozen
    different values. So each value is composed once, and a cell is put together from the parts
    of its values: model from `model=a`, dataset from `dataset=b`, … This is done only when each
    value is seen to change its own part and no other; otherwise every cell is composed.
    """
    varying = _varying(grid)
    separable = len(grid) > 1 and None not in varying
    parts = _parts(varying, grid, source) if separable else None
    if parts is None:
        for cell in grid:
            yield compose_raw(cell, source)
        return
    whole = compose_raw(grid[0], source)
    for cell in grid:
        for root, columns in varying.items():
            choice = _Choice(str(root), tuple(cell[i] for i in columns))
            place_part(whole, choice.root, parts[choice])
        yield whole


@dataclass(frozen=True)
class _Choice:
    """One value, or one combination of values, that decides one top-level part of the config."""

    root: str
    texts: tuple[str, ...]


def _varying(grid: Sequence[Cell]) -> dict[str | None, list[int]]:
    """Top-level field -> positions of the overrides of it that differ between cells.

    None stands for whatever is no plain `field=…` or `field.…=…`, as `+experiment=a,b`.
    """
    names = {field.name for field in fields(Config)}
    positions: dict[str | None, list[int]] = {}
    for index, column in enumerate(zip_longest(*grid)):
        if len(set(column)) > 1:
            match = re.match(r"(\w+)[.=]", column[0] or "")
            root = match[1] if match and match[1] in names else None
            positions.setdefault(root, []).append(index)
    return positions


def _parts(
    varying: dict[str | None, list[int]], grid: Sequence[Cell], source: ConfigSource
) -> dict[_Choice, Node] | None:
    """The part of the config that each choice makes, or None when one reaches further than it."""
    rest: dict[str, object] = {}
    parts: dict[_Choice, Node] = {}
    for root, columns in varying.items():
        for texts in dict.fromkeys(tuple(cell[i] for i in columns) for cell in grid):
            cell = list(grid[0])
            for index, text in zip(columns, texts, strict=True):
                cell[index] = text
            config = compose_raw(cell, source)
            node = config._get_node(str(root))
            assert isinstance(node, Node)
            parts[_Choice(str(root), texts)] = node
            others = OmegaConf.to_container(config, resolve=False)
            assert isinstance(others, dict)
            del others[str(root)]
            if rest.setdefault(str(root), others) != others:
                return None
    return parts


def _is_sweep(text: str) -> bool:
    return override_of(text).is_sweep_override()
