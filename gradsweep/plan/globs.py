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
    parsed = [override_of(text) for text in overrides]
    if not any(isinstance(override.value(), Glob) for override in parsed):
        return list(overrides), []
    plain = [override.input_line for override in parsed if not override.is_sweep_override()]
    left_out: dict[str, str] = {}
    written = []
    for override in parsed:
        if not isinstance(override.value(), Glob):
            written.append(override.input_line)
            continue
        name = override.get_key_element()
        there = _options(override, source)
        lacking = {option: _lacks([*plain, f"{name}={option}"], source) for option in there}
        left_out |= {f"{name}={option}": lack for option, lack in lacking.items() if lack}
        kept = [option for option, lack in lacking.items() if not lack]
        if not kept:
            reasons = "; ".join(lack for lack in lacking.values() if lack)
            raise ConfigError(f"{override.input_line}: no option can run like this: {reasons}")
        written.append(f"{name}={','.join(kept)}")
    return written, [f"{option}: {lack}" for option, lack in left_out.items()]


def _options(override: Override, source: ConfigSource) -> list[str]:
    group, pattern = override.get_key_element().lstrip("+"), override.value()
    assert isinstance(pattern, Glob)
    there = options_like(group, pattern, source)
    every = options_like(group, Glob(["*"]), source)
    if not every:
        raise ConfigError(
            f"{override.input_line}: glob chooses among the options of {', '.join(AXIS_GROUPS)} "
            "and other config groups; give the values themselves"
        )
    if not there:
        raise ConfigError(f"{override.input_line} is none of {', '.join(every)}")
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
