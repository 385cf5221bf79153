"""Hydra's complaints in the words of this command line: what was given, what is allowed.

Hydra lists the folders that it searched, names its own classes, and advises `+n_sample=3` for a
field that nobody would read. These texts are of Hydra 1.3, to which the package is pinned.
"""

from __future__ import annotations

import re
from typing import get_origin

from hydra.errors import MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import (
    ConfigKeyError,
    ConfigTypeError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    UnsupportedInterpolationType,
    ValidationError,
)

from gradsweep.config.fields import point_fields
from gradsweep.config.files import config_groups
from gradsweep.config.named_objects import TARGET
from gradsweep.config.objective import unknown_option
from gradsweep.config.value_kinds import allowed_value
from gradsweep.errors import did_you_mean

_NOISE = re.compile(r"full_key:|object_type=|reference_type=|To append to your|provider=")
"""Beginnings of lines that help nobody to type the right thing."""


def complaint(error: Exception) -> str:
    """One message for what Hydra or OmegaConf refused."""
    cause = error.__cause__
    if isinstance(error, MissingConfigException) and error.options is not None:
        return _unknown_option(str(error.missing_cfg_file), list(error.options))
    text = str(error)
    if found := re.match(r"Could not override '([^']+)'", text):
        return _cannot_override(found[1], text, cause)
    if found := re.match(r"Multiple values for (\S+)\. .*'override [^:]+: (.*)'", text):
        return f"+{found[1]}={found[2]}: every point has a {found[1]}: type {found[1]}={found[2]}"
    if found := re.match(r"Ambiguous value for argument '(.+)'\n", text):
        name, _, value = found[1].partition("=")
        return (
            f"{found[1]}: several values make a grid: add -m; one text with commas goes in quotes "
            f"inside the shell's: \"{name}='{value}'\""
        )
    if found := re.match(r"Sweep parameters '(.+)' requires --multirun", text):
        return f"{found[1]}: several values make a grid: add -m"
    if found := re.match(r"Cannot find primary config '([^']+)'", text):
        return (
            f"--config-name={found[1]}: there is no {found[1]}.yaml in the folder of --config-dir"
        )
    if found := re.match(r"Error merging override (.*)", text):
        return _cannot_merge(found[1], cause)
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} has no value: type {error.full_key}=<value>"
    if isinstance(error, InterpolationResolutionError | UnsupportedInterpolationType):
        return (
            f"{error.full_key}: {_plain(error)}; allowed after $ is a field by its whole name, as "
            "${seed}, or a variable of the environment, as ${oc.env:HOME}"
        )
    return " ".join(dict.fromkeys(filter(None, (_plain(error), _plain(cause)))))


def unknown_field(name: str) -> str:
    """Say that a name is no field of a point, and which one was probably meant."""
    known = point_fields()
    mappings = [field for field, kind in known.items() if get_origin(kind) is dict]
    if mapping := next((field for field in mappings if name.startswith(f"{field}.")), None):
        return f"{name}: {mapping} has nothing of this name yet: type +{name}=…"
    same_end = [field for field in known if field.endswith(f".{name}")]
    meant = f" (did you mean {same_end[0]}?)" if same_end else did_you_mean(name, known)
    return (
        f"{name}: there is no such field, and nothing would come of it{meant}; "
        "--cfg job shows all fields"
    )


def _unknown_option(file: str, options: list[str]) -> str:
    group, _, name = file.rpartition("/")
    return (
        f"{group}={name}: there is no such option{did_you_mean(name, options)}; "
        f"allowed are {', '.join(options)}"
    )


def _cannot_merge(override: str, cause: BaseException | None) -> str:
    """Of a value that is none of its field's kind, or that has an entry which nobody reads."""
    if isinstance(cause, ConfigKeyError):
        return unknown_field(str(cause.full_key))
    said = _plain(cause) if cause else "it cannot be set"
    if isinstance(cause, ValidationError | ConfigTypeError):
        said = allowed_value(override, str(cause.full_key or "")) or said
    return f"{override}: {said}"


def _cannot_override(name: str, text: str, cause: BaseException | None) -> str:
    advised = re.search(r"use (\+\S+)", text)
    if name in config_groups() and isinstance(cause, ConfigKeyError) and "={" in text:
        return unknown_field(str(cause.full_key))
    if name in config_groups() and advised:
        return f"{advised[1][1:]}: not every point has one: type {advised[1]}"
    key, parent = name.rpartition(".")[2], getattr(cause, "parent_node", None)
    if name == f"objective.{key}" and isinstance(parent, DictConfig) and TARGET in parent:
        return unknown_option(parent, key)
    if not name.startswith("hydra."):
        return unknown_field(name.partition("@")[0])
    there = [str(known) for known in parent] if parent is not None else []
    launcher = "; choose the launcher that has it, as hydra/launcher=slurm or local"
    return (
        f"{name}: there is no such setting here{did_you_mean(key, there)}"
        f"{launcher if name.startswith('hydra.launcher.') else ''}"
    )


def _plain(error: BaseException | None) -> str:
    """The lines of a message that tell something."""
    text = str(error or "").partition("Config search path:")[0]
    lines = (line.strip() for line in text.splitlines())
    return " ".join(line for line in lines if line and not _NOISE.match(line))
