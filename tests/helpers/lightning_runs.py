"""Runs of Lightning's Trainer on tiny models; without Lightning, who imports this is skipped."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import pytest
import torch

from helpers.training import batch, mean_loss

lightning = pytest.importorskip("lightning.pytorch", reason="pip install 'gradsweep[lightning]'")


class Module(lightning.LightningModule):
    """A causal LM that takes steps of AdamW or plain descent."""

    def __init__(self, model: Any, optimizer: Callable[..., Any]) -> None:
        super().__init__()
        self.lm = model
        self._optimizer = optimizer

    def training_step(self, ids: torch.Tensor, index: int) -> torch.Tensor | None:
        return mean_loss(self.lm, ids)

    def configure_optimizers(self) -> Any:
        return self._optimizer([p for p in self.parameters() if p.requires_grad])


def adamw(parameters: Any) -> Any:
    return torch.optim.AdamW(parameters, lr=1e-2)


def standing(parameters: Any) -> Any:
    return torch.optim.SGD(parameters, lr=0.0)


def fit(
    model: Any,
    steps: int,
    *callbacks: Any,
    optimizer: Any = adamw,
    resumed: Any = None,
    rank: int = 0,
    processes: int = 1,
    **more: Any,
) -> None:
    """Train a model or a `Module`, from a checkpoint if one is given.

    Several processes take turns at the batches, which Lightning's own sampler would shuffle.
    """
    torch.manual_seed(7)
    passes = steps * more.get("accumulate_grad_batches", 1) * processes
    batches: Any = [batch(4, seed=n) for n in range(passes)]
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=processes,
        logger=more.pop("logger", False),
        enable_checkpointing=any(
            isinstance(callback, lightning.callbacks.ModelCheckpoint) for callback in callbacks
        ),
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
        **more,
    )
    trainer.fit(
        model if isinstance(model, Module) else Module(model, optimizer),
        torch.utils.data.DataLoader(
            batches[rank::processes], batch_size=1, collate_fn=itemgetter(0)
        ),
        ckpt_path=resumed,
    )
