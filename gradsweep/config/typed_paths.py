"""Paths as people type them: `~` and `$NAME` are read wherever a shell has left them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from gradsweep.config.options import path_fields
from gradsweep.errors import ConfigError

_VARIABLE = re.compile(r"\$(?:\w+|\{\w+\})")


def typed_path(text: str, field_name: str) -> str:
    """The path that `text` means, with the home folder and environment variables put in.

    A `$` in the name of a file that is there stays.

    Raises:
        ConfigError: a variable that is not set, or a user who is not known here.
    """
    path = os.path.expanduser(text)
    if path.startswith("~"):
        raise ConfigError(
            f"{field_name}={text}: there is no user {path.split(os.sep)[0][1:]!r} on this machine; "
            f"a folder of that very name is ./{text}"
        )
    if os.path.lexists(path):
        return path
    path = os.path.expandvars(path)
    if unset := _VARIABLE.search(path):
        raise ConfigError(
            f"{field_name}={text}: the environment variable {unset[0]} is not set; set it, or give "
            "the path without it"
        )
    return path


def typed_place(word: str) -> Path:
    """The folder or file that a word of a command line means; raises as `typed_path`."""
    return Path(typed_path(word, "path"))


def read_typed_paths(options: Any, prefix: str) -> None:
    """Put what was meant in place of every path that was typed.

    Args:
        options: an instance of a dataclass of the config.
        prefix: its place in the config, as `model.source`.

    Raises:
        ConfigError: as `typed_path`.
    """
    for name in path_fields(options):
        if text := getattr(options, name):
            setattr(options, name, typed_path(text, f"{prefix}.{name}"))
