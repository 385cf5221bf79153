"""From an encoded batch to the gradient factors of every projection, layer by layer."""

from gradsweep.engine.batch import Batch, collate, dealt, make_batch, token_batches
from gradsweep.engine.capture import Taps, install_taps
from gradsweep.engine.checkpointing import checkpointed_layers
from gradsweep.engine.factors import Factors, split_samples
from gradsweep.engine.losses import ResponseHead, frozen, install_response_head, trainable
from gradsweep.engine.scaling import LossScale, needs_scaling, with_loss_scale

__all__ = [
    "Batch",
    "Factors",
    "LossScale",
    "ResponseHead",
    "Taps",
    "checkpointed_layers",
    "collate",
    "frozen",
    "install_response_head",
    "install_taps",
    "make_batch",
    "needs_scaling",
    "split_samples",
    "token_batches",
    "dealt",
    "trainable",
    "with_loss_scale",
]
