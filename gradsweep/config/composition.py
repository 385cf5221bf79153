"""Composition of overrides into a checked `Config`, through Hydra; no model or torch involved."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from hydra import compose as hydra_compose
from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Glob
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from gradsweep.config import Config
from gradsweep.config.complaints import complaint, unknown_field
from gradsweep.config.files import config_dir
from gradsweep.config.objective import OTHER_MODELS
from gradsweep.config.option_compositions import MAX_KEPT, compose_in_halves
from gradsweep.config.overrides import readable
from gradsweep.config.parts import SharedParts
from gradsweep.config.typed_paths import typed_path
from gradsweep.config.unread import TypedSettings
from gradsweep.errors import ConfigError

VERSION_BASE = "1.3"
MAIN_CONFIG = "config"
"""conf/config.yaml, without its ending."""

Composed = TypeVar("Composed")


@lru_cache(maxsize=1)
def register_configs() -> None:
    """Give Hydra the dataclasses as the schema of `conf/config.yaml`, and what its text uses."""
    ConfigStore.instance().store(name="gradsweep_schema", node=Config)
    OmegaConf.register_new_resolver(
        "typed_path", lambda text: typed_path(text, "store.root"), replace=True
    )


def to_config(composed: DictConfig, shared: SharedParts | None = None) -> Config:
    """Turn what Hydra composed into plain, checked dataclasses.

    Args:
        composed: of one cell.
        shared: parts that cells of the same grid have in common.

    Raises:
        ConfigError: a cross-field check failed (the message names the field), or a
            `--config-name` that does not build on gradsweep's own.
        ExcludedPointError: the dataset does not have this CoT level.
    """
    if OmegaConf.get_type(composed) is not Config:
        raise ConfigError(
            "--config-name: the file is no configuration of gradsweep; its defaults list must "
            "begin with `config`, and end with `_self_`"
        )
    if shared is None or not shared.all_known(composed):
        for name in unknown_fields(composed, Config):
            raise ConfigError(unknown_field(name))
    config = (shared or OmegaConf).to_object(composed)
    assert isinstance(config, Config)
    return config


def unknown_fields(node: DictConfig, kind: type[Any], prefix: str = "") -> Iterator[str]:
    """Fields that only a `+` could add, which Hydra would keep for nobody to read."""
    known = {declared.name for declared in fields(kind)}
    for name in map(str, node):
        if name not in known:
            yield f"{prefix}{name}"
        elif isinstance(child := node._get_node(name), DictConfig):
            inner = OmegaConf.get_type(child)
            if inner is not None and is_dataclass(inner):
                yield from unknown_fields(child, inner, f"{prefix}{name}.")


@dataclass(frozen=True)
class ConfigSource:
    """Where a composed config comes from, as Hydra's flags of the same names say."""

    config_dir: str | None = None
    """A user's own folder of YAML beside the built-in options; absolute."""
    config_name: str = MAIN_CONFIG
    """The file that composition starts from. Its defaults list begins with `config`."""
    config_path: str | None = None
    """A folder (absolute, or `pkg://…`) in place of the built-in one; None is the built-in one."""

    @property
    def flags(self) -> list[str]:
        """The flags that give this source to Hydra."""
        name = None if self.config_name == MAIN_CONFIG else self.config_name
        given = {
            "--config-dir": self.config_dir,
            "--config-name": name,
            "--config-path": self.config_path,
        }
        return [f"{flag}={value}" for flag, value in given.items() if value]

    @property
    def folders(self) -> list[str]:
        """A user's own folders, whose options come before or instead of the built-in ones."""
        return [folder for folder in (self.config_dir, self.config_path) if folder]


BUILT_IN = ConfigSource()
"""The options that come with gradsweep, and no others."""


def add_source_flags(parser: argparse.ArgumentParser) -> None:
    """Hydra's flags that `source_of` reads, for a parser that is not Hydra's own."""
    parser.add_argument("--config-dir", "-cd", metavar="DIR", help="your own YAML")
    parser.add_argument("--config-name", "-cn", metavar="NAME", help="instead of config.yaml")
    parser.add_argument("--config-path", "-cp", metavar="DIR", help="instead of the built-in YAML")


def source_of(flags: argparse.Namespace) -> ConfigSource:
    """The source that `--config-dir`, `--config-name` and `--config-path` name.

    Folders are meant from the current one, and kept absolute: jobs and retries start elsewhere.
    """
    folder, path = flags.config_dir, flags.config_path
    if path is not None and "://" not in path:
        path = str(_folder("--config-path", path))
    return ConfigSource(
        None if folder is None else str(_folder("--config-dir", folder)),
        flags.config_name or MAIN_CONFIG,
        path,
    )


