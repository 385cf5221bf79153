"""Parts of composed configs as objects, made once for all cells of a grid that share them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from omegaconf import DictConfig, Node, OmegaConf

_MOST_KNOWN = 512
"""Parts that are held: a grid has some dozens of values, and each of its cells most of them."""
_ENVIRONMENT = "${oc.env:"


class SharedParts:
    """Dataclasses of parts that were seen before; nobody changes one that is part of a config."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[DictConfig, Any]] = {}
        """By id: nodes, and their objects where these are the same in every cell."""

    def all_known(self, composed: DictConfig) -> bool:
        """Whether every part was seen in another cell, and so has been checked."""
        nodes = [composed._get_node(str(name)) for name in composed]
        return all(id(node) in self._known for node in nodes if _is_part(node))

    def to_object(self, composed: DictConfig) -> Any:
        """Do what `OmegaConf.to_object` does of a structured config; raises as it."""
        names = [str(name) for name in composed]
        nodes = {name: composed._get_node(name) for name in names}
        if any(OmegaConf.is_missing(composed, n) or OmegaConf.is_interpolation(composed, n)
               for n in names):  # fmt: skip
            return OmegaConf.to_object(composed)
        values = {
            name: self._part(node) if isinstance(node, DictConfig) else composed[name]
            for name, node in nodes.items()
        }
        return OmegaConf.get_type(composed)(**values)  # type: ignore[misc]

    def _part(self, node: DictConfig) -> Any:
        _, known = self._known.get(id(node), (node, None))
        if known is not None:
            return known
        made = OmegaConf.to_object(node)
        if _is_part(node):
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            # What it takes from elsewhere may be another value in the next cell. The node is held,
            # so that its id stays its own.
            self._known[id(node)] = node, None if _looks_elsewhere(node) else made
        return made


def place_part(whole: DictConfig, name: str, node: Node) -> None:
    """Put a part into a config that has one of its kind: the node itself, by which it is known."""
    content = whole._content
    assert isinstance(content, dict)
    node._set_parent(whole)
    content[name] = node


def _is_part(node: Any) -> bool:
    return isinstance(node, DictConfig) and is_dataclass(OmegaConf.get_type(node))


def _looks_elsewhere(node: Node) -> bool:
    """Whether some value in it is an interpolation of more than the environment."""
    content = node._value()
    if node._is_interpolation():
        return not (content.startswith(_ENVIRONMENT) and content.count("${") == 1)
    if not isinstance(content, dict | list):
        return False
    return any(map(_looks_elsewhere, content.values() if isinstance(content, dict) else content))


def plain(value: Any) -> Any:
    """Write a config as config.yaml has it: dataclasses as dicts, enums by name.

    Ten times as soon done as by OmegaConf, which a config has come from.
    """
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return {plain(key): plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value
