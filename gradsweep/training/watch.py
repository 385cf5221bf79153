"""Gradients of a plain PyTorch loop, by hooks around its optimizer's steps.

with gradsweep.watch(model, optimizer, update_every=10, folder="results") as watched:
    for batch in data:
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
watched.rows
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from gradsweep.training.options import WatchOptions
from gradsweep.training.session import Measured, Session


def watch(model: nn.Module, optimizer: torch.optim.Optimizer, **options: Any) -> Watch:
    """Measure a training run of one's own loop, while the block runs.

    Args:
        model: a causal LM of a known family, as it is trained: plain, wrapped by PEFT, compiled,
            in DistributedDataParallel, or after `fully_shard`.
        optimizer: of its weights; its steps are counted from 0.
        options: fields of `Watch` and `WatchOptions`.

    Raises:
        ConfigError: an option that cannot be.
        ModelError: as `UpdateWatch`, when the block begins.
    """
    return Watch(model, optimizer, **options)


@dataclass(kw_only=True, eq=False)
class Watch(Measured, WatchOptions):
    """A context manager; get it from `watch`."""

    model: nn.Module = field(kw_only=False)
    optimizer: Any = field(kw_only=False)
    tokenizer: Any = None
    """The model's, for the probe."""
    scaler: torch.amp.GradScaler | None = None
    """Of float16 training."""
    log: Callable[[dict[str, float], int], Any] | None = None
    """Called with scalars and the number of optimizer steps made: `lambda scalars, step:
    wandb.log(scalars, step=step)`."""
    _begins = "its block"
    first_step: int = 0
    """Optimizer steps that the weights have had when the block begins: those of the checkpoint
    that a run goes on from, whose point in `folder` then goes on, too."""

    def __enter__(self) -> Watch:
        # accelerate's wrapper has no hooks of its own
        steps = getattr(self.optimizer, "optimizer", self.optimizer)
        self._made = self.first_step
        self._session: Session = Session(
            self,
            self.model,
            steps,
            self.tokenizer,
            self.scaler,
            loop={"optimizer": type(steps).__name__},
            first_step=self.first_step,
        )
        self._handles = [
            steps.register_step_pre_hook(self._before_step),
            steps.register_step_post_hook(self._after_step),
        ]
        try:
            begins = self._made == 0 or self._session.probe_due(self._made)
            if self.probe is not None and begins:
                self._report(self._session.probe(self._made))
        except BaseException:
            self._leave(finished=False)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None and self._session.probed != self._made:
                self._report(self._session.probe(self._made))
        finally:
            self._leave(finished=kind is None)

    def _leave(self, finished: bool) -> None:
        for handle in self._handles:
            handle.remove()
        self._session.close(finished and not self.rows.is_empty())

    def _before_step(self, *_: Any) -> None:
        self._session.before_step(self._made)

    def _after_step(self, *_: Any) -> None:
        update = self._session.after_step(self._made)
        self._session.keep_step(self._made, update)
        self._made += 1
        scalars = self._session.update_scalars(update) if update else {}
        if self._session.probe_due(self._made):
            scalars |= self._session.probe(self._made)
        self._report(scalars)
        self._session.begin_step()

    def _report(self, scalars: dict[str, float]) -> None:
        if scalars and self.log is not None:
            self.log(scalars, self._made)
