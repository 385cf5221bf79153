"""A training point from loaded weights to stored steps: Trainer's loop, with what measures it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gradsweep.config import Config, Dtype, Quantization, TrainingKind
from gradsweep.engine.other_models import OthersOf
from gradsweep.errors import ConfigError
from gradsweep.models.load import LoadedModel
from gradsweep.models.pretrained import quiet
from gradsweep.records import Sample, SampleResult
from gradsweep.store.training import TrainingStore
from gradsweep.training.data import TrainingData, trained_objective, training_data
from gradsweep.training.layers import let_layers_train, updated_layers
from gradsweep.training.lora import with_adapters
from gradsweep.training.losses import unit_losses
from gradsweep.training.recorder import COMPLETE, HeldOut, OnStep, Recorder
from gradsweep.training.trainer import UnitTrainer
from gradsweep.training.update import UpdateWatch


@dataclass(frozen=True)
class TrainingRun:
    """What became of a training point's run in this process."""

    finished: bool
    """False where `stop` ended it: the next run goes on at the last checkpoint."""
    weights: str
    """SHA-256 of the trained weights, in the order of their names."""
    rejected: Sequence[SampleResult]
    """Units that could not be trained on, or held out."""
    notes: Sequence[str]
    """What a user must be told."""


def require_trainable(config: Config) -> None:
    """Refuse what cannot be trained, before anything is loaded.

    Raises:
        ConfigError: names the field and what to type.
    """
    training = config.training
    if config.model.quantization is not Quantization.none and training.kind is TrainingKind.full:
        raise ConfigError(
            f"training=full: model.quantization={config.model.quantization.name} has no weights "
            "that an optimizer can move; type training=lora, or model.quantization=none"
        )
    if config.model.dtype is Dtype.float16:
        raise ConfigError(
            "training: weights in model.dtype=float16 lose small updates and overflow; type "
            "model.dtype=bfloat16 or model.dtype=float32"
        )


@dataclass(frozen=True)
class Listener:
    """Who is told of a run, and may end it."""

    on_step: OnStep = lambda step: None
    """Called after each optimizer step."""
    stop: Callable[[], bool] = lambda: False
    """Asked after each step; true ends the run there, with a checkpoint."""
    say: Callable[[str], None] = lambda line: None
    """Called with lines for the user before the first step."""


def train(
    config: Config,
    loaded: LoadedModel,
    samples: Sequence[Sample],
    store: TrainingStore,
    listener: Listener,
    others: OthersOf | None = None,
) -> TrainingRun:
    """Train the model and store what is measured while it learns, from the last checkpoint on.

    The loaded model's weights are changed.

    Args:
        config: of a training point.
        loaded: its model, with the weights before the first step.
        samples: of the point's own condition.
        store: of the point.
        listener: follows the run.
        others: gives what the objective takes from a second model that is named.

    Raises:
        DataError: too few questions.
        TrainingError: the loss is no number any more.
        ConfigError: training=lora without PEFT.
    """
    data = training_data(config, loaded, samples, others)
    notes = list(_notes(config, data))
    for note in notes:
        listener.say(note)
    torch.manual_seed(config.training.seed)
    with ExitStack() as stack:
        model = stack.enter_context(_trainable(config, loaded))
        objective = trained_objective(config)
        losses = stack.enter_context(unit_losses(model, objective, data.teacher))
        watch = _update_watch(config, model)
        if watch:
            stack.enter_context(watch)
        held_out = HeldOut(model, losses, data.held_out, config.training.batch_size)
        recorder = _recorder(config, store, data, watch, held_out, listener)
        trainer = UnitTrainer(model, config, data.train, losses, store.paths.checkpoints, recorder)
        recorder.trainer = trainer
        _run(trainer, recorder, store.paths.checkpoints)
        if config.training.keep_model and not recorder.stopped:
            _save(model, loaded, store.paths.folder / "model")
        return TrainingRun(not recorder.stopped, _digest(model), data.rejected, notes)


def _run(trainer: UnitTrainer, recorder: Recorder, checkpoints: Path) -> None:
    try:
        with quiet(bars=False):
            trainer.train(resume_from_checkpoint=_last_checkpoint(checkpoints))
        if not recorder.stopped:
            recorder.finish(int(trainer.state.global_step))
    finally:
        recorder.flush()


def _update_watch(config: Config, model: nn.Module) -> UpdateWatch | None:
    training = config.training
    if not training.update_every:
        return None
    return UpdateWatch(
        model,
        config.gradients.projections,
        layers=updated_layers(config),
        options=config.gradients,
        every=training.update_every,
    )


def _recorder(
    config: Config,
    store: TrainingStore,
    data: TrainingData,
    watch: UpdateWatch | None,
    held_out: HeldOut,
    listener: Listener,
) -> Recorder:
    training = config.training
    return Recorder(
        store, watch, data.probes, held_out, training.probe_every, listener.on_step, listener.stop
    )


@contextmanager
def _trainable(config: Config, loaded: LoadedModel) -> Iterator[nn.Module]:
    """The model in train mode, with what is trained requiring a gradient."""
    if config.training.kind is TrainingKind.lora:
        model = with_adapters(loaded.model, config)
    else:
        model = loaded.model
        let_layers_train(model, config)
    model.train()
    if config.gradients.checkpointing:
        model.gradient_checkpointing_enable()
    try:
        yield model
    finally:
        model.eval()
        model.requires_grad_(False)
        if config.gradients.checkpointing:
            model.gradient_checkpointing_disable()


def _notes(config: Config, data: TrainingData) -> Iterator[str]:
    training, n_train = config.training, len(data.train)
    epochs = training.steps * training.samples_per_step / n_train
    unit = "samples" if config.objective_name == "sft" else "units"
    yield (
        f"training on {n_train} {unit}, {len(data.held_out)} held out; {training.steps} steps of "
        f"{training.samples_per_step} are {epochs:.2g} times through them"
    )


def _last_checkpoint(folder: Path) -> str | None:
    """The last checkpoint that is whole; one that a kill has cut short is removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for path in found:
        if not (path / COMPLETE).exists():
            shutil.rmtree(path)
    whole = [path for path in found if path.exists()]
    return str(whole[-1]) if whole else None


def _save(model: Any, loaded: LoadedModel, folder: Path) -> None:
    model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)


def _digest(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        if parameter.requires_grad:
            digest.update(name.encode())
            digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
