"""Configs as records have them, restored: points of a folder have most of their parts in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, Node, OmegaConf

from gradsweep.config import Config
from gradsweep.config.composition import to_config
from gradsweep.config.option_compositions import config_schema
from gradsweep.config.parts import SharedParts, place_part

_MOST_KNOWN = 256
"""Parts that are held, of the several thousands that a folder may have in all."""


class StoredParts:
    """Parts that were restored before; OmegaConf reads each once, and not for every point."""

    def __init__(self) -> None:
        self._schema = config_schema()
        self._nodes: dict[tuple[str, str], Node] = {}
        self._wholes: dict[frozenset[str], DictConfig] = {}
        """By the parts that a record has, which are put in anew each time: a copy of the schema
        takes four times as long as all the rest."""
        self._shared = SharedParts()

    def config(self, stored: Mapping[str, Any]) -> Config:
        """Restore a config from plain values by field.

        Raises:
            OmegaConfBaseException: a field that there is not, or a value of another type.
            ConfigError: a check of the config fails.
        """
        if stored.keys() - self._schema.keys():
            OmegaConf.merge(self._schema, stored)  # says which
        names = frozenset(stored)
        if names not in self._wholes:
            self._wholes[names] = self._schema.copy()
        whole = self._wholes[names]
        for name, part in stored.items():
            place_part(whole, name, self._node(name, part))
        return to_config(whole, self._shared)

    def _node(self, name: str, part: Any) -> Node:
        key = name, repr(part)
        if key not in self._nodes:
            if len(self._nodes) >= _MOST_KNOWN:
                self._nodes.clear()
            merged = OmegaConf.merge(self._schema, {name: part})  # which makes a copy
            assert isinstance(merged, DictConfig)
            node = merged._get_node(name)
            assert isinstance(node, Node)
            self._nodes[key] = node
        return self._nodes[key]
