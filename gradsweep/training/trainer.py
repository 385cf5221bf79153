"""Trainer's loop over a point's units, with the point's own objective for a loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from gradsweep.config import Config, Optimizer
from gradsweep.engine.batch import Batch, collate
from gradsweep.errors import TrainingError
from gradsweep.records import EncodedUnit
from gradsweep.training.data import weighs_by_tokens
from gradsweep.training.losses import UnitLosses
from gradsweep.training.muon import MuonWithAdamW

_TRAINERS_NAMES = {Optimizer.adamw: "adamw_torch", Optimizer.sgd: "sgd"}


@dataclass
class Trained:
    """What has been trained on since the last optimizer step."""

    loss: float = 0.0
    """Sum over passes of their share of the step's loss."""
    n_samples: int = 0
    n_tokens: int = 0


class UnitTrainer(Trainer):
    """Trains on units; a step's loss is the mean of its units' losses.

    With `reduction=step` of sft it is the mean over the step's response tokens, as Trainer and TRL
    reduce it: a sample then weighs by its length.
    """

    def __init__(
        self,
        model: nn.Module,
        config: Config,
        units: Sequence[EncodedUnit],
        losses: UnitLosses,
        folder: Path,
        callback: TrainerCallback,
    ) -> None:
        """Make the loop; nothing is trained yet.

        Args:
            model: in train mode, with the weights that are trained requiring a gradient.
            config: of the training point.
            units: what is trained on.
            losses: gives each unit its loss.
            folder: of checkpoints.
            callback: what measures.
        """
        arguments = _arguments(config, folder)
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=_Units(units),
            data_collator=_collated,
            callbacks=[callback],
            optimizers=(_own_optimizer(model, config), None),
        )
        self.remove_callback(PrinterCallback)  # the point has a line of its own
        self.model_accepts_loss_kwargs = False
        self._losses = losses
        self._by_tokens = weighs_by_tokens(config)
        self.trained = Trained()
        """Of the step that is under way; whoever reads it begins a new one."""
        self.last_finite = (-1, float("nan"))
        """Step and loss of the last pass whose loss was a number."""

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Return the pass's loss; Trainer divides it by the passes of the step.

        Raises:
            TrainingError: it is no number.
        """
        batch = inputs["batch"].to(self.args.device)
        losses, tokens = self._losses.of(model, batch)
        passes = self.current_gradient_accumulation_steps
        if self._by_tokens:
            loss = passes * (losses * tokens.counts).sum() / inputs["step_tokens"]
        else:
            loss = losses.mean()
        self._note(float(loss.detach()), passes, batch)
        return loss

    def _note(self, loss: float, passes: int, batch: Batch) -> None:
        step = int(self.state.global_step)
        if not abs(loss) < float("inf"):
            known, value = self.last_finite
            raise TrainingError(
                f"training diverged: the loss of step {step} is {loss}; the last finite one was "
                f"{value:.4g} at step {known}. What was measured until then is stored. A smaller "
                f"training.learning_rate than {self.args.learning_rate:g}, training.clipping=1.0 "
                "or training.warmup may hold it"
            )
        self.last_finite = (step, loss)
        self.trained.loss += loss / passes
        self.trained.n_samples += batch.n_units
        self.trained.n_tokens += int(batch.response_mask.sum())

    def get_batch_samples(
        self, epoch_iterator: Any, num_batches: int, device: torch.device
    ) -> tuple[list[Any], None]:
        """Take the passes of a step, each told how many response tokens the step has."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        tokens = sum(int(inputs["batch"].response_mask.sum()) for inputs in batches)
        return [inputs | {"step_tokens": tokens} for inputs in batches], None

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Count none: Trainer would look for the token ids."""
        return 0


class _Units(Dataset):  # type: ignore[type-arg]
    def __init__(self, units: Sequence[EncodedUnit]) -> None:
        self._units = units

    def __len__(self) -> int:
        return len(self._units)

    def __getitem__(self, place: int) -> EncodedUnit:
        return self._units[place]


def _collated(units: Sequence[EncodedUnit]) -> dict[str, Any]:
    return {"batch": collate(units, "cpu")}


def _arguments(config: Config, folder: Path) -> TrainingArguments:
    training = config.training
    saves = training.checkpoint_every > 0
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=training.steps,
        per_device_train_batch_size=training.batch_size,
        gradient_accumulation_steps=training.accumulation,
        optim=_TRAINERS_NAMES.get(training.optimizer, "adamw_torch"),
        learning_rate=training.learning_rate,
        lr_scheduler_type=_schedule(config),
        warmup_steps=training.warmup,
        max_grad_norm=training.clipping or 0.0,
        weight_decay=training.weight_decay,
        seed=training.seed,
        data_seed=training.seed,
        save_strategy="steps" if saves else "no",
        save_steps=training.checkpoint_every or 1,
        save_total_limit=2,
        use_cpu=config.gradients.device == "cpu",
        dataloader_drop_last=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # a point has one GPU; DataParallel would take all
    return arguments


def _schedule(config: Config) -> str:
    name = config.training.schedule.name
    return "constant_with_warmup" if name == "constant" and config.training.warmup else name


def _own_optimizer(model: nn.Module, config: Config) -> torch.optim.Optimizer | None:
    training = config.training
    if training.optimizer is not Optimizer.muon:
        return None
    return MuonWithAdamW(model, training.learning_rate, training.weight_decay)