def _folder(flag: str, given: str) -> Path:
    folder = Path(typed_path(given, flag)).absolute()
    if not folder.is_dir():
        raise ConfigError(
            f"{flag}={given} is not a folder; allowed is a folder of your own YAML, laid out as "
            "conf/ (its model/mine.yaml makes model=mine)"
        )
    return folder


def compose(*overrides: str, source: ConfigSource = BUILT_IN) -> Config:
    """Compose one point as the command line would: `compose("cot=detailed", "n_samples=3")`.

    Args:
        overrides: as on the command line.
        source: a user's own YAML, as `--config-dir` gives it.

    Raises:
        ConfigError: an override that cannot be read, an unknown option or field (the message
            lists what is there), a value that a check refuses, or a field that nothing would read.
    """
    read = readable(overrides)
    config = checked(lambda: to_config(compose_raw(read, source)))
    typed = TypedSettings(source.folders)
    typed.see(read, config)
    typed.require_all_read()
    return config


def compose_raw(
    overrides: Sequence[str], source: ConfigSource = BUILT_IN, *, return_hydra_config: bool = False
) -> DictConfig:
    """Hydra's own result for `overrides`; safe to call inside a running Hydra job.

    Raises:
        ConfigError: the source's folder does not exist, or Hydra stumbles over these overrides.
        hydra.errors.HydraException: an unknown option, field or config name.
    """
    try:
        config = _composed(overrides, source, return_hydra_config)
        _put_other_models(config, source)
        return config
    except (HydraException, OmegaConfBaseException, ConfigError):
        raise
    except Exception as error:  # what Hydra has not thought of: ValueError, AttributeError, …
        raise ConfigError(
            f"Hydra cannot compose {' '.join(overrides)}: {type(error).__name__}: {error}"
        ) from error


def _composed(
    overrides: Sequence[str], source: ConfigSource, return_hydra_config: bool = False
) -> DictConfig:
    # A user's own YAML may change between two compositions; the built-in one does not.
    if source == BUILT_IN:
        config = compose_in_halves(overrides, built_in_options, return_hydra_config)
        if config is not None:
            return config
    with _hydra(source):
        return hydra_compose(source.config_name, list(overrides), return_hydra_config)


@lru_cache(maxsize=MAX_KEPT)
def built_in_options(overrides: tuple[str, ...], return_hydra_config: bool) -> DictConfig:
    """Compose built-in options by Hydra; for copies only."""
    with _hydra(BUILT_IN):
        return hydra_compose(MAIN_CONFIG, list(overrides), return_hydra_config)


def _put_other_models(config: DictConfig, source: ConfigSource) -> None:
    """Put a model option's content where the objective names one, as the axis model does.

    Raises:
        ConfigError: a model is missing, or there is no such option.
    """
    node = config.get("objective")
    for option in OTHER_MODELS if isinstance(node, DictConfig) else ():
        if OmegaConf.is_missing(node, option):
            raise ConfigError(
                f"objective.{option} is needed with objective={node.get('name')}: an option of the "
                f"axis model, as in objective.{option}=qwen2_1.5b"
            )
        name = node.get(option)
        if isinstance(name, str):
            try:
                other = _composed([f"model={name}"], source).model
            except HydraException as error:
                raise ConfigError(f"objective.{option}={name}: {complaint(error)}") from error
            with flag_override(config, ["struct", "readonly"], False):
                node[option] = OmegaConf.to_container(other, enum_to_str=True)


def options_like(group: str, pattern: Glob, source: ConfigSource = BUILT_IN) -> list[str]:
    """The options of a config group that `glob(…)` means, a user's own among them, by name."""
    with _hydra(source) as hydra:
        there = hydra.config_loader.get_group_options(group)
        return sorted(str(name) for name in pattern.filter(there))


@contextmanager
def _hydra(source: ConfigSource) -> Iterator[Hydra]:
    """A Hydra that composes from `source`; one that runs already is put aside and comes back."""
    register_configs()
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    version.setbase(VERSION_BASE)
    try:
        yield Hydra.create_main_hydra2("gradsweep", _search_path(source))
    finally:
        GlobalHydra.instance().hydra = running


def _search_path(source: ConfigSource) -> ConfigSearchPath:
    """The folders in which options are looked for, in Hydra's own order of precedence."""
    search_path = create_config_search_path(source.config_path or str(config_dir()))
    if source.config_dir is not None:
        _folder("--config-dir", source.config_dir)
        before = SearchPathQuery(provider="schema")
        search_path.prepend("command-line", f"file://{source.config_dir}", before)
    return search_path


def checked(compose: Callable[[], Composed]) -> Composed:
    """Return what `compose` returns; Hydra's complaints become ours, whose message alone tells.

    Raises:
        ConfigError: what Hydra or OmegaConf refused (`complaint`).
    """
    try:
        return compose()
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(complaint(error)) from error
