"""An option's declaration: its field carries, beside type and docstring, what it changes.

Identity, estimates, `verify` and `doctor` read it here, so an option is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import Enum
from typing import Any

_KEY = "gradsweep"


class Science(Enum):
    """Whether an option decides the numbers, and so the point's id."""

    always = "always"
    when_set = "when_set"
    """Only where it differs from its default: points from before the option keep their id."""
    never = "never"


@dataclass(frozen=True)
class Effect:
    """What an option changes, besides what its docstring says."""

    science: Science = Science.never
    passes: float = 0.0
    """Further forward passes that it takes, where it is set."""
    spectra: float = 0.0
    """Further time for the spectra, in multiples of what they take without it."""
    layers_of_factors: float = 0.0
    """Further layers whose factors are in memory at a time; infinite where all layers' are."""
    stored: bool = False
    """Whether it makes rows larger, or more of them, on disk."""
    adds: bool = False
    """Whether it adds rows or columns and changes no other number: points with and without it are
    of one series."""
    canonical: Callable[[Any], Any] | None = None
    """From a value to what the point id sees: the order of some lists does not count."""
    is_path: bool = False
    """Whether it names a file or folder: `~` and `$NAME` in it are read (`config.typed_paths`)."""

    @property
    def is_work(self) -> bool:
        """Whether it changes what a token takes, in time or on disk."""
        return bool(self.passes or self.spectra or self.stored)


def option(default: Any = MISSING, effect: Effect | None = None, **field_options: Any) -> Any:
    """A dataclass field with its `Effect`; `default` and the rest as in `dataclasses.field`."""
    return field(default=default, metadata={_KEY: effect or Effect()}, **field_options)


def effects_set(options: Any) -> Iterator[tuple[str, Any, Effect]]:
    """Name, value and effect of every option that differs from its default."""
    for declared, value, effect in _declared(options):
        if value != default_of(declared):
            yield declared.name, value, effect


def science_of(options: Any) -> dict[str, Any]:
    """The options that decide the numbers, as plain values."""
    return {
        declared.name: (effect.canonical or _plain)(value)
        for declared, value, effect in _declared(options)
        if effect.science is Science.always
        or (effect.science is Science.when_set and value != default_of(declared))
    }


def adding_fields(options: Any) -> set[str]:
    """Names of the options that add to what is measured; of a dataclass or an instance of it."""
    return {f.name for f in fields(options) if f.metadata.get(_KEY, Effect()).adds}


def path_fields(options: Any) -> list[str]:
    """Names of the options that name a file or folder; of a dataclass or an instance of it."""
    return [f.name for f in fields(options) if f.metadata.get(_KEY, Effect()).is_path]


def _declared(options: Any) -> Iterator[tuple[Field[Any], Any, Effect]]:
    for declared in fields(options):
        effect = declared.metadata.get(_KEY, Effect())
        yield declared, getattr(options, declared.name), effect


def default_of(declared: Field[Any]) -> Any:
    """Return what a field has where nothing is said."""
    if declared.default_factory is not MISSING:
        return declared.default_factory()
    return declared.default


def _plain(value: Any) -> Any:
    return value.name if isinstance(value, Enum) else value
