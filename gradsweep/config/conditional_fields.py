"""Fields that count only beside others: what reads each of them, and what it goes with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from operator import attrgetter

from gradsweep.config.conditions import (
    CorrectnessKind,
    DatasetKind,
    IrrelevantSource,
    PaperSource,
)
from gradsweep.config.cot import CotKind
from gradsweep.config.model import Prompt, SourceKind
from gradsweep.config.named_objects import TARGET
from gradsweep.config.objective import DEFAULT_OBJECTIVE, Responses, responses_of
from gradsweep.config.point import Config
from gradsweep.config.run import NO_TRACKER
from gradsweep.config.training import TrainingConfig, TrainingKind
from gradsweep.records import AXES

Unread = Callable[[Config], tuple[str, str] | None]
"""None where a point reads the field; else what the point is, and what the field goes with."""


def _goes_with(needed: str, is_read: Callable[[Config], bool], has: str) -> Unread:
    """A field that counts where `is_read`; `has` is a field of the config that says what is."""

    def unread(config: Config) -> tuple[str, str] | None:
        return None if is_read(config) else (_told(config, has), needed)

    return unread


def _told(config: Config, name: str) -> str:
    """A choice of the point, as it is typed."""
    value = getattr(config.axes, name) if name in AXES else attrgetter(name)(config)
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


def _correctness(config: Config) -> tuple[str, str] | None:
    """A pair or a group has both kinds of responses, whatever is typed."""
    if responses_of(config.objective) is Responses.single:
        return None
    return _told(config, "objective"), "an objective of single responses, as objective=sft"


def _of_steps(config: Config) -> tuple[str, str] | None:
    """An option of units of several samples, which sft has with one reduction alone."""
    of_study = config.objective.get(TARGET) == DEFAULT_OBJECTIVE[TARGET]
    reduction = config.objective.get("reduction", "mean")
    if not of_study or reduction == "step":
        return None
    return f"objective=sft objective.reduction={reduction}", "objective.reduction=step"


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


def _of_training(*kinds: TrainingKind) -> Unread:
    """A field of `training` that counts for these kinds."""
    needed = f"training={kinds[0].name}"
    return _goes_with(needed, lambda c: c.training.kind in kinds, "training.kind")


_TRAINED = _of_training(TrainingKind.full, TrainingKind.lora)
_ADAPTED = _of_training(TrainingKind.lora)
_MEASURED = _of_training(TrainingKind.full, TrainingKind.lora, TrainingKind.series)
_TRAINING_FIELDS: Mapping[str, Unread] = {
    "rank": _ADAPTED,
    "alpha": _ADAPTED,
    "dropout": _ADAPTED,
    "checkpoints": _of_training(TrainingKind.series),
    **dict.fromkeys(("probe_questions", "probe_cot", "probe_correctness", "held_out"), _MEASURED),
}

UNREAD: Mapping[str, Unread] = {
    **{
        f"training.{f.name}": _TRAINING_FIELDS.get(f.name, _TRAINED)
        for f in fields(TrainingConfig)
        if f.name != "kind"
    },
    "cot.level": _goes_with(
        "cot=partial",
        lambda c: c.cot.kind is not CotKind.custom or not c.dataset.available_levels,
        "cot.kind",
    ),
    "cot.steps_kept": _goes_with("cot=partial", lambda c: c.cot.kind is CotKind.partial, "cot"),
    "cot.ablate": _goes_with(
        "cot=simplified or cot=detailed", lambda c: c.cot.ablation is not None, "cot"
    ),
    "cot.path": _CUSTOM,
    "cot.name": _CUSTOM,
    "correctness.source": _correctness_source,
    "correctness": _correctness,
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
    "objective.step_size": _of_steps,
    "objective.members": _of_steps,
    "tracking.project": _TRACKED,
    "tracking.entity": _TRACKED,
    "tracking.mode": _TRACKED,
    "tracking.samples": _TRACKED,
}
"""Fields that count only beside others. All others count for every point."""
