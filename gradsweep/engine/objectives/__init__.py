"""Objectives: one file each, named by `_target_` in conf/objective/<name>.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradsweep.config.named_objects import make_named_object
from gradsweep.engine.objectives.base import Objective as Objective
from gradsweep.engine.objectives.sft import Sft as Sft
from gradsweep.errors import ConfigError


def make_objective(node: Mapping[str, Any]) -> Objective:
    """Return the objective that a config's `objective` names.

    Raises:
        ConfigError: it cannot be imported, does not take these options, or is no `Objective`.
    """
    objective = make_named_object(node, "objective")
    if not isinstance(objective, Objective):
        raise ConfigError(
            f"objective._target_={node['_target_']} makes a {type(objective).__name__}; allowed is "
            "a subclass of gradsweep.engine.objectives.Objective"
        )
    return objective
