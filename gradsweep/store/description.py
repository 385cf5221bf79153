"""What a point's record says of it beside its place on the axes: what makes its series."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import MISSING

from gradsweep.config import (
    DatasetConfig,
    GradientsConfig,
    ModelConfig,
    TrainingConfig,
    own_data_name,
)
from gradsweep.config.files import config_dir
from gradsweep.config.named_objects import TARGET
from gradsweep.config.objective import MEMBERS, OTHER_MODELS, objective_name
from gradsweep.config.options import adding_fields, default_of
from gradsweep.records import AXES, full_axes

_TELLS_MODELS_APART = ("dtype", "max_length", "quantization", "template_date")
"""Science of `model` that is a setting; the rest says which model it is, and how it is prompted."""


@dataclass(frozen=True)
class Description:
    """One point, as `gradsweep.store.series` names it among the others of its folder."""

    axes: Mapping[str, str]
    """Its choice on every axis."""
    identity: Mapping[str, Mapping[str, str]]
    """Axis -> what may tell two options of the same name apart: weights, prompt, a file."""
    settings: Mapping[str, str]
    """Path of a field -> its value, where it is not what the options on the axes say by
    themselves. Points that agree on these, whatever their seed, are a series."""
    seed: int
    trains: bool = False
    """Whether its model is trained while it is measured."""

    def record(self) -> dict[str, Any]:
        """Plain values, for a manifest; `read_description` takes them again."""
        return asdict(self)


def series_parts(series: str) -> Sequence[str]:
    """Take a name apart: `n_samples=2 dtype=bfloat16` gives `n_samples=2` and `dtype=bfloat16`."""
    return re.split(r" (?=[\w.]+=)", series)


def base_name(label: str) -> str:
    """Leave what tells options of one name apart: `mine` of `mine prompt=chat`."""
    return series_parts(label)[0]


def describe(record: Mapping[str, Any]) -> Description:
    """Describe a point by the content of its config.yaml (`gradsweep.identity.point_record`).

    What was measured of every sample beyond the rest of its series (more projections,
    similarities, singular values, a unit's members) is no setting: it changes no number that the
    others have.
    """
    science, config = record.get("science", {}), record.get("config", {})
    axes = stored_axes(record)
    axes["dataset"] = own_data_name(axes["dataset"], config.get("dataset", {}).get("path"))
    settings = dict(_settings(axes, science, config))
    identity = {axis: dict(_identity(axis, record)) for axis in AXES}
    seed, trains = int(science.get("seed", 0)), bool(science.get("training"))
    return Description(axes, identity, settings, seed, trains)


def stored_axes(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the value on every axis of a point, by the content of its config.yaml."""
    return full_axes(_objective_of_before(record.get("science", {})) | record["axes"])


def read_description(point: Mapping[str, Any]) -> Description:
    """Describe a point by a manifest's line: as it was written there, or by its overrides alone.

    Manifests from before series have only these.
    """
    if "description" in point:
        return _with_every_axis(Description(**point["description"]))
    typed = dict(
        text.lstrip("+").split("=", 1) for text in point.get("overrides", ()) if "=" in text
    )
    settings = {name: value for name, value in typed.items() if name not in (*AXES, "seed")}
    seed = typed.get("seed", "0")
    nothing: dict[str, dict[str, str]] = {axis: {} for axis in AXES}
    axes = full_axes(point["axes"])
    return Description(axes, nothing, settings, int(seed) if seed.isdecimal() else 0)


def _with_every_axis(written: Description) -> Description:
    """As it would be described now: before the axis objective, another one was a setting."""
    path = f"objective.{TARGET}"
    settings = {name: value for name, value in written.settings.items() if name != path}
    before = {"objective": {TARGET: written.settings.get(path)}}
    axes = full_axes(_objective_of_before(before) | dict(written.axes))
    identity = {axis: written.identity.get(axis, {}) for axis in AXES}
    return Description(axes, identity, settings, written.seed, written.trains)


def _objective_of_before(science: Mapping[str, Any]) -> dict[str, str]:
    """The value on the axis of a point from before it: its class's name, where it is another's."""
    node = science.get("objective") or {}
    return {"objective": objective_name(node)} if node.get(TARGET) else {}


def _settings(
    axes: Mapping[str, str], science: Mapping[str, Any], config: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Fields that decide numbers and differ from what the options on the axes say themselves."""
    usual = _usual(axes, config)
    for name, value in _flat(_shared_science(science, config)):
        if name not in usual or value != usual[name]:
            yield name, _text(value)


def _shared_science(science: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The science that points of all conditions of a series share."""
    model, dataset = science.get("model", {}), config.get("dataset", {})
    own = science.get("dataset", {})
    gradients = science.get("gradients", {})
    more = adding_fields(GradientsConfig)
    rest = {
        name: value
        for name, value in science.items()
        if name not in (*AXES, "seed", "gradients", "n_samples")
    }
    return {
        **_some("n_samples", science.get("n_samples")),
        **rest,
        "model": {name: model[name] for name in _TELLS_MODELS_APART if name in model},
        # Of generated questions the config alone says how many there are to choose from.
        "dataset": {name: own[name] for name in own if name not in ("name", "data", "quality")}
        | {name: dataset[name] for name in ("size",) if name in dataset},
        "gradients": {n: v for n, v in gradients.items() if n not in more},
        "objective": _objective_options(science, config),
    }


def _objective_options(science: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the point's objective; a second model by its name."""
    unsettled = (TARGET, "source", MEMBERS)
    options = {n: v for n, v in science.get("objective", {}).items() if n not in unsettled}
    typed = config.get("objective") or {}
    for name in OTHER_MODELS:
        if isinstance(options.get(name), Mapping):
            options[name] = (typed.get(name) or {}).get("name", options[name])
    return options


def _identity(axis: str, record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    science, config = record.get("science", {}), record.get("config", {})
    if axis == "model":
        for name, value in _flat(science.get("model", {})):
            if name not in _TELLS_MODELS_APART:
                yield name, _text(value)
    elif axis == "dataset" and config.get("dataset", {}).get("path"):
        yield "data", _own_file(record, "dataset")
        for name, value in (config["dataset"].get("fields") or {}).items():
            if value:
                yield f"fields.{name}", str(value)
    elif axis == "cot" and config.get("cot", {}).get("path"):
        yield "responses", _own_file(record, "cot")
    elif axis == "correctness" and science.get("correctness") not in (None, record["axes"][axis]):
        yield "source", str(science["correctness"]).removeprefix(f"{record['axes'][axis]} ")
    elif axis == "objective":
        node = science.get("objective", {})
        if "source" in node:  # a class from outside gradsweep
            yield from ((name, str(node[name])) for name in (TARGET, "source"))


def _own_file(record: Mapping[str, Any], axis: str) -> str:
    """A file of the user's own counts by its content; records from before have its path alone."""
    content = record.get("own_files", {}).get(axis)
    return str(content or record["config"][axis].get("path"))


def says_nothing_of(objective: str, setting: str) -> bool:
    """Whether an objective's option has no value by itself: it needs one, or is of a YAML that
    others have written."""
    group, _, option = setting.partition(".")
    return group == "objective" and _option(group, objective).get(option, MISSING) == MISSING


def _usual(axes: Mapping[str, str], config: Mapping[str, Any]) -> dict[str, Any]:
    """Path of a field -> the value that it has when nothing is said but the axes."""
    dataset = base_name(axes["dataset"])
    named = _option("objective", axes["objective"]).items()
    usual: dict[str, Any] = {f"objective.{field}": value for field, value in named}
    for group, kind, name in (
        ("gradients", GradientsConfig, ""),
        ("training", TrainingConfig, ""),
        ("model", ModelConfig, base_name(axes["model"])),
        ("dataset", DatasetConfig, dataset),
    ):
        usual |= {f"{group}.{field}": value for field, value in _defaults(kind).items()}
        usual |= {f"{group}.{field}": value for field, value in _option(group, name).items()}
    kind_of_training = (config.get("training") or {}).get("kind", "")
    named = _option("training", kind_of_training).items()
    usual |= {f"training.{field}": value for field, value in named if field != "kind"}
    packaged = _option("dataset", dataset).get("n_samples")
    usual["n_samples"] = packaged or config.get("dataset", {}).get("n_samples")
    return usual


@lru_cache(maxsize=8)
def _defaults(kind: type[Any]) -> dict[str, Any]:
    return {f.name: _plain(default_of(f)) for f in fields(kind)}


@lru_cache(maxsize=256)
def _option(group: str, name: str) -> dict[str, Any]:
    """The content of conf/<group>/<name>.yaml; nothing of options that others have written."""
    path = config_dir() / group / f"{name}.yaml"
    if not name or Path(name).name != name or not path.exists():
        return {}
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _some(name: str, value: object) -> dict[str, object]:
    return {} if value is None else {name: value}


def _plain(value: object) -> object:
    return getattr(value, "name", value)


def _text(value: object) -> str:
    """A value as it is typed."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, Iterable) and not isinstance(value, str):
        return f"[{','.join(map(_text, value))}]"
    return str(value)
