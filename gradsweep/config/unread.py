"""Settings that were typed and that nothing would read, or that would belie a model's name.

Only what is typed is checked: a stored config may hold the same values from times before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from gradsweep.config.conditions import (
    CorrectnessKind,
    DatasetKind,
    IrrelevantSource,
    PaperSource,
)
from gradsweep.config.cot import CotKind, CotLevel
from gradsweep.config.files import config_dir
from gradsweep.config.model import ModelConfig, ModelSource, Prompt, SourceKind
from gradsweep.config.overrides import override_of
from gradsweep.config.point import Config
from gradsweep.config.run import NO_TRACKER
from gradsweep.errors import ConfigError, did_you_mean

Unread = Callable[[Config], tuple[str, str] | None]
"""None where a point reads the field; else what the point is, and what the field goes with."""


def _goes_with(needed: str, is_read: Callable[[Config], bool], has: str) -> Unread:
    """A field that counts where `is_read`; `has` is a field of the config that says what is."""

    def unread(config: Config) -> tuple[str, str] | None:
        return None if is_read(config) else (_told(config, has), needed)

    return unread


def _told(config: Config, name: str) -> str:
    """A choice of the point, as it is typed."""
    axes = ("model", "dataset", "cot", "correctness")
    value = getattr(config.axes, name) if name in axes else attrgetter(name)(config)
    return f"{name}={getattr(value, 'name', value)}"


def _of_source(*kinds: SourceKind) -> Unread:
    """A field of `model.source` that counts for these kinds."""

    def unread(config: Config) -> tuple[str, str] | None:
        source = config.model.source
        if source.kind in kinds:
            return None
        option = "model.source.kind=package" if kinds[0] is SourceKind.package else ""
        has = f"model={config.model.name} with model.source.kind={source.kind.name}"
        return has, option or f"model={kinds[0].name}"

    return unread


def _paper(config: Config, *sources: PaperSource) -> bool:
    dataset = config.dataset
    return dataset.kind is DatasetKind.paper and (not sources or dataset.source in sources)


def _of_paper(*sources: PaperSource) -> Unread:
    """A field that counts for the paper's datasets from these sources."""

    def unread(config: Config) -> tuple[str, str] | None:
        if not _paper(config):
            return _told(config, "dataset"), "one of the paper's datasets, as dataset=gsm8k"
        if _paper(config, *sources):
            return None
        return _told(config, "dataset.source"), f"dataset.source={sources[-1].name}"

    return unread


def _correctness_source(config: Config) -> tuple[str, str] | None:
    if config.correctness.kind is CorrectnessKind.correct:
        return _told(config, "correctness"), "correctness=irrelevant"
    if config.correctness.source is not IrrelevantSource.paper:
        return None
    return _of_paper(PaperSource.url, PaperSource.root, PaperSource.auto)(config)


def _url(config: Config) -> tuple[str, str] | None:
    if _paper(config, PaperSource.auto) and config.dataset.root:
        return f"dataset.root={config.dataset.root}", "dataset.source=url"
    return _of_paper(PaperSource.auto, PaperSource.url)(config)


_OWN_FILE = _goes_with("dataset=jsonl", lambda c: c.dataset.kind is DatasetKind.jsonl, "dataset")
_GENERATED = _goes_with(
    "dataset=arithmetic", lambda c: c.dataset.kind is DatasetKind.arithmetic, "dataset"
)
_CUSTOM = _goes_with("cot=custom", lambda c: c.cot.kind is CotKind.custom, "cot")
_TRACKED = _goes_with("tracking=wandb", lambda c: c.tracking.kind != NO_TRACKER, "tracking.kind")
_PACKAGE = _of_source(SourceKind.package)

UNREAD: Mapping[str, Unread] = {
    "cot.level": _goes_with(
        "cot=partial",
        lambda c: c.cot.kind is not CotKind.custom or not c.dataset.available_levels,
        "cot.kind",
    ),
    "cot.steps_kept": _goes_with("cot=partial", lambda c: c.cot.kind is CotKind.partial, "cot"),
    "cot.path": _CUSTOM,
    "cot.name": _CUSTOM,
    "correctness.source": _correctness_source,
    "dataset.path": _OWN_FILE,
    "dataset.fields": _OWN_FILE,
    "dataset.size": _GENERATED,
    "dataset.version": _GENERATED,
    "dataset.files": _of_paper(PaperSource.auto, PaperSource.root, PaperSource.url),
    "dataset.source": _of_paper(),
    "dataset.root": _of_paper(PaperSource.auto, PaperSource.root),
    "dataset.url": _url,
    "dataset.hub": _of_paper(PaperSource.hub),
    "dataset.hub_revision": _of_paper(PaperSource.hub),
    "dataset.n_samples": _goes_with("n_samples=null", lambda c: c.n_samples is None, "n_samples"),
    "gradients.workers": _goes_with(
        "gradients.device=cpu",
        lambda c: not c.gradients.device.startswith("cuda"),
        "gradients.device",
    ),
    "model.template_date": _goes_with(
        "model.prompt=chat", lambda c: c.model.prompt is Prompt.chat, "model.prompt"
    ),
    "model.source.hub_id": _of_source(SourceKind.hub),
    "model.source.revision": _of_source(SourceKind.hub),
    "model.source.gated": _of_source(SourceKind.hub),
    "model.source.path": _of_source(SourceKind.folder, SourceKind.gguf),
    "model.source.package": _PACKAGE,
    "model.source.version": _PACKAGE,
    "model.source.files": _PACKAGE,
    "model.source.sha256": _PACKAGE,
    "model.source.install": _of_source(SourceKind.package, SourceKind.hub),
    "tracking.project": _TRACKED,
    "tracking.entity": _TRACKED,
    "tracking.mode": _TRACKED,
    "tracking.samples": _TRACKED,
}
"""Fields that count only beside others. All others count for every point."""


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
            ConfigError: its model would have the name of another one.
        """
        for name, text in _typed(overrides):
            rule = _rule_of(name)
            if name.startswith(("model.source", "model.name")):
                self._require_own_name(text, config.model)
            if name.startswith("dataset.files."):
                _require_level(name)
            if rule is None or name in self._read:
                continue
            if (gap := UNREAD[rule](config)) is None:
                self._read.add(name)
            elif not _is_default(config, name):
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

    def _packaged(self, name: str) -> ModelSource | None:
        """The source of the built-in option of this name; None where there is none."""
        inside = Path("model") / f"{name}.yaml"
        if any((folder / inside).exists() for folder in self._own):
            return None
        file = config_dir() / inside
        if "/" in name or not file.is_file():
            return None
        node: Any = OmegaConf.to_container(OmegaConf.load(file))
        if node.get("name") != name:
            return None  # model=hub and the like have no name of their own
        given = {key: value for key, value in node["source"].items() if key != "kind"}
        return ModelSource(kind=SourceKind[node["source"]["kind"]], **given)


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


def _is_default(config: Config, name: str) -> bool:
    """Whether the field has the value that it would have without anybody's word."""
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
