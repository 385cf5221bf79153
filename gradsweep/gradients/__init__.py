"""From an encoded batch to the gradient factors of every projection, layer by layer."""

from gradsweep.gradients.batches import Batch, collate, make_batch, token_batches
from gradsweep.gradients.capture import capture_factors
from gradsweep.gradients.factors import Factors, split_samples
from gradsweep.gradients.losses import frozen, response_losses

__all__ = [
    "Batch",
    "Factors",
    "capture_factors",
    "collate",
    "frozen",
    "make_batch",
    "response_losses",
    "split_samples",
    "token_batches",
]
