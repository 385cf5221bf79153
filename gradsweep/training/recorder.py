"""What a training point measures, step by step, on its way to the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import TrainerCallback

from gradsweep.engine.batch import collate
from gradsweep.engine.frozen import frozen
from gradsweep.records import UPDATE, EncodedUnit, Moment, SampleResult, Source, TrainingStep
from gradsweep.store.first_probes import take_first_probe
from gradsweep.store.training import TrainingStore
from gradsweep.training.data import Probe
from gradsweep.training.losses import UnitLosses
from gradsweep.training.random_state import random_state_kept
from gradsweep.training.trainer import Trained, UnitTrainer
from gradsweep.training.update import Update, UpdateWatch

OnStep = Callable[[TrainingStep], None]
"""Shown every optimizer step once it has been made."""

COMPLETE = "COMPLETE"
"""Written last into a checkpoint: without it, it may be half of one."""

PREVIOUS = "previous_gradients.safetensors"
"""In a checkpoint: what the next update is compared with."""


class Recorder(TrainerCallback):
    """Measures updates, probes and held-out losses where they are due, and stores them.

    Training does not see it: nothing is drawn from a random state, and no weight, gradient or
    mode of a module is left changed.
    """

    def __init__(
        self,
        store: TrainingStore,
        watch: UpdateWatch | None,
        probes: Sequence[Probe],
        held_out: HeldOut,
        every: int,
        on_step: OnStep,
        stop: Callable[[], bool],
    ) -> None:
        """`every`: steps between probes, 0 for none; `stop` is asked after each step."""
        self._store = store
        self._watch = watch
        self._probes = probes
        self._held_out = held_out
        self._every = every
        self._on_step = on_step
        self._stop = stop
        self._update: Update | None = None
        self._waiting: list[TrainingStep] = []
        self._losses: dict[int, float] = {}
        self.trainer: UnitTrainer | None = None
        """Set before training begins: callbacks are made first."""
        self.stopped = False
        """Whether `stop` has ended the run."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Probe the weights before the first step, or where a run goes on at a due one."""
        step = int(state.global_step)
        kept = self._checkpoint(step) / PREVIOUS
        if self._watch and kept.exists():
            self._watch.go_on_after(step - 1, load_file(kept))
        if step % max(1, self._every) == 0:
            self._look(step)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._start = time.monotonic()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._watch:
            self._watch.before_step(int(state.global_step))

    def on_optimizer_step(
        self, args: Any, state: Any, control: Any, optimizer: Any = None, **kwargs: Any
    ) -> None:
        """Store the update that has just been made; `global_step` still counts those before it."""
        step = int(state.global_step)
        self._learning_rate = float(optimizer.param_groups[0]["lr"])
        self._update = None
        if self._watch and self._watch.due(step):
            self._update = self._watch.after_step()
            assert self.trainer is not None
            result = _update_result(self._update, self.trainer.trained, self._start)
            self._store.append_moment(Moment(step, Source.update), [result])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the step down, then look at the weights that it made."""
        assert self.trainer is not None
        trained, self.trainer.trained = self.trainer.trained, Trained()
        made = int(state.global_step)
        step = TrainingStep(
            step=made - 1,
            loss=trained.loss,
            learning_rate=self._learning_rate,
            held_out_loss=self._losses.pop(made - 1, float("nan")),
            n_samples=trained.n_samples,
            n_tokens=trained.n_tokens,
            epoch=float(state.epoch or 0.0),
            seconds=time.monotonic() - self._start,
            **(self._update.norms() if self._update else {}),
        )
        self._waiting.append(step)
        self._on_step(step)
        if self._every and (made % self._every == 0 or made == args.max_steps):
            self._look(made)
        if made == args.max_steps:
            control.should_save = False  # the point is about to be DONE
        elif self._stop():
            self.stopped = True
            control.should_save = args.save_strategy != "no"
            control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Say that the checkpoint is whole, with all steps before it in the store."""
        self.flush()
        folder = self._checkpoint(int(state.global_step))
        if self._watch and self._watch.previous:
            save_file(self._watch.previous, folder / PREVIOUS)
        (folder / COMPLETE).touch()

    def _checkpoint(self, step: int) -> Path:
        return self._store.paths.checkpoints / f"checkpoint-{step}"

    def flush(self) -> None:
        """Store the steps that are not yet."""
        if self._waiting:
            self._store.append_steps(self._waiting)
            self._waiting = []

    def finish(self, step: int) -> None:
        """Store the last steps, and what was taken of the weights after them."""
        if step in self._losses:
            held_out_loss = self._losses.pop(step)
            nan = float("nan")
            self._waiting.append(TrainingStep(step, nan, nan, held_out_loss=held_out_loss))
        self.flush()

    def _look(self, step: int) -> None:
        if not self._every:
            return
        with random_state_kept():
            for probe in self._probes:
                moment = _moment(step, probe)
                if not self._store.has(moment) and not self._taken(moment, probe):
                    self._store.append_moment(moment, probe.results())
            self._losses[step] = self._held_out.loss(self._probed(step))

    def _probed(self, step: int) -> dict[str, float]:
        """Losses of held-out units that a probe has measured at this step, by id.

        Read from the store, so that a run that goes on says what one without a break says.
        """
        losses: dict[str, float] = {}
        for probe in self._probes:
            if probe.is_own:
                losses |= self._store.losses(_moment(step, probe))
        return losses

    def _taken(self, moment: Moment, probe: Probe) -> bool:
        """Whether another run on the same weights has had the same questions before it began."""
        if moment.step != 0:
            return False
        return take_first_probe(self._store, moment, [u.unit.unit_id for u in probe.run.units])


class HeldOut:
    """Units that are not trained on."""

    def __init__(
        self, model: nn.Module, losses: UnitLosses, units: Sequence[EncodedUnit], batch_size: int
    ) -> None:
        self._model = model
        self._losses = losses
        self._units = units
        self._batch_size = batch_size

    def loss(self, known: Mapping[str, float]) -> float:
        """Return the mean of their losses, in nats, without dropout; NaN where there are none.

        Args:
            known: losses that somebody has computed with these weights, by the unit's id.
        """
        unknown = [unit for unit in self._units if unit.unit.unit_id not in known]
        found = [known[u.unit.unit_id] for u in self._units if u.unit.unit_id in known]
        device = next(self._model.parameters()).device
        with frozen(self._model), torch.no_grad():
            for at in range(0, len(unknown), self._batch_size):
                batch = collate(unknown[at : at + self._batch_size], device)
                found += self._losses.of(self._model, batch)[0].tolist()
        return sum(found) / len(found) if found else float("nan")


def _moment(step: int, probe: Probe) -> Moment:
    return Moment(step, Source.probe, probe.cot, probe.correctness)


def _update_result(update: Update, trained: Trained, start: float) -> SampleResult:
    return SampleResult(
        sample_id=UPDATE,
        question_id=UPDATE,
        index=0,
        loss=trained.loss,
        n_response_tokens=trained.n_tokens,
        seconds=time.monotonic() - start,
        rows=update.rows,
    )
