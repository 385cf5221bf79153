"""Settings that were typed and that nothing would read, or that would belie a name.

Only what is typed is checked: a stored config may hold the same values from times before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from gradsweep.config.conditional_fields import UNREAD
from gradsweep.config.conditions import CorrectnessKind, DatasetConfig
from gradsweep.config.cot import CotLevel
from gradsweep.config.files import config_dir
from gradsweep.config.model import ModelConfig, ModelSource, SourceKind
from gradsweep.config.overrides import override_of
from gradsweep.config.point import Config
from gradsweep.errors import ConfigError, did_you_mean


class TypedSettings:
    """What was typed for the points of one command, and whether one of them reads it.

    A grid may vary a field of one kind only: `cot=none,partial cot.steps_kept=0,1`.
    """

    def __init__(self, own_folders: Sequence[str] = ()) -> None:
        """`own_folders` have a user's own YAML, whose options count before the built-in ones."""
        self._own = [Path(folder) for folder in own_folders]
        self._read: set[str] = set()
        self._unread: dict[str, str] = {}
        self._named: set[tuple[str, str]] = set()

    def see(self, overrides: Sequence[str], config: Config) -> None:
        """Take note of what one point was given.

        Raises:
            ConfigError: its model or its data would have the name of others.
        """
        for name, text in _typed(overrides):
            rule = _rule_of(name)
            if name.startswith(("model.source", "model.name")):
                self._require_own_name(text, config.model)
            if name in ("dataset", "dataset.name", "dataset.kind"):
                self._require_own_data_name(text, config.dataset)
            if name.startswith("dataset.files."):
                _require_level(name)
            if rule is None or name in self._read:
                continue
            if (gap := UNREAD[rule](config)) is None:
                self._read.add(name)
            elif not _is_default(config, name, text):
                self._unread.setdefault(name, _would_not_be_read(text, *gap))

    def see_excluded(self, overrides: Sequence[str]) -> None:
        """Take note of a cell that is no point: whether it would read its settings is unknown."""
        self._read |= {name for name, _ in _typed(overrides)}

    def require_all_read(self) -> None:
        """Raise ConfigError for the first setting that no point reads."""
        for name, told in self._unread.items():
            if name not in self._read:
                raise ConfigError(told)

    def _require_own_name(self, text: str, model: ModelConfig) -> None:
        """Raises ConfigError where an option's name would stand over another model's numbers."""
        source = model.source
        seen = (model.name, repr(source))
        if seen in self._named or (option := self._packaged(model.name)) is None:
            return
        self._named.add(seen)
        offered = source.kind is SourceKind.hub and source.hub_id == option.hub_id
        if offered or _what(source) == _what(option):
            return
        theirs, ours = (" ".join(_what(one)) for one in (option, source))
        raise ConfigError(
            f"{text}: the results would be called model={model.name}, which is {theirs}, and they "
            f"are of {ours}. Type model={source.kind.name} for that, or give it a name of its own, "
            "as model.name=mine"
        )

    def _require_own_data_name(self, text: str, dataset: DatasetConfig) -> None:
        """Raises ConfigError where a dataset option's name would stand over other data."""
        seen = (dataset.name, repr((dataset.kind, dataset.files)))
        if seen in self._named or (option := self._built_in("dataset", dataset.name)) is None:
            return
        self._named.add(seen)
        kind, files = option["kind"], set(option.get("files", {}).values())
        if kind == dataset.kind.name and (not files or files & set(dataset.files.values())):
            return
        raise ConfigError(
            f"{text}: the results would be called dataset={dataset.name}, which names other data. "
            f"Type dataset={dataset.name} for those, or give yours a name of their own, as "
            "dataset.name=mine"
        )

    def _packaged(self, name: str) -> ModelSource | None:
        """The source of the built-in model of this name; None where there is none."""
        node = self._built_in("model", name)
        if node is None:
            return None
        given = {key: value for key, value in node["source"].items() if key != "kind"}
        return ModelSource(kind=SourceKind[node["source"]["kind"]], **given)

    def _built_in(self, group: str, name: str) -> dict[str, Any] | None:
        """The content of the built-in option of this name; None where there is none."""
        inside = Path(group) / f"{name}.yaml"
        if any((folder / inside).exists() for folder in self._own):
            return None
        file = config_dir() / inside
        if "/" in name or not file.is_file():
            return None
        node: Any = OmegaConf.to_container(OmegaConf.load(file))
        # model=hub and the like have no name of their own.
        return node if node.get("name") == name else None


def _typed(overrides: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each field that was given a value, with how it is typed alone."""
    for text in overrides:
        name, equal, value = text.partition("=")
        if not equal or name.startswith("~"):
            continue
        name = name.lstrip("+")
        if value.startswith("{"):
            yield from _flat(name, override_of(text).value())
        else:
            yield name, f"{name}={value}"


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield name, f"{name}={value}"
        return
    for key, inner in value.items():
        yield from _flat(f"{name}.{key}", inner)


def _require_level(name: str) -> None:
    level, levels = name.rpartition(".")[2], list(CotLevel.__members__)
    if level not in levels:
        raise ConfigError(
            f"{name}: there is no such level{did_you_mean(level, levels)}; allowed are "
            f"{', '.join(f'dataset.files.{known}' for known in levels)}"
        )


def _rule_of(name: str) -> str | None:
    """The field of `UNREAD` that a name is, or lies in."""
    return next((rule for rule in UNREAD if name == rule or name.startswith(f"{rule}.")), None)


def _is_default(config: Config, name: str, text: str) -> bool:
    """Whether the field has the value that it would have without anybody's word."""
    if name in ("correctness", "correctness.kind"):  # which the objective may have decided
        kinds = (CorrectnessKind.correct, config.correctness.kind)
        return text.partition("=")[2] in [kind.name for kind in kinds]
    if name.startswith("objective."):
        return text.partition("=")[2] in ("false", "False")
    try:
        owner = attrgetter(name.rpartition(".")[0])(config)
        declared = {field.name: field for field in fields(owner)}[name.rpartition(".")[2]]
    except (AttributeError, KeyError, TypeError):  # a key of a mapping
        return False
    default = declared.default
    if declared.default_factory is not MISSING:
        default = declared.default_factory()
    return bool(getattr(owner, declared.name) == default)


def _would_not_be_read(text: str, has: str, needed: str) -> str:
    return (
        f"{text} would not be read: it goes with {needed}, and this is {has}. Type {text} beside "
        f"{needed}, or leave it out"
    )


def _what(source: ModelSource) -> tuple[str, ...]:
    """What is loaded, in words: kind and place."""
    place = {
        SourceKind.hub: (source.hub_id,),
        SourceKind.folder: (source.path,),
        SourceKind.gguf: (source.path,),
        SourceKind.package: (source.package, source.version, *source.files),
    }[source.kind]
    return (source.kind.name, *map(str, place))
