"""Units of random tokens, and a model with parts of its own, for trials that need no tokenizer."""

from __future__ import annotations

from torch import nn

from gradsweep.config import Prompt
from gradsweep.models.load import LoadedModel
from gradsweep.records import EncodedSample, EncodedUnit, Sample, Unit
from helpers.plain_gradients import tokens


def unit_of_tokens(length: int, start: int) -> EncodedUnit:
    """A unit of one row, whose response begins at `start`."""
    sample = Sample(str(length), str(length), "", "", 0)
    ids = tokens(length, seed=length).tolist()
    return EncodedUnit(Unit((sample,)), (EncodedSample(sample, ids, start, False),))


def without_tokenizer(model: nn.Module) -> LoadedModel:
    """The model as loaded, for what is encoded already."""
    return LoadedModel(model, None, Prompt.plain, 512)  # type: ignore[arg-type]


class Around(nn.Module):
    """Something around a module of the model."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
