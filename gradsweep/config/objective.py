"""The axis objective: what a point's config says of its loss, without importing it.

A node of conf/objective/ is `_target_` with the options of its class, and what everything that
never imports torch must know: its `name` on the axis, and which responses its units are made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gradsweep.config.model import ModelConfig
from gradsweep.config.named_objects import TARGET
from gradsweep.errors import ConfigError
from gradsweep.records import STUDY_OBJECTIVE

DEFAULT_OBJECTIVE = {TARGET: "gradsweep.engine.objectives.sft.Sft"}
"""The study's: the mean cross-entropy of the response (conf/objective/sft.yaml)."""

NAME, RESPONSES, MEMBERS = "name", "responses", "members"
OTHER_MODELS = ("reference", "teacher")
"""Options that name a second model: an option of the axis model."""

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
        raise ConfigError(
            f"objective.{option}={content}: allowed is an option of the axis model ({error})"
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
        if options.get("reduction", "mean") != "step":
            options.pop("step_size", None)
    return {k: v for k, v in options.items() if k not in unset or v != unset[k]}
