"""A batch of a user's own tensors, checked before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from gradsweep.config import Responses
from gradsweep.engine.batch import Batch, RowReference, make_batch
from gradsweep.engine.objectives import Objective


def unit_sizes(
    objective: Objective | None, units: Sequence[int] | None, n_rows: int
) -> Sequence[int]:
    """Return the number of rows of each unit: as given, else as the objective takes responses.

    Raises:
        ValueError: an objective of pairs, and an odd number of rows.
    """
    responses = objective.responses if objective else Responses.single
    if units is not None:
        return units
    if responses is Responses.group:
        return [n_rows]
    if responses is Responses.pair:
        if n_rows % 2:
            raise ValueError(
                f"{type(objective).__name__} takes pairs of rows, chosen before rejected; got "
                f"{n_rows} rows"
            )
        return [2] * (n_rows // 2)
    return [1] * n_rows


def own_batch(
    model: nn.Module,
    input_ids: Tensor,
    response_mask: Tensor,
    attention_mask: Tensor | None,
    sizes: Sequence[int],
) -> Batch:
    """Make the batch of a user's own tensors; raises as `gradient_spectra`."""
    given = {"input_ids": input_ids, "response_mask": response_mask}
    for name, values in (given | {"attention_mask": attention_mask}).items():
        if not isinstance(values, Tensor | None):
            raise ValueError(
                f"{name} must be a tensor, got {type(values).__name__}: give "
                f"torch.as_tensor({name})"
            )
    if torch.is_inference_mode_enabled():
        raise ValueError("torch.inference_mode has no backward pass: leave the block")
    if torch.is_autocast_enabled(input_ids.device.type):
        raise ValueError(
            "gradient_spectra inside torch.autocast would measure in another precision than the "
            "model's own: leave the block, or load the model in that dtype"
        )
    batch = make_batch(input_ids, response_mask, attention_mask, sizes)
    embedding: Any = model.get_input_embeddings()  # type: ignore[operator]
    n_rows = len(embedding.weight)
    outside = batch.input_ids[(batch.input_ids < 0) | (batch.input_ids >= n_rows)]
    if len(outside):
        raise ValueError(
            f"input_ids holds {outside[0].item()}, and the model's embedding has {n_rows} rows: "
            f"allowed are 0 to {n_rows - 1}, at padding too"
        )
    return batch


def with_facts(
    batch: Batch,
    rewards: Sequence[float] | Tensor | None,
    reference: Sequence[float] | Tensor | None,
) -> Batch:
    """Add what an objective may ask of each row.

    Args:
        batch: of the same rows.
        rewards: (rows,); None where nobody gives any.
        reference: log-probabilities, (rows,) or (rows, length); None where nobody gives any.

    Raises:
        ValueError: they are of other rows.
    """
    n_rows = len(batch.input_ids)
    if rewards is not None:
        given = torch.as_tensor(rewards, dtype=torch.float64)
        if given.shape != (n_rows,):
            raise ValueError(f"rewards must be ({n_rows},), one a row; got {tuple(given.shape)}")
        batch = replace(batch, rewards=tuple(given.tolist()))
    if reference is None:
        return batch
    return replace(batch, references=_references(batch, torch.as_tensor(reference)))


def _references(batch: Batch, given: Tensor) -> tuple[RowReference, ...]:
    if given.shape == (len(batch.input_ids),):
        return tuple(given.tolist())
    if given.shape != batch.input_ids.shape:
        raise ValueError(
            "reference_log_probs must be (rows,), sums over responses, or (rows, length) as "
            f"input_ids {tuple(batch.input_ids.shape)}; got {tuple(given.shape)}"
        )
    masks = batch.response_mask.to(given.device)
    return tuple(tuple(row[mask].tolist()) for row, mask in zip(given, masks, strict=True))
