"""`glob(…)` on the command line: the options of a config group that it means, spelled out."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.override_parser.types import Glob, Override

from gradsweep.config.composition import ConfigSource, compose_raw, options_like, to_config
from gradsweep.config.files import AXIS_GROUPS
from gradsweep.config.overrides import override_of
from gradsweep.errors import ConfigError, ExcludedPointError


def spelled_out(overrides: Sequence[str], source: ConfigSource) -> tuple[list[str], list[str]]:
    """Write `cot=none,detailed` for `cot=glob(*)`.

    An option that lacks something nobody has given (`model=folder` without a path) is left out.

    Returns:
        The overrides, and why options were left out.

    Raises:
        ConfigError: nothing is left, or it is no config group.
    """
    parsed = [(text, override_of(text)) for text in overrides]
    if not any(isinstance(override.value(), Glob) for _, override in parsed):
        return list(overrides), []
    plain = [text for text, override in parsed if not override.is_sweep_override()]
    left_out: list[str] = []
    written = []
    for text, override in parsed:
        if not isinstance(override.value(), Glob):
            written.append(text)
            continue
        name = override.get_key_element()
        meant = [f"{name}={option}" for option in _options(text, override, source)]
        lacking = {each: _lacks([*plain, each], source) for each in meant}
        left_out += [f"{each}: {lack}" for each, lack in lacking.items() if lack]
        kept = [each.partition("=")[2] for each, lack in lacking.items() if not lack]
        if not kept:
            raise ConfigError(f"{text}: none of these can run: {'; '.join(left_out)}")
        written.append(f"{name}={','.join(kept)}")
    return written, left_out


def _options(text: str, override: Override, source: ConfigSource) -> list[str]:
    group, pattern = override.get_key_element().lstrip("+"), override.value()
    assert isinstance(pattern, Glob)
    there = options_like(group, pattern, source)
    every = options_like(group, Glob(["*"]), source)
    if not every:
        raise ConfigError(
            f"{text}: glob chooses among the options of {', '.join(AXIS_GROUPS)} "
            "and other config groups; give the values themselves"
        )
    if not there:
        raise ConfigError(f"{text} is none of {', '.join(every)}")
    return there


def _lacks(overrides: Sequence[str], source: ConfigSource) -> str:
    """What the option needs and was not given; empty when it can run in some cell."""
    try:
        to_config(compose_raw(overrides, source))
    except ExcludedPointError:
        return ""
    except ConfigError as error:
        return str(error)
    return ""
