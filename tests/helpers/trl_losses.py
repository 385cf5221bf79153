"""The losses of post-training as TRL's own trainers compute them, of one unit at a time."""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars, enable_progress_bars
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from helpers.tiny_models import VOCABULARY

Row = tuple[Tensor, int]
"""Token ids and the place of the first response token."""


@dataclass
class TrlLosses:
    """Trainers of one model, with a reference of its own; made when they are first asked for."""

    policy: Any
    reference: Any
    _made: dict[str, Any] = field(default_factory=dict)

    def dpo(self, rows: Sequence[Row], loss_type: str, **options: Any) -> Tensor:
        trainer = self._trainer("dpo")
        trainer.loss_types, trainer.loss_weights = [loss_type], [1.0]
        trainer.beta = options.get("beta", 0.1)
        trainer.label_smoothing = options.get("label_smoothing", 0.0)
        ids, attention, completion = _padded(rows)
        batch = {"input_ids": ids, "attention_mask": attention, "completion_mask": completion}
        return trainer.compute_loss(trainer.model, batch)

    def kto(self, rows: Sequence[Row], desirable: bool, **options: Any) -> Tensor:
        trainer = self._trainer("kto")
        trainer.loss_type, trainer.calculate_KL = "kto", False  # the baseline of step 0
        for name, value in options.items():
            setattr(trainer, name, value)
        ids, attention, completion = _padded(rows)
        batch = {"input_ids": ids, "attention_mask": attention, "completion_mask": completion}
        return trainer.compute_loss(trainer.model, batch | {"label": torch.tensor([desirable])})

    def sft(self, rows: Sequence[Row], loss_type: str = "nll") -> Tensor:
        trainer = self._trainer("sft")
        trainer.args.loss_type = loss_type
        ids, attention, completion = _padded(rows)
        labels = ids.masked_fill(completion == 0, -100)
        batch = {"input_ids": ids, "attention_mask": attention, "labels": labels}
        return trainer.compute_loss(trainer.model, batch)

    def cpo(self, rows: Sequence[Row], loss_type: str, **options: Any) -> Tensor:
        trainer = self._trainer("cpo")
        trainer.loss_type = loss_type
        for name, value in options.items():
            setattr(trainer, name, value)
        return trainer.get_batch_loss_metrics(trainer.model, _pair(rows))[0]

    def orpo(self, rows: Sequence[Row], beta: float) -> Tensor:
        trainer = self._trainer("orpo")
        trainer.beta = beta
        return trainer.get_batch_loss_metrics(trainer.model, _pair(rows))[0]

    def grpo(
        self,
        rows: Sequence[Row],
        loss_type: str,
        advantages: Tensor,
        beta: float,
        unbiased_kl: bool,
    ) -> Tensor:
        trainer = self._trainer("grpo")
        trainer.args.use_bias_correction_kl = unbiased_kl
        trainer.loss_type, trainer.beta, trainer.max_completion_length = loss_type, beta, 256
        batch = _completions(rows) | {"advantages": advantages}
        batch["num_items_in_batch"] = batch["completion_mask"].sum()
        with torch.no_grad():
            asked = (batch["prompt_ids"], batch["completion_ids"])
            masks = (batch["prompt_mask"], batch["completion_mask"])
            batch["ref_per_token_logps"] = trainer._get_per_token_logps_and_entropies(
                trainer.ref, torch.cat(asked, 1), torch.cat(masks, 1), asked[1].shape[1]
            )[0]
        return trainer._compute_loss(trainer.model, batch)

    def rloo(self, rows: Sequence[Row], advantages: Tensor) -> Tensor:
        trainer = self._trainer("rloo")
        batch = _completions(rows) | {"advantages": advantages}
        with torch.no_grad():
            asked = (batch["prompt_ids"], batch["completion_ids"])
            masks = (batch["prompt_mask"], batch["completion_mask"])
            log_probs = trainer._get_per_token_logps_and_entropies(
                trainer.model, torch.cat(asked, 1), torch.cat(masks, 1), asked[1].shape[1]
            )[0]
            batch["old_logps"] = (log_probs * masks[1]).sum(1)
        return trainer._compute_loss(trainer.model, batch)

    def model(self, name: str) -> Any:
        """The trainer's own copy of the policy, whose weights get the gradient."""
        return self._trainer(name).model

    def _trainer(self, name: str) -> Any:
        if name not in self._made:
            disable_progress_bars()
            with warnings.catch_warnings(action="ignore"):
                self._made[name] = self._makers[name]()
            enable_progress_bars()
            self._made[name].model.eval()
        return self._made[name]

    @cached_property
    def _makers(self) -> dict[str, Callable[[], Any]]:
        import trl
        from trl.experimental import cpo, orpo

        pair = {"prompt": "t3 t4", "chosen": "t5", "rejected": "t6"}
        labelled = [{"prompt": "t3", "completion": "t5", "label": x} for x in (True, False)]
        return {
            "dpo": lambda: self._make(trl.DPOTrainer, trl.DPOConfig, [pair] * 2, "ref_model"),
            "kto": lambda: self._make(trl.KTOTrainer, trl.KTOConfig, labelled, "ref_model"),
            "sft": lambda: self._make(trl.SFTTrainer, trl.SFTConfig, [{"text": "t3 t4"}] * 2),
            "cpo": lambda: self._make(cpo.CPOTrainer, cpo.CPOConfig, [pair] * 2),
            "orpo": lambda: self._make(orpo.ORPOTrainer, orpo.ORPOConfig, [pair] * 2),
            "grpo": lambda: self._make_grouped(trl.GRPOTrainer, trl.GRPOConfig),
            "rloo": lambda: self._make_grouped(trl.RLOOTrainer, trl.RLOOConfig),
        }

    def _make(
        self,
        trainer: Any,
        config: Any,
        data: Sequence[dict[str, Any]],
        *references: str,
        **more: Any,
    ) -> Any:
        generations = {"num_generations": 2, "beta": 0.0} if "reward_funcs" in more else {}
        arguments = config(
            output_dir=tempfile.mkdtemp(),
            report_to="none",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            per_device_train_batch_size=2,
            **generations,
        )
        return trainer(
            model=copy.deepcopy(self.policy),
            args=arguments,
            processing_class=_tokenizer(),
            train_dataset=Dataset.from_list(list(data)),
            **{name: copy.deepcopy(self.reference) for name in references},
            **more,
        )

    def _make_grouped(self, trainer: Any, config: Any) -> Any:
        from trl.trainer.utils import add_fused_lm_head

        made = self._make(
            trainer, config, [{"prompt": "t3"}] * 2, reward_funcs=lambda **given: [0.0]
        )
        made.ref = copy.deepcopy(self.reference).eval()
        add_fused_lm_head(made.ref)
        return made


