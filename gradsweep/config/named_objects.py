"""Objects that a config names by `_target_`: a built-in objective, or one of the user's own.

    _target_: my_lab.objectives.Focal      a class, or a function
    gamma: 2.0                             what it is called with

The module must be importable where the point runs. Planning never imports it: the point's id
takes the names, the options, and the source of a module from outside gradsweep.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gradsweep.errors import ConfigError

TARGET = "_target_"


def check_named_object(node: Mapping[str, Any], field_name: str) -> None:
    """Raise ConfigError where `node` names nothing that can be found; imports no module."""
    if not isinstance(node, Mapping):
        raise ConfigError(
            f"{field_name}={node}: allowed is an entry with a name of what to call: type "
            f"+{field_name}.{TARGET}=package.module.Name"
        )
    target = node.get(TARGET)
    if not isinstance(target, str) or "." not in target:
        raise ConfigError(
            f"{field_name}.{TARGET}={target!r}: allowed is package.module.Name of a class or "
            "function that can be imported here"
        )


def identity_of(node: Mapping[str, Any], field_name: str) -> dict[str, Any]:
    """Target and options as plain values; with a digest of the source outside gradsweep.

    Raises:
        ConfigError: the target's module is not found.
    """
    check_named_object(node, field_name)
    module = str(node[TARGET]).rpartition(".")[0]
    identity = dict(node)
    if module.partition(".")[0] != "gradsweep":
        identity["source"] = _source_digest(module, field_name)
    return identity


def make_named_object(node: Mapping[str, Any], field_name: str) -> Any:
    """The instance of a class, or the function with its options bound.

    Raises:
        ConfigError: the module or name is not there, or does not take these options.
    """
    check_named_object(node, field_name)
    module, _, name = str(node[TARGET]).rpartition(".")
    if module.partition(".")[0] != "gradsweep":
        _check_unchanged(module, field_name)
    options = {str(key): value for key, value in node.items() if key != TARGET}
    try:
        target = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{field_name}.{TARGET}={node[TARGET]}: {error}. It must be importable where the "
            "point runs: install the package, or put its folder on PYTHONPATH"
        ) from error
    try:
        if inspect.isclass(target):
            return target(**options)
        inspect.signature(target).bind_partial(**options)
    except TypeError as error:
        raise ConfigError(
            f"{field_name}: {node[TARGET]} does not take {options}: {error}"
        ) from error
    return partial(target, **options)


_imported: dict[str, str] = {}
"""Digest of the source of each module from outside, as it was when it was first used here."""


def _check_unchanged(module: str, field_name: str) -> None:
    """What runs is the code that the point's id names: Python does not read a module twice."""
    digest = _source_digest(module, field_name)
    if _imported.setdefault(module, digest) != digest:
        raise ConfigError(
            f"{field_name}.{TARGET}: the source of {module} has changed since it was imported in "
            "this process: start Python again"
        )


def _source_digest(module: str, field_name: str) -> str:
    """First 16 hex digits of the SHA-256 of the module's file."""
    try:
        spec = find_spec(module)
    except ImportError:
        spec = None
    if spec is None or not spec.origin or not Path(spec.origin).is_file():
        raise ConfigError(
            f"{field_name}.{TARGET}: there is no module {module} here; install its package, or put "
            "its folder on PYTHONPATH"
        )
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()[:16]
