"""The axis objective: what a point's config says of its loss, without importing it.

A node of conf/objective/ is `_target_` with the options of its class, and what everything that
never imports torch must know: its `name` on the axis, and which responses its units are made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gradsweep.config.files import config_dir
from gradsweep.config.model import ModelConfig
from gradsweep.config.named_objects import TARGET
from gradsweep.errors import ConfigError, did_you_mean
from gradsweep.records import STUDY_OBJECTIVE

DEFAULT_OBJECTIVE = {TARGET: "gradsweep.engine.objectives.sft.Sft"}
"""The study's: the mean cross-entropy of the response (conf/objective/sft.yaml)."""

NAME, RESPONSES, MEMBERS = "name", "responses", "members"
OTHER_MODELS = ("reference", "teacher")
"""Options that name a second model: an option of the axis model."""

_NO_OPTIONS = (TARGET, NAME, RESPONSES)

_STUDY_OPTIONS = {"reduction": "mean"}
"""Options of the study's objective that came later, at the values that it always had."""


class Responses(Enum):
    """Which responses to a question make a unit."""

    single = "single"
    """One: the correct or the irrelevant one, as the axis correctness says."""
    pair = "pair"
    """Chosen and rejected: the correct and the irrelevant one, or the data's own pairs."""
    group = "group"
    """Several with a reward each: correct 1 and irrelevant 0, or the data's own."""


def objective_name(node: Mapping[str, Any]) -> str:
    """Return the value of the axis: `name`, else the class's own name; `sft` for the study's."""
    if node.get(NAME):
        return str(node[NAME])
    if node.get(TARGET) == DEFAULT_OBJECTIVE[TARGET]:
        return STUDY_OBJECTIVE
    return str(node[TARGET]).rpartition(".")[2]


def responses_of(node: Mapping[str, Any]) -> Responses:
    """Return which responses the objective's units have; one each where the node does not say.

    Raises:
        ConfigError: `objective.responses` is something else.
    """
    given = node.get(RESPONSES, Responses.single.name)
    if given not in Responses.__members__:
        raise ConfigError(
            f"objective.{RESPONSES}={given}: allowed are {', '.join(Responses.__members__)}"
        )
    return Responses[given]


def check_options(node: Mapping[str, Any]) -> None:
    """Refuse what a built-in objective does not take, before anything is loaded.

    Raises:
        ConfigError: an option that it does not have, or a value of another kind than the option's
            own YAML gives. A class from outside says so itself.
    """
    known = _options_of(str(node.get(TARGET)))
    for name, value in node.items() if known else ():
        if name not in known:
            raise ConfigError(unknown_option(node, str(name)))
        kinds = {type(given) for given in known[str(name)]}
        if value is None or kinds & {str, type(None)} or kinds & {type(value)}:
            continue
        if kinds <= {bool}:
            raise ConfigError(f"objective.{name}={value}: allowed are true and false")
        if kinds <= {int, float} and type(value) not in (int, float):
            raise ConfigError(f"objective.{name}={value}: allowed is a number")


def unknown_option(node: Mapping[str, Any], name: str) -> str:
    """Say that an objective has no option of this name, and which one was probably meant."""
    target = str(node.get(TARGET))
    objective, typed = objective_name(node), f"objective.{name}"
    known = _options_of(target)
    there = [o for o in map(str, node) if o not in _NO_OPTIONS and (o in known or not known)]
    if name in known or not known:
        meant = did_you_mean(name, there)
        return f"{typed}: {target} is given nothing of this name yet{meant}: type +{typed}=…"
    has = f"its options are {', '.join(there)}" if there else "it has no options"
    return f"{typed}: objective={objective} has no {name}{did_you_mean(name, there)}; {has}"


@lru_cache(maxsize=32)
def _options_of(target: str) -> Mapping[str, list[Any]]:
    """Every key that conf/objective/ gives to this class, and its values there; none of others."""
    values: dict[str, list[Any]] = {}
    for node in map(_node, (config_dir() / "objective").glob("*.yaml")):
        for key, value in node.items() if node.get(TARGET) == target else ():
            values.setdefault(key, []).append(value)
    return values


def objective_option_names() -> frozenset[str]:
    """Name every option that some built-in objective has."""
    files = (config_dir() / "objective").glob("*.yaml")
    return frozenset(key for path in files for key in _node(path)) - frozenset(_NO_OPTIONS)


@lru_cache(maxsize=64)
def _node(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def other_model(node: Mapping[str, Any], option: str) -> ModelConfig | None:
    """Return the second model that `option` (of `OTHER_MODELS`) names, or None.

    Composition has put the option's content in the place of its name (`composition`).

    Raises:
        ConfigError: it is no model.
    """
    content = node.get(option)
    if not content:
        return None
    try:
        model = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(ModelConfig), content))
    except (OmegaConfBaseException, TypeError, ValueError) as error:
        why = f" ({str(error).splitlines()[0]})" if isinstance(content, Mapping) else ""
        raise ConfigError(
            f"objective.{option}={content}: allowed is an option of the axis model, as in "
            f"objective.{option}=qwen2_1.5b{why}"
        ) from error
    assert isinstance(model, ModelConfig)
    return model


def objective_options(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the numbers: target and options, without what only names or describes.

    Rows of members are more of the same, so `members` counts only where it is set; an option at
    the value that the study's objective always had counts for nothing, so that ids stay.
    """
    options = {str(k): v for k, v in node.items() if k not in (NAME, RESPONSES)}
    unset = {MEMBERS: False, **dict.fromkeys(OTHER_MODELS)}
    if options.get(TARGET) == DEFAULT_OBJECTIVE[TARGET]:
        unset |= _STUDY_OPTIONS
        if options.get("reduction", "mean") != "step":  # a sample alone has no members
            options = {k: v for k, v in options.items() if k not in ("step_size", MEMBERS)}
    return {k: v for k, v in options.items() if k not in unset or v != unset[k]}
