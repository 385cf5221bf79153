"""The point's objective over a model's batches, whether they are trained on or held out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gradsweep.engine.batch import Batch
from gradsweep.engine.frozen import frozen
from gradsweep.engine.objectives import Objective
from gradsweep.engine.response import ResponseHead, ResponseTokens, install_response_head


class UnitLosses:
    """Runs a model and gives each unit of the batch its loss; `unit_losses` makes it."""

    def __init__(
        self,
        objective: Objective,
        head: ResponseHead,
        teacher: tuple[nn.Module, ResponseHead] | None,
    ) -> None:
        self._objective = objective
        self._head = head
        self._teacher = teacher

    def of(self, model: nn.Module, batch: Batch) -> tuple[Float[Tensor, " units"], ResponseTokens]:
        """Return a loss per unit, in nats and float32, and what the model says of the tokens."""
        logits = None
        if self._teacher is not None:
            with torch.no_grad():
                logits = self._teacher[1].tokens(self._teacher[0], batch).logits
        tokens = self._head.tokens(model, batch, logits)
        return self._objective.losses(tokens), tokens


@contextmanager
def unit_losses(
    model: nn.Module, objective: Objective, teacher: nn.Module | None
) -> Iterator[UnitLosses]:
    """Inside the block, losses of the model's batches can be taken.

    Args:
        model: as it is trained.
        objective: gives each unit its loss.
        teacher: the objective's second model that runs beside the first.
    """
    reads_prompts = objective.reads_prompts
    with ExitStack() as stack:
        head = stack.enter_context(install_response_head(model, reads_prompts))
        second = None
        if teacher is not None:
            stack.enter_context(frozen(teacher))
            installed = stack.enter_context(install_response_head(teacher, reads_prompts))
            second = (teacher, installed)
        yield UnitLosses(objective, head, second)
