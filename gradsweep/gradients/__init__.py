"""From an encoded batch to the gradient factors of every projection, layer by layer."""

from gradsweep.gradients.batches import Batch, collate, make_batch, token_batches
from gradsweep.gradients.capture import Taps, install_taps
from gradsweep.gradients.factors import Factors, split_samples
from gradsweep.gradients.losses import ResponseHead, frozen, install_response_head

__all__ = [
    "Batch",
    "Factors",
    "ResponseHead",
    "Taps",
    "collate",
    "frozen",
    "install_response_head",
    "install_taps",
    "make_batch",
    "split_samples",
    "token_batches",
]
