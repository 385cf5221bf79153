"""Hydra's compositions of the built-in options, each made once in a process.

Hydra finds and merges the YAML of the options first, which takes most of its time, and sets fields
in the result then. The first half depends on the chosen options alone.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Sequence

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, open_dict

from gradsweep.config.overrides import parsed

MAX_KEPT = 64
"""Compositions, of about half a megabyte each: a grid's values, but not every cell of it."""

_FIELD = re.compile(r"\w+(\.\w+)+")
"""Names that cannot be a config group's: `model.dtype`, `hydra.sweep.dir`."""

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
    fields = [o for o in given if _FIELD.fullmatch(o.key_or_group)]
    options = [o for o in given if not _FIELD.fullmatch(o.key_or_group)]
    if any(o.is_sweep_override() or o.key_or_group == _SEARCHPATH for o in given) or any(
        o.package or isinstance(o.value(), dict | list) for o in options
    ):
        return None
    with_hydra = return_hydra_config or any(o.is_hydra_override() for o in fields)
    made = compose_options(tuple(str(o.input_line) for o in options), with_hydra)
    config = copy.deepcopy(made)
    ConfigLoaderImpl._apply_overrides_to_config(fields, config)
    if return_hydra_config:
        _tell_of_command(config.hydra, given)
    elif with_hydra:
        with open_dict(config):
            del config["hydra"]
    return config


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
