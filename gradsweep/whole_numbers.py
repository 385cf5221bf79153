"""Whole numbers of a configuration: counts, sizes and seeds, each within its limits."""

from __future__ import annotations

from gradsweep.errors import ConfigError

_MOST = 2**31 - 1
_MOST_OF = {
    "model.parameters": 2**63 - 1,
    "seed": 2**63 - 1,  # a column of 64 bits has it
    "training.seed": 2**32 - 1,  # what numpy's generators take, which the Trainer sets
}


def most(field_name: str) -> int:
    """Return the largest number that a field takes."""
    return _MOST_OF.get(field_name, _MOST)


def check_whole(field_name: str, value: int | None, least: int = 1) -> None:
    """Raise ConfigError for a number below `least` or above `most`; None is not given."""
    if value is None:
        return
    if value < least:
        raise ConfigError(f"{field_name} must be at least {least}, got {value}")
    if value > most(field_name):
        raise ConfigError(f"{field_name} must be at most {most(field_name)}, got {value}")
