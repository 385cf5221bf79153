"""Runs of TRL's trainers, measured by a callback."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from helpers.training import probe_set, same_weights

from gradsweep import SpectraCallback

trl = pytest.importorskip("trl", reason="TRL is not installed")

Model = Any

ARGUMENTS: dict[str, Any] = {
    "max_steps": 2,
    "per_device_train_batch_size": 2,
    "learning_rate": 1e-2,
    "logging_steps": 1,
    "report_to": [],
    "disable_tqdm": True,
    "use_cpu": True,
    "bf16": False,
    "save_strategy": "no",
}


@pytest.fixture
def tokenizer(make_tokenizer: Callable[..., Any]) -> Any:
    tokenizer = make_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def questions(n: int = 8) -> list[str]:
    return [f"How many apples has Tom after {i}?" for i in range(n)]


def sft_trainer(model: Model, tokenizer: Any, folder: Path, **arguments: Any) -> Any:
    rows = [{"prompt": text, "completion": f" {i} apples."} for i, text in enumerate(questions())]
    args = trl.SFTConfig(str(folder), **(ARGUMENTS | arguments))
    return trl.SFTTrainer(
        model, args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
    )


def measured(trainer: Any, **options: Any) -> SpectraCallback:
    defaults: dict[str, Any] = {"update_every": 1, "layers": 1, "trainer": trainer}
    callback = SpectraCallback(**(defaults | options))
    trainer.add_callback(callback)
    trainer.train()
    return callback


@pytest.mark.parametrize(
    "steps",
    [pytest.param(20, marks=pytest.mark.long, id="20_steps"), pytest.param(3, id="3_steps")],
)
def test_sft_leaves_the_same_weights(
    steps: int, llama: Model, tokenizer: Any, tmp_path: Path
) -> None:
    """With TRL's own loss, which passes by the head module."""
    twin = copy.deepcopy(llama)
    sft_trainer(twin, tokenizer, tmp_path, max_steps=steps).train()
    trainer = sft_trainer(llama, tokenizer, tmp_path, max_steps=steps)
    callback = measured(trainer, probe=probe_set(), probe_every=5)
    assert same_weights(llama.state_dict(), twin.state_dict())
    assert callback.rows.filter(source="update")["step"].unique().to_list() == list(range(steps))
    assert callback.samples.filter(source="probe")["status"].unique().to_list() == ["ok"]
    logged = [line for line in trainer.state.log_history if "grad_norm" in line]
    for line, own in zip(logged, callback.steps.rows(named=True), strict=True):
        assert own["gradient_norm"] == pytest.approx(line["grad_norm"], rel=1e-4)


@pytest.mark.long
def test_adapters(llama: Model, tokenizer: Any, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="PEFT is not installed")
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    trainer = sft_trainer(peft.get_peft_model(llama, config), tokenizer, tmp_path)
    callback = measured(trainer, projections="qv", probe=probe_set())
    updates = callback.rows.filter(source="update")
    names = ["q", "q_lora_a", "q_lora_b", "v", "v_lora_a", "v_lora_b"]
    assert updates["projection"].to_list() == names * 4
    assert updates["finite"].all()
    effective = updates.filter(step=0, projection="v")["nuclear_norm"]
    assert (effective > 0).all()
    assert callback.samples.filter(source="probe")["status"].unique().to_list() == ["ok"]


@pytest.mark.long
def test_preferences(llama: Model, tokenizer: Any, tmp_path: Path) -> None:
    rows = [{"prompt": q, "chosen": " 3", "rejected": " no apples"} for q in questions()]
    trainer = trl.DPOTrainer(
        llama,
        copy.deepcopy(llama).eval(),
        args=trl.DPOConfig(str(tmp_path), **ARGUMENTS),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    callback = measured(trainer, probe=probe_set(), folder=tmp_path / "results")
    assert callback.rows.filter(source="update")["step"].unique().to_list() == [0, 1]
    assert callback.rows["finite"].all()
    assert callback.samples.filter(source="probe")["step"].unique().to_list() == [0, 2]


@pytest.mark.long
def test_groups_of_generated_responses(llama: Model, tokenizer: Any, tmp_path: Path) -> None:
    trainer = trl.GRPOTrainer(
        llama,
        reward_funcs=lambda completions, **_: [float(len(text) % 3) for text in completions],
        args=trl.GRPOConfig(str(tmp_path), num_generations=2, max_completion_length=6, **ARGUMENTS),
        train_dataset=Dataset.from_list([{"prompt": q} for q in questions()]),
        processing_class=tokenizer,
    )
    callback = measured(trainer, probe=probe_set())
    assert callback.rows.filter(source="update")["step"].unique().to_list() == [0, 1]
    assert callback.rows["finite"].all()
    assert callback.samples.filter(source="probe")["step"].unique().to_list() == [0, 2]
