"""Direct preference optimisation (arXiv 2305.18290, equation 7) and the losses built on it.

Formulas as in TRL's DPOTrainer; w is the chosen response, l the rejected one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from gradsweep.engine.objectives.base import PairObjective, require_allowed, require_positive
from gradsweep.engine.response import ResponseTokens
from gradsweep.errors import ConfigError

EXO_SMOOTHING = 1e-3
"""ε of exo_pair where none is given, as its paper recommends: log ε is in its loss."""


@dataclass(frozen=True)
class Dpo(PairObjective):
    """A loss of r_w and r_l, each r = Σ_t log p_t − Σ_t log p_ref,t of one response.

    With Δ = r_w − r_l, r̄ = r / T and ε = `label_smoothing`:
    sigmoid −log σ(βΔ); hinge max(0, 1 − βΔ); ipo (r̄_w − r̄_l − 1/2β)² (2310.12036);
    robust (−(1−ε)·log σ(βΔ) + ε·log σ(−βΔ)) / (1 − 2ε) (2403.00409);
    exo_pair KL(σ(±βΔ) ‖ 1−ε, ε) (2402.00856); nca_pair −log σ(βr_w) − ½ log σ(−βr_w)
    − ½ log σ(−βr_l) (2402.05369); apo_zero 1 − σ(βr_w) + σ(βr_l), apo_down σ(βr_w) + 1 − σ(βΔ)
    (2408.06266); sppo_hard (r_w − 1/2β)² + (r_l + 1/2β)² (2405.00675); sigmoid_norm
    −log σ(β(r̄_w − r̄_l)).
    """

    other_models = ("reference",)

    loss_type: str = "sigmoid"
    beta: float = 0.1
    label_smoothing: float | None = None
    """ε; None is 0, and 0.001 for exo_pair."""
    members: bool = False

    def __post_init__(self) -> None:
        require_positive(beta=self.beta)
        require_allowed(_LOSSES, loss_type=self.loss_type)
        self._check_smoothing()

    def _check_smoothing(self) -> None:
        smooths, smoothing = self.loss_type in ("robust", "exo_pair"), self.label_smoothing
        if smoothing is None:
            return
        if not smooths and smoothing != 0:
            raise ConfigError(
                f"objective.label_smoothing={smoothing}: objective.loss_type={self.loss_type} has "
                "none; robust and exo_pair have"
            )
        least = "above 0" if self.loss_type == "exo_pair" else "of at least 0"
        too_small = smoothing < 0 or (smoothing == 0 and self.loss_type == "exo_pair")
        if too_small or smoothing >= 0.5:
            raise ConfigError(
                f"objective.label_smoothing={smoothing}: allowed with objective.loss_type="
                f"{self.loss_type} are numbers {least} and below ½, where either response is "
                "preferred as often and no pair has a direction"
            )

    @property
    def epsilon(self) -> float:
        """The label smoothing in use."""
        if self.label_smoothing is not None:
            return self.label_smoothing
        return EXO_SMOOTHING if self.loss_type == "exo_pair" else 0.0

    def losses(self, tokens: ResponseTokens) -> Float[Tensor, " units"]:
        """Return the loss of each pair: (units,)."""
        ratios = tokens.row_sums(tokens.log_probs) - tokens.reference_sums
        if self.loss_type in _BY_LENGTH:
            ratios = ratios / tokens.counts
        chosen, rejected = self.of_pairs(ratios, tokens)
        return _LOSSES[self.loss_type](self, chosen, rejected)


# w and r are the log-ratios of the chosen and of the rejected responses, (units,) each.


def _sigmoid(o: Dpo, w: Tensor, r: Tensor) -> Tensor:
    return -F.logsigmoid(o.beta * (w - r))


def _hinge(o: Dpo, w: Tensor, r: Tensor) -> Tensor:
    return (1 - o.beta * (w - r)).relu()


def _ipo(o: Dpo, w: Tensor, r: Tensor) -> Tensor:
    return (w - r - 1 / (2 * o.beta)) ** 2


def _robust(o: Dpo, w: Tensor, r: Tensor) -> Tensor:
    clean, flipped = F.logsigmoid(o.beta * (w - r)), F.logsigmoid(o.beta * (r - w))
    return (-(1 - o.epsilon) * clean + o.epsilon * flipped) / (1 - 2 * o.epsilon)


def _exo_pair(o: Dpo, w: Tensor, r: Tensor) -> Tensor:
    chosen, rejected = F.logsigmoid(o.beta * (w - r)), F.logsigmoid(o.beta * (r - w))
    to_chosen = chosen.exp() * (chosen - math.log1p(-o.epsilon))
    return to_chosen + rejected.exp() * (rejected - math.log(o.epsilon))


def _nca_pair(o: Dpo, w: Tensor, r: Tensor) -> Tensor:
    away = 0.5 * (F.logsigmoid(-o.beta * w) + F.logsigmoid(-o.beta * r))
    return -F.logsigmoid(o.beta * w) - away


def _apo_zero(o: Dpo, w: Tensor, r: Tensor) -> Tensor:
    return 1 - (o.beta * w).sigmoid() + (o.beta * r).sigmoid()


def _apo_down(o: Dpo, w: Tensor, r: Tensor) -> Tensor:
    return (o.beta * w).sigmoid() + 1 - (o.beta * (w - r)).sigmoid()


def _sppo_hard(o: Dpo, w: Tensor, r: Tensor) -> Tensor:
    return (w - 0.5 / o.beta) ** 2 + (r + 0.5 / o.beta) ** 2


_LOSSES: dict[str, Callable[[Dpo, Tensor, Tensor], Tensor]] = {
    "sigmoid": _sigmoid,
    "hinge": _hinge,
    "ipo": _ipo,
    "robust": _robust,
    "exo_pair": _exo_pair,
    "nca_pair": _nca_pair,
    "apo_zero": _apo_zero,
    "apo_down": _apo_down,
    "sppo_hard": _sppo_hard,
    "sigmoid_norm": _sigmoid,
}
_BY_LENGTH = ("ipo", "sigmoid_norm")
"""Losses of r̄, the mean over a response's tokens."""
