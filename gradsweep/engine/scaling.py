"""Loss scaling for float16, whose numbers end at 6e-8 and 65504: gradients vanish or overflow.

Each unit's loss is multiplied by a power of two before the backward pass, and its dY is divided
by it where they leave the pass, in float32: exact, so that rows are those of the loss itself.
The scale is a unit's own (a batch sums losses that share nothing), starts at the same value in
every pass and is lowered for the units whose gradients overflow, which are measured again. So a
row does not depend on what ran before or beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gradsweep.engine.batch import Batch
from gradsweep.engine.factors import Factors

START = 2.0**10
"""Scale of one response token's loss. The largest gradient of a logit is then near 2^10, in a
range from 2^-24 (from 2^-14 at full precision) to 2^16."""

LOWERED = 2.0**-6
"""What the scale of a unit is multiplied by when its gradients overflow."""

LOWEST = 2.0**-10
"""No scale below it: the overflow is the model's own then, and the rows say that they are not
finite."""

Result = TypeVar("Result")


class LossScale:
    """The scales of one batch in one pass, and which units they were too large for."""

    def __init__(self, batch: Batch, per_token: float) -> None:
        self._shape = batch.input_ids.shape
        self._per_token = per_token
        self._unit_of_row = batch.unit_of_row
        # The loss is a mean over tokens: times the power of two above their number, a token's
        # gradient has the same size however long the response is.
        n_tokens = batch.response_mask.sum(dim=1)
        counts = n_tokens.new_zeros(batch.n_units).index_add(0, self._unit_of_row, n_tokens)
        self._scales = per_token * counts.float().log2().ceil().exp2()
        self._finite_loss = torch.ones_like(counts, dtype=torch.bool)
        self._finite = torch.ones_like(counts, dtype=torch.bool)

    @property
    def lowered(self) -> float:
        """The next scale of a response token's loss."""
        return self._per_token * LOWERED

    def scaled(self, losses: Float[Tensor, " units"]) -> Float[Tensor, " units"]:
        """The losses to call `backward` on."""
        self._finite_loss = losses.detach().isfinite().to(self._finite.device)
        return losses * self._scales.to(losses.device)

    def unscaled(self, factors: Factors) -> Factors:
        """Factors of the losses themselves, dY in float32; takes note of what overflowed."""
        dys = {}
        scales = self._scales[self._unit_of_row]
        for name, dy in factors.dy.items():
            by_row = dy.reshape(*self._shape, -1).float()
            infinite = ~by_row.isfinite().flatten(1).all(dim=1).to(self._finite.device)
            # Not by an index: a device would have to be waited for to know how many there are.
            of_unit = torch.zeros_like(self._finite, dtype=torch.long)
            self._finite &= of_unit.index_add(0, self._unit_of_row, infinite.long()) == 0
            dys[name] = by_row / scales.to(dy.device)[:, None, None]
        return replace(factors, dy=dys)

    @property
    def overflowed(self) -> list[int]:
        """Places of the units with a finite loss, a gradient that is not, and hope."""
        if self.lowered < LOWEST:
            return []
        return (self._finite_loss & ~self._finite).nonzero().flatten().tolist()


def needs_scaling(model: nn.Module) -> bool:
    """Whether gradients pass through float16."""
    return any(parameter.dtype is torch.float16 for parameter in model.parameters())


def with_loss_scale(
    one_pass: Callable[[Batch, LossScale], list[Result]],
    batch: Batch,
    per_token: float | None = None,
) -> list[Result]:
    """Results of one pass, with what overflowed in it from further passes at lower scales.

    Args:
        one_pass: a forward and a backward pass; one result for each unit of its batch.
        batch: of whole units.
        per_token: scale of a response token's loss; `START` when None.
    """
    scale = LossScale(batch, START if per_token is None else per_token)
    results = one_pass(batch, scale)
    if scale.overflowed:
        again = with_loss_scale(one_pass, batch.part(scale.overflowed), scale.lowered)
        for place, result in zip(scale.overflowed, again, strict=True):
            results[place] = result
    return results