def _tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {f"t{i}": i for i in range(VOCABULARY)}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="t0"))
    named = {"pad_token": "t0", "eos_token": "t1", "unk_token": "t0"}
    return PreTrainedTokenizerFast(tokenizer_object=words, **named)


def _padded(rows: Sequence[Row]) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids, attention mask and completion mask, (rows, longest)."""
    longest = max(len(ids) for ids, _ in rows)
    padded = torch.zeros(3, len(rows), longest, dtype=torch.long)
    for row, (ids, start) in enumerate(rows):
        padded[0, row, : len(ids)] = ids
        padded[1, row, : len(ids)] = 1
        padded[2, row, start : len(ids)] = 1
    return padded[0], padded[1], padded[2]


def _pair(rows: Sequence[Row]) -> dict[str, Tensor]:
    batch = {}
    for name, row in zip(("chosen", "rejected"), rows, strict=True):
        ids, attention, completion = _padded([row])
        batch[f"{name}_input_ids"], batch[f"{name}_attention_mask"] = ids, attention
        batch[f"{name}_labels"] = ids.masked_fill(completion == 0, -100)
    return batch


def _completions(rows: Sequence[Row]) -> dict[str, Tensor]:
    """Of one prompt, as a group has."""
    ids, attention, completion = _padded(rows)
    (start,) = {start for _, start in rows}
    return {
        "prompt_ids": ids[:, :start],
        "prompt_mask": attention[:, :start],
        "completion_ids": ids[:, start:],
        "completion_mask": completion[:, start:],
    }
