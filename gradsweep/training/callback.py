"""Gradients of a run of transformers' Trainer, or of any trainer built on it, as TRL's are.

trainer = SFTTrainer(model, args, train_dataset=data)
callback = SpectraCallback(trainer=trainer, update_every=10, folder="results")
trainer.add_callback(callback)
trainer.train()
callback.rows
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from transformers import TrainerCallback
from transformers.integrations.integration_utils import get_reporting_integration_callbacks

from gradsweep.records import TrainingStep
from gradsweep.training.options import WatchOptions
from gradsweep.training.session import Measured, Session
from gradsweep.training.update import Update
from gradsweep.training.weights import deepspeed_refused

log = logging.getLogger("gradsweep")

_LOOP = (
    *("learning_rate", "lr_scheduler_type", "warmup_steps", "optim", "weight_decay"),
    *("max_grad_norm", "per_device_train_batch_size", "gradient_accumulation_steps", "seed"),
)
"""Fields of TrainingArguments that the record of a run has."""


@dataclass(kw_only=True, eq=False)
class SpectraCallback(Measured, WatchOptions, TrainerCallback):
    """Measures the gradients of a run; one object for each call of `train`.

    Rows are of the step's accumulated gradient before clipping, and of the probe's samples.
    Training is the same with and without it, to the last bit. Optimizer steps count from 0: the
    gradient of step 0 is of the weights as they were loaded, and its scalars are logged when one
    step has been made, as Trainer's own.

    Raises, when training begins, ModelError or ConfigError for what cannot be measured: DeepSpeed,
    FSDP1, frozen weights, a probe without a tokenizer.
    """

    trainer: Any = field(default=None, repr=False)
    """The trainer, whose loggers (W&B, TensorBoard, …) get the scalars: callbacks are not told it,
    and come after its loggers. None leaves them in `state.log_history`."""
    report_to_trainer: bool = True
    """Whether scalars go to the trainer at all."""

    _begins = "trainer.train()"
    _update: Update | None = field(default=None, init=False, repr=False)
    _last: TrainingStep | None = field(default=None, init=False, repr=False)
    _logged: int = field(default=0, init=False, repr=False)

    def on_train_begin(
        self,
        args: Any,
        state: Any,
        control: Any,
        model: Any = None,
        optimizer: Any = None,
        processing_class: Any = None,
        **kwargs: Any,
    ) -> None:
        """Install the hooks, and probe the weights before the first step."""
        self._close(finished=False)  # of an earlier run that failed
        if self.update_every and getattr(args, "deepspeed", None):
            raise deepspeed_refused()
        made = int(state.global_step)
        self._session = Session(
            self,
            model,
            optimizer,
            getattr(processing_class, "tokenizer", processing_class),
            getattr(optimizer, "scaler", None),  # of accelerate's wrapper
            loop=_loop(args),
            first_step=made,
        )
        self._update = self._last = None
        self._logged = made
        if self.report_to_trainer and self.trainer is None and args.report_to:
            log.warning(
                "SpectraCallback: %s will not see the spectra, which stay in state.log_history: "
                "give trainer=trainer and use trainer.add_callback(…)",
                ", ".join(args.report_to),
            )
        if self.probe is not None and (made == 0 or self._session.probe_due(made)):
            self._guarded(lambda session: self._tell(args, state, control, session.probe(made)))

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock of the step."""
        if self._session:
            self._session.begin_step()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure the gradients, where that is due."""
        step = int(state.global_step)
        self._guarded(lambda session: session.before_step(step))

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep what was measured; `global_step` still counts the steps before this one."""
        if self._session:
            self._update = self._session.after_step(int(state.global_step))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the step down, and probe the weights that it made where that is due."""
        if not self._session:
            return
        made, epoch = int(state.global_step), float(state.epoch or 0.0)
        scalars: dict[str, float] = {}
        self._last = self._session.keep_step(made - 1, self._update, epoch)
        if self._update:
            scalars |= self._session.update_scalars(self._update)
        is_last = self.probe is not None and made >= state.max_steps
        if is_last or self._session.probe_due(made):
            self._guarded(lambda session: scalars.update(session.probe(made)))
        self._tell(args, state, control, scalars)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Note the loss of a step where the trainer logs every step, and so says it."""
        made = int(state.global_step)
        if not self._session or "loss" not in (logs or {}):
            return
        if made == self._logged + 1 and self._last is not None and self._last.step == made - 1:
            self._session.results.add_step(replace(self._last, loss=float(logs["loss"])))
        self._logged = made

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Store the steps before a checkpoint: a run that goes on from there has no others."""
        if self._session:
            self._session.results.flush()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Probe the last weights, and finish the point."""
        made = int(state.global_step)
        if self._session and self.probe is not None and self._session.probed != made:
            self._guarded(lambda session: self._tell(args, state, control, session.probe(made)))
        self._close(finished=True)

    def _guarded(self, work: Any) -> None:
        """Do some measuring; if it fails, so does the run, and nothing of ours stays behind."""
        if self._session is None:
            return
        try:
            work(self._session)
        except BaseException:
            self._close(finished=False)
            raise

    def _tell(self, args: Any, state: Any, control: Any, scalars: Mapping[str, float]) -> None:
        if not scalars or not self.report_to_trainer:
            return
        known = {"epoch": state.epoch, "step": state.global_step}
        state.log_history.append({**scalars, **known})
        for integration in self._integrations(args):
            integration.on_log(args, state, control, model=self.trainer.model, logs=dict(scalars))

    def _integrations(self, args: Any) -> list[Any]:
        """The trainer's own loggers. By themselves: `trainer.log` would end the window over which
        TRL averages its metrics.
        """
        if self.trainer is None or not args.report_to:
            return []
        kinds = tuple(get_reporting_integration_callbacks(args.report_to))
        return [c for c in self.trainer.callback_handler.callbacks if isinstance(c, kinds)]


def _loop(args: Any) -> dict[str, Any]:
    values = {name: getattr(args, name) for name in _LOOP if hasattr(args, name)}
    return {name: getattr(value, "value", value) for name, value in values.items()}
