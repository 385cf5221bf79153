"""Composition of overrides into a checked `Config`, through Hydra; no model or torch involved."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hydra import compose as hydra_compose
from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gradsweep.config import Config
from gradsweep.config.files import config_dir
from gradsweep.errors import ConfigError

VERSION_BASE = "1.3"
MAIN_CONFIG = "config"
"""conf/config.yaml, without its ending."""

Composed = TypeVar("Composed")


def register_configs() -> None:
    """Give Hydra the dataclasses as the schema of `conf/config.yaml`."""
    ConfigStore.instance().store(name="gradsweep_schema", node=Config)


def to_config(composed: DictConfig) -> Config:
    """Turn what Hydra composed into plain, checked dataclasses.

    Raises:
        ConfigError: a cross-field check failed (the message names the field), or a
            `--config-name` that does not build on gradsweep's own.
        ExcludedPointError: the dataset does not have this CoT level.
    """
    config = OmegaConf.to_object(composed)
    if not isinstance(config, Config):
        raise ConfigError(
            "--config-name: the file is no configuration of gradsweep; its defaults list must "
            "begin with `config`, and end with `_self_`"
        )
    return config


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
    folder = Path(given).expanduser().absolute()
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
        ConfigError: a value that a cross-field check refuses.
        hydra.errors.HydraException: an unknown option or field; the message lists what is there.
    """
    return to_config(compose_raw(overrides, source))


def compose_raw(
    overrides: Sequence[str], source: ConfigSource = BUILT_IN, **hydra_options: Any
) -> DictConfig:
    """Hydra's own result for `overrides`; safe to call inside a running Hydra job.

    Raises:
        ConfigError: the source's folder does not exist.
        hydra.errors.HydraException: an unknown option, field or config name.
    """
    register_configs()
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    version.setbase(VERSION_BASE)
    try:
        Hydra.create_main_hydra2("gradsweep", _search_path(source))
        return hydra_compose(source.config_name, overrides=list(overrides), **hydra_options)
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
        ConfigError: what Hydra or OmegaConf refused, in their words.
    """
    try:
        return compose()
    except (HydraException, OmegaConfBaseException) as error:
        causes = [str(e).strip() for e in (error, error.__cause__) if e and str(e).strip()]
        raise ConfigError("\n".join(dict.fromkeys(causes))) from error
