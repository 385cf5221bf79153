"""Unlikelihood training (arXiv 1908.04319, equation 2), on the response's own tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gradsweep.engine.objectives.base import Objective
from gradsweep.engine.response import ResponseTokens


@dataclass(frozen=True)
class Unlikelihood(Objective):
    """loss_i = −1/T_i · Σ_t log(1 − p_t): the weight of ∇log p_t is p_t/(1 − p_t)."""

    def losses(self, tokens: ResponseTokens) -> Float[Tensor, " units"]:
        """Return the mean of −log(1 − p) over each sample's response tokens: (units,).

        A token that the model is certain of has p = 1 in float32, and an infinite loss: 1 − p is
        taken from the other logits, which keeps it above 0 as long as one of them counts.
        """
        logits = tokens.logits.float()
        others = logits.scatter(1, tokens.targets[:, None], -torch.inf)
        log_rest = others.logsumexp(dim=1) - logits.logsumexp(dim=1)
        return tokens.unit_sums(-tokens.row_sums(log_rest) / tokens.counts)
