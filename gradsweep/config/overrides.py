"""Overrides as people type them: checked one by one, and quoted where Hydra's grammar needs it.

Hydra's grammar has no letters beyond ASCII, no `~`, `=` or `[` inside a text, and reads `1e5` as a
number. A path or a name may hold all of these, so the value of a text field is what was typed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import get_args

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from gradsweep.config.fields import point_fields
from gradsweep.config.files import config_groups, options
from gradsweep.errors import ConfigError, UsageError
from gradsweep.whole_numbers import most

_PARTS = re.compile(
    r"""(?:'(?:\\.|[^'])*'|"(?:\\.|[^"])*"|\$\{[^}]*\}|\[[^\]]*\]|\([^)]*\)|[^,])+"""
)
"""Values between commas; no comma in quotes, brackets or an interpolation is one of these."""


_ELLIPSES = ("…", "...")
_MAY_BE_LEFT_OUT = ("tracking",)
"""Config groups without which a point says of itself what it does without."""


def readable(overrides: Sequence[str]) -> list[str]:
    """The same overrides in Hydra's grammar; those that are in it already stay as they are.

    Raises:
        ConfigError: a word that is no override, a value that cannot be read, or something else
            than a name for a config group.
    """
    return [_readable(text) for text in overrides]


def override_of(text: str) -> Override:
    """Read one override.

    Raises:
        ConfigError: it is not in Hydra's grammar; says whether it is the name or the value.
    """
    try:
        return parsed(text)
    except (HydraException, RecursionError) as error:
        name, _, value = text.partition("=")
        if not _parses(f"{name}=x") or "=" not in text:
            raise _no_override(text) from error
        raise ConfigError(
            f"{text}: Hydra's grammar has no such value; a text goes in quotes inside the shell's: "
            f'"{name}={quoted(value)}"'
        ) from error
    except ValueError as error:  # Python reads some thousand digits
        name, _, value = text.partition("=")
        raise ConfigError(
            f"{name}: a number of {len(value)} digits; allowed are at most {most(name.lstrip('+'))}"
        ) from error


def _no_override(text: str) -> ConfigError:
    return ConfigError(
        f"{text!r} is no override: allowed are axis=option, field=value, +field=value and "
        "~group, as in cot=detailed n_samples=20"
    )


@lru_cache(maxsize=1024)
def parsed(text: str) -> Override:
    """Read one override as Hydra does, which takes milliseconds; nobody changes what it returns.

    Raises:
        hydra.errors.HydraException: it is not in Hydra's grammar.
    """
    return OverridesParser.create().parse_override(text)


def refuse_ellipsis(word: str) -> None:
    """Refuse `…`, which stands for something in documents and for nothing in a command.

    Raises:
        UsageError: it is in the word; says what to do.
    """
    if not any(part in _ELLIPSES for part in re.split(r"[=,/\s]", word)):
        return
    name, equal, _ = word.partition("=")
    remedy = f"type your own value: {name}=<value>" if equal and name else "leave it out"
    raise UsageError(f"{word!r}: … stands for what is yours to fill in; {remedy}")


def _readable(text: str) -> str:
    refuse_ellipsis(text)
    _refuse_invisible(text)
    name, equal, value = text.partition("=")
    field = name.lstrip("+")
    if equal and field in _text_fields():
        text = f"{name}={','.join(_text_values(value))}"
    override = override_of(text)
    if not override.key_or_group:
        raise _no_override(text)
    if override.is_delete():
        _refuse_deletion(override)
    elif field in config_groups():
        _require_option(override, field)
    return text


def _refuse_deletion(override: Override) -> None:
    """Refuse what Hydra would do in silence: take a choice away, and measure with a default."""
    name = override.key_or_group
    if override.is_hydra_override() or name.startswith("hydra/") or name in _MAY_BE_LEFT_OUT:
        return
    if name in config_groups():
        raise ConfigError(
            f"~{name}: every point has a {name}, and without the choice it would be measured with "
            f"a default: type {name}=<one of {', '.join(options(name))}>"
        )
    raise ConfigError(f"~{name}: nothing of a point can be taken away; type {name}=<value>")


def _refuse_invisible(text: str) -> None:
    """Refuse what nobody sees in a terminal: it comes from files and pages that were copied."""
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in text):
        raise ConfigError(
            f"{text!r} is not UTF-8: use a UTF-8 locale (LANG=C.UTF-8), and names in UTF-8"
        )
    if text != text.strip() and text.rstrip(" ") != text.rstrip():
        hint = "; the script has Windows line ends" if text.endswith("\r") else ""
        raise ConfigError(f"{text!r} ends in something that cannot be seen: delete it{hint}")
    control = [letter for letter in text if ord(letter) < 32 and letter != "\t"]
    if control:
        raise ConfigError(f"{text!r} has a control character, {control[0]!r}: delete it")


def _text_values(value: str) -> Iterator[str]:
    """Each of the values between commas, in quotes unless Hydra reads it as this very text."""
    parts = _PARTS.findall(value) if value.strip(",") == value else [value]
    for part in parts or [""]:
        yield part if _is_text(part) else quoted(part.strip())


def _is_text(value: str) -> bool:
    if not _parses(f"x={value}"):
        return False
    read = parsed(f"x={value}")
    return read.is_sweep_override() or read.value() is None or isinstance(read.value(), str)


def _parses(text: str) -> bool:
    try:
        parsed(text)
    except (HydraException, RecursionError, ValueError):
        return False
    return True


def quoted(value: str) -> str:
    """A text as an override's value, whatever is in it."""
    return str(QuotedString(value, Quote.single).with_quotes())


def _require_option(override: Override, group: str) -> None:
    if override.is_sweep_override() or isinstance(override.value(), str | dict):
        return
    raise ConfigError(
        f"{override.input_line}: allowed are {', '.join(options(group))}, and what --config-dir "
        f"has in {group}/"
    )


@lru_cache(maxsize=1)
def _text_fields() -> frozenset[str]:
    """Fields of `Config` whose value is a text, as `model.source.path`."""
    return frozenset(
        name
        for name, kind in point_fields().items()
        if kind is str or set(get_args(kind)) == {str, type(None)}
    )
