"""What makes a point the point it is: a hash of its science, not of where or how it runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gradsweep.config import (
    DEFAULT_OBJECTIVE,
    TEMPLATE_DATE,
    Config,
    CorrectnessKind,
    IrrelevantSource,
    Prompt,
    Quantization,
    SourceKind,
    Weights,
)
from gradsweep.config.checkpoints import checkpoints_of
from gradsweep.config.model import LAYERS
from gradsweep.config.named_objects import identity_of
from gradsweep.config.objective import OTHER_MODELS, objective_options, other_model
from gradsweep.config.options import science_of
from gradsweep.config.parts import plain
from gradsweep.data import fingerprint
from gradsweep.data.files import content_hash
from gradsweep.models.fingerprint import source_identity
from gradsweep.records import Axes
from gradsweep.versions import versions


def science(config: Config) -> dict[str, Any]:
    """The part of a config that decides the numbers, as plain values.

    Left out: names, folders, batch size, device, tracking. Data count by content
    (`fingerprint`), and so does a model in a folder or GGUF file (`source_identity`), so a file
    may move without changing the point.

    Raises:
        ConfigError, DataError, ModelError: data or a model on this machine cannot be read.
    """
    return _science(config, source_identity(config.model.source))


def _science(config: Config, model: dict[str, Any]) -> dict[str, Any]:
    return (
        {
            "model": model
            | {
                "prompt": config.model.prompt.name,
                "dtype": config.model.dtype.name,
                "max_length": config.model.max_length,
            }
            | _quantization(config)
            | _weights(config)
            | _template_date(config)
            | _named_projections(config),
            "dataset": {
                "name": config.dataset.name,
                "data": fingerprint(config),
                "answer": config.dataset.answer.name,
                "shuffle": config.dataset.shuffle,
            }
            | ({"source": "hub"} if config.dataset.from_hub else {})
            | ({"quality": config.quality.name} if config.quality else {}),
            "cot": config.cot.label,
            "correctness": _correctness(config),
            "n_samples": config.requested_samples,
            "seed": config.seed,
            "gradients": science_of(config.gradients),
        }
        | _objective(config)
        | _training(config)
    )


def _correctness(config: Config) -> str:
    """What makes the irrelevant response, wherever there is one."""
    kind, source = config.correctness.kind.name, config.correctness.source.name
    if kind == CorrectnessKind.irrelevant.name:
        return source
    is_plain = kind == CorrectnessKind.correct.name or source == IrrelevantSource.auto.name
    return kind if is_plain else f"{kind} {source}"


def _objective(config: Config) -> dict[str, Any]:
    """Nothing for the study's own objective: its points keep the id they always had.

    A second model counts by its weights and their precision; it reads the first one's tokens.
    """
    node = objective_options(config.objective)
    if node == DEFAULT_OBJECTIVE:
        return {}
    others = {name: other_model(config.objective, name) for name in OTHER_MODELS if name in node}
    models = {
        name: source_identity(model.source)
        | {"dtype": model.dtype.name, "quantization": model.quantization.name}
        for name, model in others.items()
        if model is not None
    }
    return {"objective": identity_of(node, "objective") | models}


def _training(config: Config) -> dict[str, Any]:
    """Nothing where the model stands still: such points keep the id they always had."""
    training = config.training.identity()
    if training and training["checkpoints"]:
        sources = [checkpoint.source for checkpoint in checkpoints_of(config)]
        training["checkpoints"] = [source_identity(source) for source in sources]
    return {"training": training} if training else {}


def _quantization(config: Config) -> dict[str, Any]:
    """Nothing without quantization: such points keep the id they always had."""
    kind = config.model.quantization
    return {} if kind is Quantization.none else {"quantization": kind.name}


def _weights(config: Config) -> dict[str, Any]:
    """Nothing for the source's own: such points keep the id they always had."""
    kind = config.model.weights
    return {} if kind is Weights.pretrained else {"weights": kind.name}


def _template_date(config: Config) -> dict[str, Any]:
    """Nothing for the default, nor where no template is used."""
    day = config.model.template_date
    counts = config.model.prompt is Prompt.chat and day != TEMPLATE_DATE
    return {"template_date": day} if counts else {}


def _named_projections(config: Config) -> dict[str, Any]:
    """Of `model.projections` what is measured; nothing for a family that gradsweep knows."""
    named = config.model.named_projections
    used = {name: named[name] for name in (LAYERS, *config.gradients.projections) if named}
    return {"projections": used} if used else {}


def point_id(config: Config) -> str:
    """First 16 hex digits of the SHA-256 of the canonical JSON of `science`; raises as it."""
    return _id_of(science(config))


def _id_of(science: dict[str, Any]) -> str:
    text = json.dumps(science, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def earlier_point_id(config: Config) -> str | None:
    """The id of this point where models in folders and GGUF files counted by their path as typed.

    None for a model of the hub or of a package, whose ids are the same as ever.
    """
    source = config.model.source
    if source.kind not in (SourceKind.folder, SourceKind.gguf):
        return None
    return _id_of(_science(config, {"kind": source.kind.name, "path": source.path}))


def point_record(config: Config) -> dict[str, Any]:
    """The content of config.yaml: what was asked for, resolved, and the code that ran it."""
    known = science(config)
    return {
        "point_id": _id_of(known),
        "axes": asdict(config.axes),
        "science": known,
        "own_files": own_files(config),
        "versions": dict(versions()),
        "config": plain(config),
    }


def own_run_record(axes: Axes, science: Mapping[str, Any]) -> dict[str, Any]:
    """The content of config.yaml of a training run that somebody else's loop makes.

    Args:
        axes: names of what is trained, and on what; the loop's model and data count by them.
        science: what decides the numbers, as far as it is known here.
    """
    known = {"model": {"name": axes.model}, "dataset": {"name": axes.dataset}, **science}
    return {
        "point_id": _id_of({"axes": asdict(axes), **known}),
        "axes": asdict(axes),
        "science": known,
        "own_files": {},
        "versions": dict(versions()),
        "config": {},
    }


def own_files(config: Config) -> dict[str, str]:
    """Axis -> a hash of the user's own file there: the same in every condition that reads it."""
    paths = {"dataset": config.dataset.path, "cot": config.cot.path}
    return {
        axis: content_hash(Path(path), f"{axis}.path")[:8] for axis, path in paths.items() if path
    }


def changes_since(config: Config, record: Mapping[str, Any]) -> str:
    """Name the fields that decide the numbers and have changed since `record` was written.

    Args:
        config: the config in `record`, read again.
        record: the content of a config.yaml (`point_record`).

    Returns:
        "dataset=gsm8k has changed"; empty when the config still is the recorded point.
    """
    now, before = science(config), record["science"]
    if _id_of(now) == record["point_id"]:
        return ""
    model = f"model={config.model.name} (model.source.path={config.model.source.path})"
    changes = {
        "model": f"the files of {model} have changed",
        "dataset": f"dataset={config.dataset.name} has changed",
    }
    if "path" in before["model"]:
        changes["model"] = f"{model} has come to count by its content, and not by its path,"
    differing = sorted(name for name in now if now[name] != before.get(name))
    told = [changes.get(name, f"{name} has changed") for name in differing]
    return " and ".join(told) or "the record of its config has changed"
