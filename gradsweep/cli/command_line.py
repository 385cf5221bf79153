"""The arguments of a run, read as Hydra itself reads them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from gradsweep import __version__
from gradsweep.config.composition import (
    BUILT_IN,
    ConfigSource,
    checked,
    compose_raw,
    source_of,
)
from gradsweep.config.overrides import override_of, readable
from gradsweep.errors import ConfigError, UsageError
from gradsweep.plan.grid import hydra_settings

COMMANDS = ("run", "multirun", "cfg", "info", "shell_completion", "hydra_help")
"""Flags of Hydra's that exclude each other; without one of them it runs one point."""
PRINTING = ("cfg", "info", "shell_completion", "hydra_help")
"""Flags after which Hydra only prints, or installs, something of its own."""


@dataclass(frozen=True)
class CommandLine:
    """What a command line asks for: one point or a grid, composed from where."""

    overrides: tuple[str, ...]
    multirun: bool
    source: ConfigSource
    prints: tuple[str, ...] | None
    """All arguments, where Hydra prints something of its own instead of running points."""


def read_command_line(args: Sequence[str]) -> CommandLine:
    """Read flags and overrides in any order, abbreviated flags included.

    Raises:
        UsageError: an unknown flag, flags that exclude each other, a word that is no override.
        ConfigError: a folder of configs that does not exist; overrides that do not compose.
    """
    parser = _Parser(parents=[_flags()], add_help=False)
    given = parser.parse_intermixed_args(list(args))
    _require_one_command(given)
    prints = any(getattr(given, name) for name in PRINTING)
    if not prints:
        _require_overrides(given.overrides)
    overrides = readable(given.overrides)
    source = source_of(given)
    if prints:
        _require_one_point(overrides)
        checked(lambda: compose_raw(overrides, source))  # Hydra tells by printing and exiting
        read = dict(zip(given.overrides, overrides, strict=True))
        words = tuple(read.get(word, word) for word in args)
        return CommandLine(tuple(overrides), given.multirun, source, words)
    multirun = given.multirun or _mode_is_multirun(overrides, source)
    return CommandLine(tuple(overrides), multirun, source, None)


def read_points(args: Sequence[str], verb: str) -> CommandLine:
    """Read the arguments of a verb that takes those of a run; raises as `read_command_line`."""
    line = read_command_line(args)
    if line.prints is not None:
        raise UsageError(f"{verb} takes no flags that make Hydra print: leave out the word {verb}")
    return line


def _flags() -> argparse.ArgumentParser:
    """Hydra's parser, with a version and a help of our own, also where they are abbreviated."""
    parser = get_args_parser()
    for action in parser._actions:
        if action.dest == "version":
            action.version = f"gradsweep {__version__}"  # type: ignore[attr-defined]
    return parser


class _Parser(argparse.ArgumentParser):
    """Hydra's flags, with complaints as exceptions."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see python -m gradsweep --help, and --hydra-help for flags")


def _require_one_command(given: argparse.Namespace) -> None:
    """Raises UsageError for what Hydra would refuse by a traceback, or silently ignore."""
    if given.help:
        raise UsageError("--help is typed in full: python -m gradsweep --help")
    commands = [_flag(name) for name in COMMANDS if getattr(given, name)]
    if len(commands) > 1:
        raise UsageError(f"{' and '.join(commands)} exclude each other: give one of them")
    for name in ("resolve", "package"):
        if getattr(given, name) and not given.cfg:
            raise UsageError(f"{_flag(name)} says how --cfg prints: add --cfg job, hydra or all")
    if given.cfg == "hydra" and given.resolve:
        raise UsageError(
            "--cfg hydra --resolve cannot be shown: Hydra's folders lie in store.root, which "
            "--cfg hydra leaves out; --cfg all --resolve shows both"
        )
    if given.experimental_rerun is not None:
        raise UsageError(
            "--experimental-rerun would run a point past its plan; type the point's command "
            "again: it goes on where it was stopped"
        )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _require_overrides(words: Sequence[str]) -> None:
    for word in words:
        if "=" not in word and not word.startswith("~"):
            raise UsageError(
                f"{word!r} is no override like cot=detailed; a verb is the first word after "
                "gradsweep (python -m gradsweep plan -m …)"
            )


def _require_one_point(overrides: Sequence[str]) -> None:
    """Raises ConfigError for a grid after a flag that shows one point."""
    for text in overrides:
        if override_of(text).is_sweep_override():
            raise ConfigError(
                f"{text}: a flag that prints shows one point; give one value, or see the grid by "
                "python -m gradsweep plan -m …"
            )


def _mode_is_multirun(overrides: Sequence[str], source: ConfigSource) -> bool:
    """Whether `hydra.mode` asks for a grid: built-in options do not, and need not be composed."""
    if source == BUILT_IN and not any(text.startswith(("hydra", "+")) for text in overrides):
        return False
    mode = checked(lambda: hydra_settings(overrides, source)).get("mode")
    return mode is not None and mode.name == "MULTIRUN"
