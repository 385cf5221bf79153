"""Gradients of a run of Lightning's Trainer.

callback = LightningSpectraCallback(update_every=10, folder="results")
lightning.Trainer(callbacks=[callback], gradient_clip_val=1.0).fit(module, loader)
callback.rows
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from gradsweep.errors import ConfigError, ModelError
from gradsweep.training.options import WatchOptions
from gradsweep.training.ranks import Ranks, total_norm
from gradsweep.training.session import Measured, Session

log = logging.getLogger("gradsweep")

_INSTALLED = find_spec("lightning") is not None
_Callback: Any = import_module("lightning.pytorch").Callback if _INSTALLED else object

_STRATEGIES = ("SingleDeviceStrategy", "DDPStrategy")


@dataclass(kw_only=True, eq=False)
class LightningSpectraCallback(Measured, WatchOptions, _Callback):
    """Measures the gradients of a run; one object for each call of `fit`.

    Rows are of the step's accumulated gradient before clipping, and of the probe's samples, as
    those of `SpectraCallback`. Optimizer steps count from 0.

    Raises ImportError where Lightning is not installed; and, when training begins, ConfigError or
    ModelError for what cannot be measured: more than one optimizer, manual optimization,
    precision=16-mixed, a strategy that is neither one device nor DDP, a module without one causal
    LM in it, a probe without a tokenizer.
    """

    model: nn.Module | None = field(default=None, repr=False)
    """The causal LM that the LightningModule trains; None for the only attribute that has one."""
    tokenizer: Any = field(default=None, repr=False)
    """The model's, for the probe."""

    _begins = "trainer.fit()"
    _before: int | None = field(default=None, init=False, repr=False)
    """The step that the optimizer is taking."""
    _losses: list[Tensor] = field(default_factory=list, init=False, repr=False)
    """Of the passes since the last step."""
    _has_gradient: bool = field(default=False, init=False, repr=False)
    """Whether there was a backward pass since the last step."""
    _has_skipped: bool = field(default=False, init=False, repr=False)
    """Whether a step without one has been told of."""

    def __post_init__(self) -> None:
        if not _INSTALLED:
            raise ImportError(
                "LightningSpectraCallback takes Lightning: pip install 'gradsweep[lightning]'"
            )
        super().__post_init__()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Install the hooks, and probe the weights before the first step."""
        self._close(finished=False)  # of an earlier run that failed
        _require_known(trainer, pl_module)
        made = int(trainer.global_step)
        optimizer = getattr(trainer.optimizers[0], "optimizer", trainer.optimizers[0])
        self._trained = self.model if self.model is not None else _causal_lm(pl_module)
        self._session = Session(
            self,
            self._trained,
            optimizer,
            self.tokenizer,
            loop=_loop(trainer, optimizer),
            first_step=made,
        )
        self._before, self._losses = None, []
        self._has_gradient = self._has_skipped = False
        if self.probe is not None and (made == 0 or self._session.probe_due(made)):
            self._tell(trainer, self._session.probe(made), made)

    def on_after_backward(self, trainer: Any, pl_module: Any) -> None:
        """Note that there is a gradient; a batch whose `training_step` returns None has none."""
        self._has_gradient = True

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Measure the gradients, where that is due; Lightning clips them afterwards."""
        if self._session is None:
            return
        self._before = int(trainer.global_step)
        if self._has_gradient:
            self._session.before_step(self._before)
        else:
            self._skip(self._session, self._before)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write a step down that was made, and probe its weights where that is due."""
        if self._session is None:
            return
        if outputs and "loss" in outputs:  # Lightning has divided it for the mean over passes
            self._losses.append(outputs["loss"].float() * trainer.accumulate_grad_batches)
        if self._before is None:
            return
        step, self._before = self._before, None
        scalars = self._kept(self._session, trainer, step) if self._has_gradient else {}
        self._has_gradient, self._losses = False, []
        if self._session.probe_due(step + 1):
            scalars |= self._session.probe(step + 1)
        self._tell(trainer, scalars, step + 1)
        self._session.begin_step()

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: Any) -> None:
        """Store the steps before a checkpoint: a run that goes on from there has no others."""
        if self._session:
            self._session.results.flush()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Probe the last weights, and finish the point."""
        made = int(trainer.global_step)
        if self._session and self.probe is not None and self._session.probed != made:
            self._tell(trainer, self._session.probe(made), made)
        self._close(finished=True)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Leave nothing of ours behind in a run that fails."""
        self._close(finished=False)

    def _absent(self) -> str:
        # Nobody tells this process's own callback of a run that Lightning makes in children.
        where = (
            f"are in folder: gradsweep.load_training({str(self.folder)!r})"
            if self.folder is not None
            else "are lost without folder=…"
        )
        return (
            f"in this process: {self._begins} has not begun, or child processes ran it "
            f"(ddp_spawn, ddp_fork, ddp_notebook), where rows stayed; these {where}"
        )

    def _skip(self, session: Session, step: int) -> None:
        session.skip_step()
        if not self._has_skipped:
            log.warning(
                "LightningSpectraCallback: step %d had no backward pass (training_step returned "
                "None): it has no rows and is not in steps; others like it are left out unsaid",
                step,
            )
        self._has_skipped = True

    def _kept(self, session: Session, trainer: Any, step: int) -> dict[str, float]:
        """Keep what is known of a step that was made, and return what loggers are told of it."""
        update = session.after_step(step)
        if update is not None:  # measured before Lightning clipped, whose gradients are still there
            left = (p.grad for p in self._trained.parameters() if p.grad is not None)
            update = replace(update, clipped_gradient_norm=total_norm(left, Ranks()))
        session.keep_step(step, update, float(trainer.current_epoch), self._mean_loss(trainer))
        return session.update_scalars(update) if update else {}

    def _mean_loss(self, trainer: Any) -> float:
        """Return the mean over the passes of a step, in all processes: rows are of its gradient.

        All of them call it.
        """
        own = torch.stack(self._losses).mean()
        return float(trainer.strategy.reduce(own, reduce_op="mean"))

    def _tell(self, trainer: Any, scalars: dict[str, float], made: int) -> None:
        for logger in trainer.loggers if scalars else ():
            logger.log_metrics(scalars, step=made)


def _require_known(trainer: Any, pl_module: Any) -> None:
    """Raise ModelError for loops whose gradients are not those that the hooks would see."""
    strategy, precision = type(trainer.strategy).__name__, str(trainer.precision)
    if strategy not in _STRATEGIES:
        raise ModelError(
            f"strategy={strategy}: its gradients are not those of whole weights where callbacks "
            f"see them; allowed are one device and DDP ({', '.join(_STRATEGIES)})"
        )
    if not pl_module.automatic_optimization or len(trainer.optimizers) != 1:
        raise ModelError(
            "LightningSpectraCallback measures one optimizer under automatic optimization: "
            "use `with gradsweep.watch(model, optimizer)` around a manual one's steps"
        )
    if precision.startswith("16"):
        raise ModelError(
            f"precision={precision}: gradients are scaled, and Lightning tells no callback by how "
            "much; type precision=bf16-mixed or precision=32"
        )


def _causal_lm(pl_module: nn.Module) -> nn.Module:
    """Find the attribute that is, or wraps, a model of transformers."""
    found = {
        name: child
        for name, child in pl_module.named_children()
        if any(isinstance(module, PreTrainedModel) for module in child.modules())
    }
    if len(found) != 1:
        there = ", ".join(found) or "none"
        raise ConfigError(
            f"model: the LightningModule has {len(found)} models of transformers ({there}); "
            "give the one that is trained: LightningSpectraCallback(model=…)"
        )
    return next(iter(found.values()))


def _loop(trainer: Any, optimizer: Any) -> dict[str, Any]:
    """What the record of a run says of its loop."""
    return {
        "optimizer": type(optimizer).__name__,
        "gradient_clip_val": trainer.gradient_clip_val,
        "gradient_accumulation_steps": trainer.accumulate_grad_batches,
    }
