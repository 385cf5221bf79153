"""A training run of Lightning watched in two processes under its DDP, or in one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import gradsweep
from helpers.lightning_runs import fit
from helpers.training import probe_set, with_dropout

RANKS = 2
STEPS = 3
PASSES = 2
"""Of a step, in each process."""


@dataclass(frozen=True)
class Trained:
    """Trains in one of the processes; weights, rows and steps go to files of each."""

    folder: Path
    saved_model: Path

    def __call__(self, rank: int) -> str:
        stored = watching(self.saved_model, self.folder / "results")
        self._run("plain", rank, with_dropout(trained(self.saved_model)))
        self._run("watched", rank, with_dropout(trained(self.saved_model)), stored)
        self._run("no-dropout", rank, trained(self.saved_model), watching(self.saved_model))
        return "trained"

    def _run(self, name: str, rank: int, model: Any, *callbacks: Any) -> None:
        among = {"rank": rank, "processes": RANKS, "strategy": "ddp"}
        fit(model, STEPS, *callbacks, **among, **options(PASSES))
        torch.save(model.state_dict(), self.folder / f"{name}-{rank}.pt")
        for callback in callbacks:
            callback.rows.write_parquet(self.folder / f"{name}-rows-{rank}.parquet")
            callback.steps.write_parquet(self.folder / f"{name}-steps-{rank}.parquet")


def alone(saved_model: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return rows and steps of one process that takes all the batches of each step.

    Without dropout, of which two processes draw other numbers than one.
    """
    callback = watching(saved_model)
    fit(trained(saved_model), STEPS, callback, **options(PASSES * RANKS))
    return callback.rows, callback.steps


def trained(saved_model: Path) -> Any:
    """Load the model that is trained."""
    return AutoModelForCausalLM.from_pretrained(saved_model).train()


def watching(saved_model: Path, folder: Path | None = None) -> Any:
    """Measure updates at every step, and probes at some."""
    return gradsweep.LightningSpectraCallback(
        update_every=1,
        layers=1,
        probe=probe_set(),
        probe_every=2,
        tokenizer=AutoTokenizer.from_pretrained(saved_model),
        folder=folder,
    )


def options(passes: int) -> dict[str, Any]:
    """Clip steps of so many passes."""
    return {"accumulate_grad_batches": passes, "gradient_clip_val": 0.5}
