"""A family that nobody has named: `model.projections` says where its projections are.

A path below a layer is a whole module, `self_attn.q_proj`, or some of its output columns,
`self_attn.qkv_proj[0:64]`. What is named is compared with autograd before a point starts
(`gradsweep.engine.against_autograd`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gradsweep.config.model import LAYERS, NAMED_PATH
from gradsweep.errors import ModelError
from gradsweep.models.projections.adapters import Adapter
from gradsweep.models.projections.layouts import Index, Layout

if TYPE_CHECKING:
    from torch import nn

    from gradsweep.models.projections.sites import Columns


def named_adapter(named: Mapping[str, str]) -> Adapter:
    """Return the adapter that `model.projections` describes.

    Args:
        named: `layers` -> dotted path from the model to its list of layers; a projection -> dotted
            path below a layer, with or without columns. Checked by `ModelConfig`.
    """
    cuts: dict[str, dict[str, tuple[int, int] | None]] = {}
    for name, text in named.items():
        if name != LAYERS:
            path, start, stop = _parts(text)
            cuts.setdefault(path, {})[name] = None if start is None else (int(start), int(stop))
    modules = {path: _layout(of_module) for path, of_module in cuts.items()}
    return Adapter(named[LAYERS], modules, is_partial=True)


def _parts(text: str) -> tuple[Any, Any, Any]:
    """Return path, first column and end of the columns; the last two None for a whole module."""
    found = re.fullmatch(NAMED_PATH, text)
    assert found is not None, text
    return found["path"], found["start"], found["stop"]


def _layout(cuts: Mapping[str, tuple[int, int] | None]) -> Layout:
    def layout(config: Any) -> dict[str, Index]:
        return {name: None if cut is None else np.arange(*cut) for name, cut in cuts.items()}

    return layout


def check_named_module(place: str, module: nn.Module, columns: Mapping[str, Columns]) -> None:
    """Check that a module that a user named is linear, and has the columns that are named.

    Raises:
        ModelError: it has no weight (outputs x inputs), or too few outputs.
    """
    outputs = getattr(module, "out_features", getattr(module, "nf", None))
    if outputs is None:
        raise ModelError(
            f"model.projections: {place} is a {type(module).__name__}, which is not linear; "
            "allowed are modules such as torch.nn.Linear, whose weight has a gradient dYᵀX"
        )
    for name, index in columns.items():
        if index is not None and int(index[-1]) >= outputs:
            raise ModelError(
                f"model.projections.{name}: {place} has {outputs} outputs, and columns "
                f"{int(index[0])} to {int(index[-1])} are named; allowed are 0 to {outputs - 1}"
            )
