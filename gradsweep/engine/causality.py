"""Whether what follows a token changes what the model says of it.

The gradient of a step is taken of the text up to the step (`gradients.by=step`). That is the step's
part of the response's gradient only where no token sees a later one, and where positions are not
encoded by the length of the whole (longrope, dynamic NTK). No list of names would hold all models,
so it is tried: where log-probabilities stay the same, so does the function, and its gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from gradsweep.engine.batch import make_batch
from gradsweep.engine.frozen import frozen
from gradsweep.engine.independence import FULL_ROUNDINGS, HALF_ROUNDINGS
from gradsweep.engine.response import ResponseHead, install_response_head
from gradsweep.errors import ModelError
from gradsweep.models.load import LoadedModel
from gradsweep.records import EncodedUnit

_CAUSAL: WeakKeyDictionary[nn.Module, set[tuple[torch.dtype, int, int]]] = WeakKeyDictionary()
"""Points of a grid share a loaded model; of the same lengths, it need not be tried again."""


def check_causal(loaded: LoadedModel, units: Sequence[EncodedUnit]) -> None:
    """Run the longest row of these units whole, and cut to the length of the shortest.

    Two forward passes, without a graph.

    Args:
        loaded: the model; it is left as it was.
        units: all units of a point.

    Raises:
        ModelError: the log-probabilities of the tokens that both have differ.
    """
    model = loaded.model
    longest = max((row for unit in units for row in unit.rows), key=lambda row: len(row.input_ids))
    ids = torch.tensor(longest.input_ids)
    shortest = min(len(row.input_ids) for unit in units for row in unit.rows)
    n_shared = max(2, min(shortest, len(ids) - 1))
    key = (model.dtype, n_shared, len(ids))
    passed = _CAUSAL.setdefault(model, set())
    if n_shared >= len(ids) or not loaded.on_any_rank(key not in passed):
        return
    with frozen(model), install_response_head(model) as head:
        whole, cut = (_log_probs(model, head, part, n_shared) for part in (ids, ids[:n_shared]))
    numbers = whole.isfinite() & cut.isfinite()  # a loss that is no number is recorded as such
    whole, cut = whole[numbers].double(), cut[numbers].double()
    distance = float((whole - cut).abs().max()) if len(cut) else 0.0
    if distance > _tolerance(model.dtype, cut):
        raise ModelError(
            f"gradients.by=step: the log-probabilities of the first {n_shared} tokens change by up "
            f"to {distance:.1e} when {len(ids) - n_shared} more follow, so that a step's gradient "
            "depends on the steps behind it: the model's attention is not causal, or its positions "
            "depend on the length of the text; measure whole samples with gradients.by=sample"
        )
    passed.add(key)


def _log_probs(
    model: PreTrainedModel, head: ResponseHead, ids: Tensor, n_shared: int
) -> Float[Tensor, " tokens"]:
    """Of the first `n_shared` tokens but the very first, which nothing predicts."""
    mask = torch.arange(len(ids)) < n_shared
    batch = make_batch(ids[None], mask[None], None).to(model.device)
    with torch.no_grad():
        return head.tokens(model, batch).log_probs


def _tolerance(dtype: torch.dtype, log_probs: Tensor) -> float:
    """How far rounding may move a log-probability: other shapes are summed in another order."""
    precision = torch.finfo(dtype)
    largest = max([1.0, *log_probs.abs().tolist()])
    if precision.bits >= 32:
        return FULL_ROUNDINGS * torch.finfo(torch.float32).eps * largest
    return HALF_ROUNDINGS[1] * precision.eps * largest
