"""Schedulers run tasks. Each module or package of this folder has one, found by its name.

base.py    the contract          local.py   processes on this machine
slurm/     SLURM job arrays
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, TypeGuard

from gradsweep.errors import ConfigError
from gradsweep.jobs.schedulers.base import Scheduler


@cache
def schedulers() -> dict[str, type[Scheduler[Any]]]:
    """Return every scheduler of this folder, name -> class, sorted by name."""
    modules = [
        import_module(f"{__name__}.{entry.name}") for entry in pkgutil.iter_modules(__path__)
    ]
    classes = [value for module in modules for value in vars(module).values() if _is_ours(value)]
    return {scheduler.name: scheduler for scheduler in sorted(classes, key=lambda c: c.name)}


def scheduler_class(name: str) -> type[Scheduler[Any]]:
    """Return the class of this name: of this folder, or one elsewhere by its dotted path.

    Raises:
        ConfigError: there is none; says which there are.
    """
    if name in schedulers():
        return schedulers()[name]
    module, _, attribute = name.rpartition(".")
    try:
        known = getattr(import_module(module), attribute) if module else None
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{_unknown(name)} ({error})") from error
    if not _is_scheduler(known):
        raise ConfigError(_unknown(name))
    return known


def submission_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return these variables without what any enclosing job would hand down to its own jobs."""
    clean = dict(environment)
    for scheduler in schedulers().values():
        clean = scheduler.outside(clean)
    return clean


def _is_scheduler(value: Any) -> TypeGuard[type[Scheduler[Any]]]:
    return isinstance(value, type) and issubclass(value, Scheduler) and not _abstract(value)


def _abstract(value: type) -> bool:
    return bool(getattr(value, "__abstractmethods__", None))


def _is_ours(value: Any) -> bool:
    return _is_scheduler(value) and value.__module__.startswith(f"{__name__}.")


def _unknown(name: str) -> str:
    return (
        f"scheduler {name!r} is not known here; known are {', '.join(schedulers())}, and one of "
        "your own by the dotted path of its class"
    )
