"""Hydra's compositions of the built-in options, put together from parts that are made once.

Hydra finds and merges the YAML of all options first, which takes most of its time, and sets fields
in the result then. The first half depends on the chosen options alone; and an option whose file
speaks of nothing else is merged into its group's node of the schema, whatever the others are.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import fields
from functools import lru_cache

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, flag_override, open_dict

from gradsweep.config.files import config_dir, config_groups
from gradsweep.config.overrides import parsed
from gradsweep.config.point import Config

MAX_KEPT = 64
"""Compositions, of about half a megabyte each: experiments and launchers, but not every grid."""

_DEFAULTS = re.compile(r"^defaults:", re.MULTILINE)
"""In the YAML of an option: others that it brings along."""

_PACKAGE_OF_ALL = "# @package _global_"
"""In the YAML of an experiment: its keys are those of the whole config."""

_NODES = {declared.name for declared in fields(Config)}
"""Top-level nodes; an experiment has none of its own."""

_SEARCHPATH = "hydra.searchpath"
"""Adds folders of options, so it is no field that is set last."""

OptionComposer = Callable[[tuple[str, ...], bool], DictConfig]
"""Composes options alone, from their overrides; with the node `hydra` or without."""


def compose_in_halves(
    overrides: Sequence[str], compose_options: OptionComposer, return_hydra_config: bool = False
) -> DictConfig | None:
    """Set fields in a copy of what the options compose: Hydra's own result, config for config.

    Args:
        overrides: in Hydra's grammar.
        compose_options: may give the same object again; it is copied.
        return_hydra_config: as of `hydra.compose`.

    Returns:
        None for overrides that only Hydra itself can put in order, or refuse.

    Raises:
        hydra.errors.HydraException: an override that cannot be read, an unknown option or field.
    """
    given = [parsed(text) for text in overrides]
    settings = [o for o in given if _sets_field(o)]
    options = [o for o in given if not _sets_field(o)]
    if any(
        o.is_sweep_override() or o.package or o.key_or_group == _SEARCHPATH for o in given
    ) or any(isinstance(o.value(), list) for o in options):
        return None
    with_hydra = return_hydra_config or any(o.is_hydra_override() for o in settings)
    config = _with_options(options, compose_options, with_hydra)
    ConfigLoaderImpl._apply_overrides_to_config(settings, config)
    if return_hydra_config:
        _tell_of_command(config.hydra, given)
    elif with_hydra:
        with open_dict(config):
            del config["hydra"]
    return config


def _sets_field(override: Override) -> bool:
    """Whether it is set in what the options compose, and chooses none, by Hydra's own rule."""
    name = override.key_or_group
    is_group = "/" in name or name == "hydra" or name in config_groups()
    return not is_group or isinstance(override.value(), dict)


def _with_options(
    options: Sequence[Override], compose_options: OptionComposer, with_hydra: bool
) -> DictConfig:
    """What the options compose, for the caller to change."""
    parts = {o.key_or_group: _part_of(o) for o in options}
    alone = {group: part for group, part in parts.items() if part is not None}
    others = [o for o in options if o.key_or_group not in alone]
    if len(parts) < len(options) or not all(_leaves_alone(o, alone) for o in others):
        alone, others = {}, list(options)
    texts = tuple(str(o.input_line) for o in others)
    config = copy.deepcopy(compose_options(texts, with_hydra))
    with flag_override(config, "struct", False):
        for group, part in alone.items():
            config[group] = part
    if with_hydra:
        with open_dict(config.hydra):
            chosen = {o.key_or_group: o.value() for o in options if o.key_or_group in alone}
            config.hydra.runtime.choices.update(chosen)
    return config


def _part_of(override: Override) -> DictConfig | None:
    """What a plain `group=option` makes of the group's node; None where only Hydra can tell."""
    group, option = override.key_or_group, override.value()
    if override.type is not OverrideType.CHANGE or not isinstance(option, str):
        return None
    return option_part(group, option) if group in config_groups() else None


def _leaves_alone(override: Override, groups: Collection[str]) -> bool:
    """Whether what Hydra composes of an override has no word on the nodes of these groups."""
    group, option = override.key_or_group, override.value()
    if "/" in group:
        return True  # hydra/launcher=slurm
    content = option_content(group, str(option))
    return group not in _NODES and content is not None and not set(groups) & set(content)


@lru_cache(maxsize=256)
def option_content(group: str, option: str) -> DictConfig | None:
    """The YAML of an option: of its group's node, of an experiment of the whole config.

    None where there is no such file, or it brings other options along.
    """
    file = config_dir() / group / f"{option}.yaml"
    if not re.fullmatch(r"[\w.]+", option) or not file.is_file():
        return None
    text = file.read_text(encoding="utf-8")
    is_of_all = _PACKAGE_OF_ALL in text
    if _DEFAULTS.search(text) or is_of_all == (group in _NODES):
        return None
    content = OmegaConf.load(file)
    return content if isinstance(content, DictConfig) else None


@lru_cache(maxsize=256)
def option_part(group: str, option: str) -> DictConfig | None:
    """The schema's node of a group with an option's YAML merged into it, as Hydra merges it.

    None for an option that does not exist, or whose file reaches further than its group's node.
    """
    content = option_content(group, option)
    if content is None or group not in _NODES:
        return None
    whole = copy.deepcopy(config_schema())
    whole.merge_with({group: content})
    part: DictConfig = whole[group]
    return part


@lru_cache(maxsize=1)
def config_schema() -> DictConfig:
    """Return the schema as OmegaConf reads it off the dataclasses, which takes a while; to copy."""
    schema: DictConfig = OmegaConf.structured(Config)
    return schema


def _tell_of_command(hydra: DictConfig, given: Sequence[Override]) -> None:
    """Put into the node `hydra` what Hydra says there of all overrides and of the process."""
    of_hydra = [o for o in given if o.is_hydra_override()]
    of_task = [o for o in given if not o.is_hydra_override()]
    hydra.overrides.hydra = [o.input_line for o in of_hydra]
    hydra.overrides.task = [o.input_line for o in of_task]
    hydra.runtime.cwd = os.getcwd()
    marks = hydra.job.config.override_dirname
    hydra.job.override_dirname = get_overrides_dirname(
        of_task, kv_sep=marks.kv_sep, item_sep=marks.item_sep, exclude_keys=marks.exclude_keys
    )
