"""What makes a point the point it is: a hash of its science, not of where or how it runs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from omegaconf import OmegaConf

from gradsweep.config import DEFAULT_OBJECTIVE, Config, CorrectnessKind, Quantization
from gradsweep.config.named_objects import identity_of
from gradsweep.config.options import science_of
from gradsweep.data import fingerprint
from gradsweep.versions import versions


def science(config: Config) -> dict[str, Any]:
    """The part of a config that decides the numbers, as plain values.

    Left out: names, folders, batch size, device, tracking. Data count by content
    (`fingerprint`), so a file may move without changing the point.
    """
    irrelevant = config.correctness.kind is CorrectnessKind.irrelevant
    return {
        "model": config.model.source.identity()
        | {
            "prompt": config.model.prompt.name,
            "dtype": config.model.dtype.name,
            "max_length": config.model.max_length,
        }
        | _quantization(config),
        "dataset": {
            "name": config.dataset.name,
            "data": fingerprint(config),
            "answer": config.dataset.answer.name,
            "shuffle": config.dataset.shuffle,
        }
        | ({"source": "hub"} if config.dataset.from_hub else {}),
        "cot": config.cot.label,
        "correctness": config.correctness.source.name if irrelevant else "correct",
        "n_samples": config.requested_samples,
        "seed": config.seed,
        "gradients": science_of(config.gradients),
    } | _objective(config)


def _objective(config: Config) -> dict[str, Any]:
    """Nothing for the study's own objective: its points keep the id they always had."""
    node = config.objective
    return {} if node == DEFAULT_OBJECTIVE else {"objective": identity_of(node, "objective")}


def _quantization(config: Config) -> dict[str, Any]:
    """Nothing without quantization: such points keep the id they always had."""
    kind = config.model.quantization
    return {} if kind is Quantization.none else {"quantization": kind.name}


def point_id(config: Config) -> str:
    """First 16 hex digits of the SHA-256 of the canonical JSON of `science(config)`."""
    text = json.dumps(science(config), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def point_record(config: Config) -> dict[str, Any]:
    """The content of config.yaml: what was asked for, resolved, and the code that ran it."""
    return {
        "point_id": point_id(config),
        "axes": asdict(config.axes),
        "science": science(config),
        "versions": dict(versions()),
        "config": OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True),
    }
