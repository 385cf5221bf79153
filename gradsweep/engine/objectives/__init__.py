"""Objectives: one file each, named by `_target_` in conf/objective/<name>.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from gradsweep.config import Responses
from gradsweep.config.files import config_dir, options
from gradsweep.config.named_objects import make_named_object
from gradsweep.config.objective import NAME, OTHER_MODELS, RESPONSES, responses_of
from gradsweep.engine.objectives.base import GroupObjective as GroupObjective
from gradsweep.engine.objectives.base import Objective as Objective
from gradsweep.engine.objectives.base import PairObjective as PairObjective
from gradsweep.engine.objectives.sft import Sft as Sft
from gradsweep.errors import ConfigError

_MISSING = "???"


def make_objective(node: Mapping[str, Any]) -> Objective:
    """Return the objective that a config's `objective` names.

    Raises:
        ConfigError: it cannot be imported, does not take these options, or is no `Objective`.
    """
    used = {name: node[name] for name in OTHER_MODELS if node.get(name)}
    described = (NAME, RESPONSES, *OTHER_MODELS)
    objective = make_named_object(
        {key: value for key, value in node.items() if key not in described}, "objective"
    )
    if not isinstance(objective, Objective):
        raise ConfigError(
            f"objective._target_={node['_target_']} makes a {type(objective).__name__}; allowed is "
            "a subclass of gradsweep.engine.objectives.Objective"
        )
    for name in used:
        if name not in objective.other_models:
            raise ConfigError(
                f"objective.{name}: {node['_target_']} uses no {name}; leave the option out"
            )
    _require_responses(node, objective)
    return objective


def _require_responses(node: Mapping[str, Any], objective: Objective) -> None:
    """The point's samples are chosen by what YAML says, before the class is imported."""
    said = responses_of(node)
    if objective.responses not in (said, Responses.single):
        raise ConfigError(
            f"objective.{RESPONSES}={said.name}: {type(objective).__name__} takes "
            f"{objective.responses.name}; write {RESPONSES}: {objective.responses.name} in the YAML"
        )


def objective_named(name: str, **changed: Any) -> Objective:
    """Return an objective of conf/objective/ with its options: `objective_named("dpo", beta=0.2)`.

    Raises:
        ConfigError: there is no such objective, or it does not take these options.
    """
    known = options("objective")
    if name not in known:
        raise ConfigError(f"objective={name!r}: allowed are {', '.join(known)}")
    path = config_dir() / "objective" / f"{name}.yaml"
    node = yaml.safe_load(path.read_text(encoding="utf-8")) | changed
    return make_objective({key: value for key, value in node.items() if value != _MISSING})
