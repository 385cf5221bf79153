"""From overrides to a checked `Config`, through Hydra; no model or torch involved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gradsweep.config import Config
from gradsweep.config.files import config_dir
from gradsweep.errors import ConfigError

VERSION_BASE = "1.3"

Composed = TypeVar("Composed")


def register_configs() -> None:
    """Give Hydra the dataclasses as the schema of `conf/config.yaml`."""
    ConfigStore.instance().store(name="gradsweep_schema", node=Config)


def to_config(composed: DictConfig) -> Config:
    """Plain checked dataclasses from what Hydra composed.

    Raises:
        ConfigError: a cross-field check failed (the message names the field).
        ExcludedPointError: the dataset does not have this CoT level.
    """
    config = OmegaConf.to_object(composed)
    assert isinstance(config, Config)
    return config


def compose(*overrides: str) -> Config:
    """Compose one point as the command line would: `compose("cot=detailed", "n_samples=3")`.

    Raises:
        ConfigError: a value that a cross-field check refuses.
        hydra.errors.HydraException: an unknown option or field; the message lists what is there.
    """
    return to_config(compose_raw(overrides))


def compose_raw(overrides: Sequence[str], **hydra_options: Any) -> DictConfig:
    """Hydra's own result for `overrides`; safe to call inside a running Hydra job."""
    register_configs()
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_dir()), version_base=VERSION_BASE):
            return hydra_compose("config", overrides=list(overrides), **hydra_options)
    finally:
        GlobalHydra.instance().hydra = running


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
