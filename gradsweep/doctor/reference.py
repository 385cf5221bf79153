"""The plain definition of every number: autograd's weight gradient, and a float64 SVD of it.

One unit at a time and row by row, the measured weights trainable, the objective's loss from the
model's own full logits, `param.grad`, `torch.linalg.svdvals` in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from gradsweep.config import SpectraOptions
from gradsweep.engine import ResponseTokens, collate, trainable
from gradsweep.engine.objectives import Objective
from gradsweep.engine.spectra import Spectrum, make_own_metrics
from gradsweep.models.projections import ProjectionSite
from gradsweep.records import EncodedUnit

Place = tuple[int, str]
"""(layer, projection); the loss of a unit, which has neither, is at `OF_SAMPLE`."""
OF_SAMPLE: Place = (-1, "")
Values = dict[Place, dict[str, float]]
"""Metric -> value, at every place of one unit."""
Advance = Callable[[], None]


class Reference:
    """A frozen model whose numbers are computed from their definition."""

    def __init__(
        self,
        model: PreTrainedModel,
        sites: Sequence[ProjectionSite],
        objective: Objective,
        options: SpectraOptions,
    ) -> None:
        self._model = model
        self._sites = sites
        self._objective = objective
        self._own = make_own_metrics(options)

    def values(self, unit: EncodedUnit, advance: Advance) -> Values:
        """Return the unit's loss and metrics (paper section 3); `advance` counts gradients."""
        n_tokens = sum(len(row.input_ids) for row in unit.rows)
        weights = [site.module.get_parameter("weight") for site in self._sites]
        with trainable(weights), torch.enable_grad():
            (loss,) = self._objective.losses(self._response_tokens(unit))
            loss.backward()
            values: Values = {OF_SAMPLE: {"loss": loss.item()}}
            for site in self._sites:
                for name, gradient in _gradients(site):
                    values[site.layer, name] = self._metrics(gradient, n_tokens)
                    advance()
        return values

    def _response_tokens(self, unit: EncodedUnit) -> ResponseTokens:
        """What the model says of each row by itself, from all of its logits."""
        batch = collate([unit], self._model.device)
        logits, targets, rows = [], [], []
        for place, row in enumerate(unit.rows):
            ids = torch.tensor(row.input_ids).to(self._model.device)
            of_row = self._model(input_ids=ids[None], use_cache=False).logits[0]
            start = row.response_start
            logits.append(of_row[start - 1 : -1])
            targets.append(ids[start:].to(of_row.device))
            rows.append(torch.full_like(targets[-1], place))
        return ResponseTokens(batch, torch.cat(logits), torch.cat(targets), torch.cat(rows))

    def _metrics(self, gradient: Tensor, n_tokens: int) -> dict[str, float]:
        """Metrics from the float64 singular values of a stored gradient, each by its definition.

        Only the first min(T, m, n) values enter: the others are zero in exact arithmetic, and what
        a float32 gradient has there is the rounding of its entries.
        """
        sigma = torch.linalg.svdvals(gradient.double())[:n_tokens]
        nuclear, largest, frobenius = (float(v) for v in (sigma.sum(), sigma[0], sigma.norm()))
        p = sigma[sigma > 0] / nuclear
        spectrum = Spectrum(sigma.cpu().numpy(), frobenius, "svd", token_norm=math.nan)
        return {
            "nuclear_norm": nuclear,
            "sigma_max": largest,
            "frobenius_norm": frobenius,
            "sigma_ratio": largest / nuclear if nuclear else math.nan,
            "effective_rank": float((-p * p.log()).sum().exp()) if nuclear else math.nan,
            "stable_rank": (frobenius / largest) ** 2 if largest else math.nan,
        } | {name: float(function(spectrum)) for name, function in self._own.items()}


def _gradients(site: ProjectionSite) -> Iterator[tuple[str, Tensor]]:
    """The (m, n) gradient of every projection in a module, cut out where several share one."""
    gradient = site.module.get_parameter("weight").grad
    assert gradient is not None
    if isinstance(site.module, Conv1D):
        gradient = gradient.T  # GPT-2 keeps its weights as (n, m)
    for name, columns in site.columns.items():
        yield name, gradient if columns is None else gradient[columns.to(gradient.device)]
