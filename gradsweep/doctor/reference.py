"""The plain definition of a gradient: what autograd leaves in `weight.grad`.

One unit at a time and row by row, the measured weights trainable, the objective's loss from the
model's own full logits. It shares with the engine only the model, the token ids, the objective and
the places of the projections.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from gradsweep.engine import ResponseTokens, collate, trainable
from gradsweep.engine.objectives import Objective
from gradsweep.models.projections import ProjectionSite
from gradsweep.records import EncodedUnit

Place = tuple[int, str]
"""(layer, projection)."""


@dataclass(frozen=True)
class Gradients:
    """What autograd gave for one unit."""

    loss: float
    of: dict[Place, Tensor]
    """Gradients (m, n), in the dtype of the weights, on their device."""


class Reference:
    """A frozen model whose weight gradients autograd computes."""

    def __init__(
        self,
        model: PreTrainedModel,
        sites: Sequence[ProjectionSite],
        objective: Objective,
        teacher: torch.nn.Module | None = None,
    ) -> None:
        self._model = model
        self._sites = sites
        self._objective = objective
        self._teacher = teacher

    @property
    def weights(self) -> list[torch.nn.Parameter]:
        """The weights that get a gradient."""
        return [site.module.get_parameter("weight") for site in self._sites]

    def gradients(self, unit: EncodedUnit) -> Gradients:
        """Run one unit forward and backward, in the precision that the model has now."""
        with trainable(self.weights), torch.enable_grad():
            (loss,) = self._objective.losses(self._response_tokens(unit))
            loss.backward()
            return Gradients(
                loss.item(),
                {(site.layer, name): g for site in self._sites for name, g in _gradients(site)},
            )

    def _response_tokens(self, unit: EncodedUnit) -> ResponseTokens:
        """What the model says of each row by itself, from all of its logits."""
        batch = collate([unit], self._model.device)
        logits, teacher_logits, targets, rows, of_response = [], [], [], [], []
        for place, row in enumerate(unit.rows):
            ids = torch.tensor(row.input_ids).to(self._model.device)
            start = 1 if self._objective.reads_prompts else row.response_start
            logits.append(_logits(self._model, ids)[start - 1 : -1])
            if self._teacher is not None:
                with torch.no_grad():
                    teacher_logits.append(_logits(self._teacher, ids)[start - 1 : -1])
            targets.append(ids[start:].to(logits[-1].device))
            rows.append(torch.full_like(targets[-1], place))
            of_response.append(torch.arange(start, len(ids)) >= row.response_start)
        return ResponseTokens(
            batch,
            torch.cat(logits),
            torch.cat(targets),
            torch.cat(rows),
            torch.cat(of_response).to(logits[0].device),
            torch.cat(teacher_logits).to(logits[0].device) if teacher_logits else None,
        )


def _logits(model: Any, ids: Tensor) -> Tensor:
    """All logits of one row: (tokens, vocabulary)."""
    logits: Tensor = model(input_ids=ids[None], use_cache=False).logits[0]
    return logits


def _gradients(site: ProjectionSite) -> Iterator[tuple[str, Tensor]]:
    """The (m, n) gradient of every projection in a module, cut out where several share one."""
    gradient = site.module.get_parameter("weight").grad
    assert gradient is not None
    if isinstance(site.module, Conv1D):
        gradient = gradient.T  # GPT-2 keeps its weights as (n, m)
    for name, columns in site.columns.items():
        yield name, gradient if columns is None else gradient[columns.to(gradient.device)]
