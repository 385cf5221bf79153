"""A run of transformers' Trainer, measured by a callback."""

from __future__ import annotations

import copy
import gc
import logging
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.patience import PATIENCE_SECONDS
from helpers.training import batch, probe_set, same_weights
from transformers import Trainer, TrainerCallback, TrainingArguments, default_data_collator

import gradsweep
from gradsweep import SpectraCallback
from gradsweep.errors import ConfigError, ModelError

Model = Any


def trainer_of(model: Model, tokenizer: Any, folder: Path, **arguments: Any) -> Trainer:
    rows = [{"input_ids": row, "labels": row} for row in batch(24)]
    defaults = {
        "output_dir": str(folder / "checkpoints"),
        "max_steps": 4,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        "save_strategy": "no",
    }
    args = TrainingArguments(**(defaults | arguments))
    return Trainer(
        model, args, default_data_collator, train_dataset=rows, processing_class=tokenizer
    )


class Seen(TrainerCallback):
    """The gradients that the optimizer gets, and what a logger is told."""

    def __init__(self) -> None:
        self.gradients: list[torch.Tensor] = []
        self.logs: list[tuple[int, dict[str, float]]] = []

    def on_pre_optimizer_step(
        self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        self.gradients.append(model.model.layers[0].self_attn.q_proj.weight.grad.clone())

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        self.logs.append((state.global_step, dict(logs)))


@pytest.mark.long
def test_weights_are_the_same_to_the_last_bit(llama: Model, tokenizer: Any, tmp_path: Path) -> None:
    twin = copy.deepcopy(llama)
    plain = trainer_of(twin, tokenizer, tmp_path, max_steps=20)
    plain.train()
    watched = trainer_of(llama, tokenizer, tmp_path, max_steps=20)
    watched.add_callback(
        SpectraCallback(update_every=3, layers=1, probe=probe_set(), probe_every=8)
    )
    watched.train()
    assert same_weights(llama.state_dict(), twin.state_dict())
    losses = [[line.get("loss") for line in t.state.log_history if "loss" in line]
              for t in (plain, watched)]  # fmt: skip
    assert losses[0] == losses[1]


def test_rows_are_of_the_accumulated_gradient(llama: Model, tokenizer: Any, tmp_path: Path) -> None:
    """Trainer clips before any callback: the row's gradient is that one times one factor."""
    trainer, seen = trainer_of(llama, tokenizer, tmp_path, max_grad_norm=0.01), Seen()
    callback = SpectraCallback(update_every=2, layers=1, projections="qo")
    trainer.add_callback(callback)
    trainer.add_callback(seen)
    trainer.train()
    assert callback.rows["step"].unique().to_list() == [0, 2]
    steps = callback.steps
    for step in (0, 2):
        line = steps.row(step, named=True)
        logged = [x for x in trainer.state.log_history if x["step"] == step + 1 and "loss" in x]
        assert line["loss"] == pytest.approx(logged[0]["loss"], rel=1e-6)
        assert line["learning_rate"] == pytest.approx(logged[0]["learning_rate"])
        assert line["gradient_norm"] == pytest.approx(logged[0]["grad_norm"], rel=1e-4)
        assert line["clipped_gradient_norm"] == pytest.approx(0.01, rel=1e-4)
        row = callback.rows.filter(step=step, layer=0, projection="q").row(0, named=True)
        factor = line["clipped_gradient_norm"] / line["gradient_norm"]
        assert row["frobenius_norm"] * factor == pytest.approx(
            float(seen.gradients[step].norm()), rel=1e-4
        )
    assert math.isnan(steps["gradient_norm"][1])
    assert steps["epoch"].to_list() == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6])


