"""What one process keeps between two calls of the product, put back to what a fresh process has."""

from __future__ import annotations

import functools
import logging
import os
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np
import torch
from hydra.core.global_hydra import GlobalHydra

from gradsweep.models.cache import ModelCache

THREADS = int(os.environ.get("GRADSWEEP_TEST_THREADS", "1"))
"""Of torch: tiny matrices are four times slower when two threads share them."""

OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")

PURE = {
    *("resampling_weights", "_signs", "versions", "code_digest"),
    *("built_in_options", "option_content", "option_part", "config_schema"),
    *("register_configs", "parsed", "generated_questions"),
    *("config_groups", "point_fields", "_text_fields", "_options_of", "_node", "_defaults"),
}
"""Cached functions of their arguments, or of the installed code, alone: nothing of a test's."""

_CACHE = type(functools.lru_cache(lambda: None))


def forget_developer() -> None:
    """Leave nothing of a developer's own set-up in the environment: W&B, and an offline hub."""
    for name in [*os.environ]:
        if name.startswith("WANDB_") or name in OFFLINE:
            del os.environ[name]


@contextmanager
def fresh_process() -> Iterator[None]:
    """Inside the block nothing is left of what ran before it, and afterwards nothing of the block.

    By the house's convention a module's constants are in capitals: a container in small letters
    is state, and is emptied. So is every cache, but for `PURE`.
    """
    environment, folder, arguments = dict(os.environ), os.getcwd(), list(sys.argv)
    for name in _product(len(sys.modules), next(reversed(sys.modules))):
        _empty(sys.modules[name])
    GlobalHydra.instance().clear()
    for name in ("huggingface_hub.constants", "datasets.config"):  # they read it when imported
        if name in sys.modules:
            sys.modules[name].HF_HUB_OFFLINE = False  # type: ignore[attr-defined]
    torch.set_num_threads(THREADS)
    torch.default_generator.manual_seed(0)  # `torch.manual_seed` takes a traceback for CUDA
    np.random.seed(0)
    random.seed(0)
    root = logging.getLogger()
    level, handlers = root.level, set(root.handlers)
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in set(root.handlers) - handlers:
            if type(handler) is logging.StreamHandler:  # Hydra's, to a stream of this test
                root.removeHandler(handler)
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        os.chdir(folder)
        sys.argv[:] = arguments


@functools.lru_cache(maxsize=1)
def _product(n_modules: int, newest: str) -> list[str]:
    """Names of the product's modules; looked for again when others have come or gone."""
    return [name for name in sys.modules if f"{name}.".startswith("gradsweep.")]


def _empty(module: ModuleType) -> None:
    for name in _state(module.__name__):
        value = getattr(module, name, None)
        if isinstance(value, ModelCache):
            setattr(module, name, ModelCache())
        elif isinstance(value, _CACHE):
            value.cache_clear()
        elif value is not None:
            value.clear()


@functools.cache
def _state(module_name: str) -> tuple[str, ...]:
    """Names of a module's state; looked up once, since there is little of it and many tests."""
    return tuple(
        name
        for name, value in vars(sys.modules[module_name]).items()
        if isinstance(value, ModelCache)
        or (isinstance(value, _CACHE) and value.__name__ not in PURE)
        or (isinstance(value, dict | set | list) and name.islower() and name[:2] != "__")
    )


def killed(*_: object) -> None:
    """End this process as a machine does that runs out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)
