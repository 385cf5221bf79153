"""`training.checkpoints`: which models are the steps of a series."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from gradsweep.config.model import ModelSource, SourceKind
from gradsweep.config.point import Config
from gradsweep.config.typed_paths import typed_path
from gradsweep.errors import ConfigError

_STEP = re.compile(r"(\d+)$")


@dataclass(frozen=True)
class Checkpoint:
    """One line of `training.checkpoints`."""

    step: int
    source: ModelSource


def checkpoints_of(config: Config) -> list[Checkpoint]:
    """Read `training.checkpoints`: folders, or revisions of the point's hub model, with steps.

    Raises:
        ConfigError: one whose step its name does not tell, or steps that do not rise.
    """
    found = [_checkpoint(text, config.model.source) for text in config.training.checkpoints]
    steps = [checkpoint.step for checkpoint in found]
    if steps != sorted(set(steps)):
        raise ConfigError(
            f"training.checkpoints: their steps are {', '.join(map(str, steps))}, and each has to "
            "be later than the one before"
        )
    return found


def _checkpoint(text: str, source: ModelSource) -> Checkpoint:
    name, _, typed = text.rpartition("@")
    matched = _STEP.search(typed if name else text)
    if matched is None:
        raise ConfigError(
            f"training.checkpoints: {text} does not end in its step, as checkpoint-100 and "
            f"step1000 do; type {text}@100"
        )
    place = name or text
    if source.kind is SourceKind.hub:
        return Checkpoint(int(matched[1]), replace(source, revision=place))
    place = typed_path(place, "training.checkpoints")
    return Checkpoint(int(matched[1]), ModelSource(kind=SourceKind.folder, path=place))