def test_scalars_go_to_the_trainers_own_loggers(
    llama: Model, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Logger(Seen):
        """Stands for the callback of W&B."""

    monkeypatch.setattr(
        "gradsweep.training.callback.get_reporting_integration_callbacks", lambda to: [Logger]
    )
    trainer, logger = trainer_of(llama, tokenizer, tmp_path), Logger()
    trainer.add_callback(logger)
    trainer.args.report_to = ["wandb"]
    trainer.add_callback(
        SpectraCallback(trainer=trainer, update_every=2, probe=probe_set(), probe_every=3)
    )
    trainer.train()
    ours = [(step, logs) for step, logs in logger.logs if any("spectra" in n for n in logs)]
    assert [step for step, _ in ours] == [0, 1, 3, 4]
    assert "spectra_probe/none/correct/q/nuclear_norm" in ours[0][1]
    assert "spectra_update/q/nuclear_norm" in ours[1][1]
    history = [
        line for line in trainer.state.log_history if "spectra_update/q/nuclear_norm" in line
    ]
    assert [line["step"] for line in history] == [1, 3]


def test_without_the_trainer_its_loggers_are_missed(
    llama: Model, tokenizer: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = trainer_of(llama, tokenizer, tmp_path, max_steps=1)
    trainer.args.report_to = ["wandb"]
    trainer.add_callback(SpectraCallback(update_every=1))
    with caplog.at_level(logging.WARNING, "gradsweep"):
        trainer.train()
    assert "wandb will not see the spectra" in caplog.text
    assert "trainer=trainer" in caplog.text


def test_a_run_goes_on_from_its_checkpoint(llama: Model, tokenizer: Any, tmp_path: Path) -> None:
    """Whatever was measured after the checkpoint is there once."""
    options: dict[str, Any] = {"update_every": 1, "folder": tmp_path / "results"}
    first = trainer_of(llama, tokenizer, tmp_path, save_strategy="steps", save_steps=2)
    first.add_callback(SpectraCallback(**options))
    first.add_callback(_Killed(3))
    with pytest.raises(KeyboardInterrupt):
        first.train()
    # No trainer tells its callbacks: as in a notebook, the run that failed is still there.
    assert any(getattr(p, "_post_accumulate_grad_hooks", None) for p in llama.parameters())
    second = trainer_of(llama, tokenizer, tmp_path, save_strategy="steps", save_steps=2)
    second.add_callback(SpectraCallback(**options))
    second.train(resume_from_checkpoint=True)
    assert not any(getattr(p, "_post_accumulate_grad_hooks", None) for p in llama.parameters())
    assert not [*(tmp_path / "results").glob("points/*/RUNNING")]
    tables = gradsweep.load_training(tmp_path / "results")
    assert tables.steps["step"].to_list() == [0, 1, 2, 3]
    assert tables.samples["step"].to_list() == [0, 1, 2, 3]
    assert not tables.rows.select("step", "layer", "projection").is_duplicated().any()
    assert tables.rows["objective"].unique().to_list() == ["sft"]


def test_steps_of_a_run_that_another_callback_ends_are_kept(
    llama: Model, tokenizer: Any, tmp_path: Path
) -> None:
    """By the end of whoever holds it; the end of a process is that of all."""
    trainer = trainer_of(llama, tokenizer, tmp_path)
    trainer.add_callback(SpectraCallback(update_every=2, folder=tmp_path / "results"))
    trainer.add_callback(_Killed(3))
    with pytest.raises(KeyboardInterrupt) as failed:
        trainer.train()
    assert gradsweep.load_training(tmp_path / "results").steps.is_empty()
    del trainer, failed
    gc.collect()
    assert gradsweep.load_training(tmp_path / "results").steps["step"].to_list() == [0, 1, 2]
    (point,) = gradsweep.point_statuses(tmp_path / "results")
    assert point.state.name == "STOPPED"


ENDED = """
import sys, torch, gradsweep
from helpers.tiny_models import FAMILIES
from helpers.training import backward, batch
model = FAMILIES["llama_gqa"]()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
watched = gradsweep.watch(model, optimizer, update_every=2, folder=sys.argv[1]).__enter__()
for step in range(3):
    backward(model, batch(2))
    optimizer.step()
    optimizer.zero_grad()
raise RuntimeError("out of memory")
"""


@pytest.mark.long
def test_a_process_that_ends_stores_the_steps_that_wait(tmp_path: Path) -> None:
    """Whoever else has failed in it."""
    command = [sys.executable, "-c", ENDED, str(tmp_path)]
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert ended.stderr.strip().endswith("RuntimeError: out of memory"), ended.stderr
    assert gradsweep.load_training(tmp_path).steps["step"].to_list() == [0, 1, 2]
    assert not [*tmp_path.glob("points/*/RUNNING")]


class _Killed(TrainerCallback):
    def __init__(self, made: int) -> None:
        self._made = made

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self._made:
            raise KeyboardInterrupt


def test_what_cannot_be_measured_is_refused_before_the_first_step(
    llama: Model, tokenizer: Any, tmp_path: Path
) -> None:
    trainer = trainer_of(llama, tokenizer, tmp_path)
    trainer.add_callback(SpectraCallback())
    trainer.args.deepspeed = {"zero_optimization": {"stage": 1}}
    with pytest.raises(ModelError, match="DeepSpeed"):
        trainer.callback_handler.on_train_begin(trainer.args, trainer.state, trainer.control)
    plain = trainer_of(llama, None, tmp_path)
    plain.add_callback(SpectraCallback(probe=probe_set()))
    with pytest.raises(ConfigError, match="processing_class"):
        plain.train()
    llama.requires_grad_(False)
    llama.lm_head.requires_grad_(True)
    frozen = trainer_of(llama, tokenizer, tmp_path)
    frozen.add_callback(SpectraCallback())
    with pytest.raises(ModelError, match="requires_grad is false"):
        frozen.train()


def test_there_is_nothing_before_training() -> None:
    with pytest.raises(RuntimeError, match=r"before trainer\.train\(\)"):
        _ = SpectraCallback().rows
