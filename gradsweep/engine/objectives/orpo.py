"""Odds ratio preference optimisation (arXiv 2403.07691, equations 6 and 7)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from gradsweep.engine.objectives.base import PairObjective, require_positive
from gradsweep.engine.response import ResponseTokens


@dataclass(frozen=True)
class Orpo(PairObjective):
    """loss = NLL(prompt and chosen) − β·log σ(log odds_w − log odds_l), odds = p̄ / (1 − p̄).

    log p̄ is the mean log-probability of a response's tokens; NLL is the mean cross-entropy over the
    tokens of prompt and response, as in TRL's ORPOTrainer.
    """

    reads_prompts = True

    beta: float = 0.1
    members: bool = False

    def __post_init__(self) -> None:
        require_positive(beta=self.beta)

    def losses(self, tokens: ResponseTokens) -> Float[Tensor, " units"]:
        """Return the loss of each pair: (units,)."""
        assert tokens.of_response is not None, "reads_prompts"
        log_probs = tokens.log_probs
        means = tokens.row_sums(log_probs * tokens.of_response) / tokens.counts
        whole = tokens.row_sums(log_probs) / tokens.row_sums(torch.ones_like(log_probs))
        chosen, rejected = self.of_pairs(means - _log_one_minus_exp(means), tokens)
        chosen_text, _ = self.of_pairs(whole, tokens)
        return -chosen_text - self.beta * F.logsigmoid(chosen - rejected)


def _log_one_minus_exp(x: Tensor) -> Tensor:
    """log(1 − eˣ) of x < 0, without the cancellation that either form alone has."""
    near, far = torch.log(-torch.expm1(x)), torch.log1p(-torch.exp(x))
    return torch.where(x > -math.log(2), near, far)
