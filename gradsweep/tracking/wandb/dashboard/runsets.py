"""Which runs a panel draws, how they are grouped and coloured, and what their table shows."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from matplotlib.colors import to_hex, to_rgb

from gradsweep.analysis.rows import IRRELEVANT
from gradsweep.errors import ConfigError
from gradsweep.report.figures.colours import level_colours
from gradsweep.tracking.wandb import schema
from gradsweep.tracking.wandb.dashboard.contents import Contents


def condition_colours(shown: Contents) -> dict[tuple[str, ...], str]:
    """Values of `Contents.condition` -> colour: a level's as in all figures, paler for
    irrelevant."""
    of_level = level_colours(shown.cot)
    return {
        path: _paler(of_level[path[0]]) if path[1] == IRRELEVANT else of_level[path[0]]
        for path in product(*(getattr(shown, axis) for axis in shown.condition))
    }


def run_filter(shown: Contents, only: Mapping[str, str] | None = None) -> str:
    """The filter expression of W&B for the chosen points; empty is every run of the project.

    Args:
        only: one value for some axes, for a section of its own.

    Raises:
        ConfigError: a value with a sign that wandb-workspaces would change inside of it.
    """
    only = only or {}
    allowed: dict[str, list[str]] = {axis: list(getattr(shown, axis)) for axis in shown.chosen}
    allowed |= {axis: [value] for axis, value in only.items()}
    for axis, values in allowed.items():
        for value in values:
            if set(value) & set("=<>"):
                raise ConfigError(f"{axis}={value!r}: W&B cannot filter on a value with =, < or >")
    parts = [f"Config({axis!r}) in {values!r}" for axis, values in allowed.items()]
    if shown.run_ids:
        # By id and not by group: a sweep also has points that an earlier one has measured.
        parts.append(f"Metric('ID') in {list(shown.run_ids)!r}")
    return " and ".join(parts)


def pinned_columns(shown: Contents) -> list[str]:
    """The run table's first columns, which stay in sight."""
    return ["run:displayName", *(f"config:{axis}.value" for axis in shown.axes)]


def result_columns(shown: Contents) -> list[str]:
    """The run table's columns after the axes: state, then mean, MAD and RD of the first metric."""
    metric = shown.metrics[0]
    names = [schema.mean_name, schema.mad_name, *([schema.rd_name] if shown.has_pairs else [])]
    scalars = [name(metric, projection) for name in names for projection in shown.projections]
    return ["run:state", *(f"summary:{name}" for name in [*scalars, schema.FAILURE])]


def _paler(colour: str) -> str:
    """Halfway to white."""
    red, green, blue = to_rgb(colour)
    return to_hex(((1 + red) / 2, (1 + green) / 2, (1 + blue) / 2))
