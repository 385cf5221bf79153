"""Distillation on the data's own responses (arXiv 2306.13649, equations 1 and 2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gradsweep.engine.objectives.base import Objective, require_allowed, require_positive
from gradsweep.engine.response import ResponseTokens
from gradsweep.errors import ConfigError

DIVERGENCES = ("forward_kl", "reverse_kl", "jsd")


@dataclass(frozen=True)
class Distill(Objective):
    """loss_i = 1/T_i · Σ_t D(teacher_t, student_t), over the whole vocabulary, in nats.

    forward_kl KL(teacher ‖ student); reverse_kl KL(student ‖ teacher); jsd
    β·KL(teacher ‖ M) + (1 − β)·KL(student ‖ M), M = β·teacher + (1 − β)·student. Both
    distributions are taken at `temperature`.
    """

    other_models = ("teacher",)

    divergence: str = "forward_kl"
    beta: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        require_positive(temperature=self.temperature)
        require_allowed(DIVERGENCES, divergence=self.divergence)
        if not 0 < self.beta < 1:
            raise ConfigError(
                f"objective.beta={self.beta}: allowed are numbers between 0 and 1; the ends are "
                "objective.divergence=forward_kl and reverse_kl"
            )

    def losses(self, tokens: ResponseTokens) -> Float[Tensor, " units"]:
        """Return the divergence of each sample: (units,)."""
        if tokens.teacher_logits is None:
            raise ConfigError("objective=distill needs a teacher: objective.teacher=<model option>")
        student = (tokens.logits.float() / self.temperature).log_softmax(dim=1)
        teacher = (tokens.teacher_logits.float() / self.temperature).log_softmax(dim=1)
        per_token = self._divergence(teacher, student)
        return tokens.unit_sums(tokens.row_sums(per_token) / tokens.counts)

    def _divergence(self, teacher: Tensor, student: Tensor) -> Tensor:
        if self.divergence == "forward_kl":
            return _kl(teacher, student)
        if self.divergence == "reverse_kl":
            return _kl(student, teacher)
        weights = student + math.log1p(-self.beta), teacher + math.log(self.beta)
        mixture = torch.logaddexp(*weights)
        return self.beta * _kl(teacher, mixture) + (1 - self.beta) * _kl(student, mixture)


def _kl(p: Tensor, q: Tensor) -> Tensor:
    """KL(p ‖ q) of log-probabilities (tokens, vocabulary): (tokens,)."""
    return (p.exp() * (p - q)).sum(dim=1)
