"""Gradients of any objective on any causal LM, as spectra. Tensors only: no study, no store.

batch.py      padded rows in whole units         objectives/  what loss a unit has
capture.py    taps: X and dY in a backward pass   factors.py   a layer's X and dY, by unit
spectra/      factors -> spectra -> metrics       rows.py      a layer's factors -> rows
probe.py      passive: rows of anybody's backward pass, weights frozen or not
passes.py     active: objective, backward pass and rows, weights frozen
result.py     results by unit, and their table
schedule.py   batches over workers, within memory  lockstep.py  the same on ranks with one model
run.py        (model, samples, options) -> outcomes
"""

from gradsweep.engine.batch import Batch as Batch
from gradsweep.engine.batch import Layout as Layout
from gradsweep.engine.batch import collate as collate
from gradsweep.engine.batch import dealt as dealt
from gradsweep.engine.batch import make_batch as make_batch
from gradsweep.engine.batch import token_batches as token_batches
from gradsweep.engine.capture import Taps as Taps
from gradsweep.engine.capture import install_taps as install_taps
from gradsweep.engine.checkpointing import checkpointed_layers as checkpointed_layers
from gradsweep.engine.factors import Factors as Factors
from gradsweep.engine.factors import split_units as split_units
from gradsweep.engine.frozen import frozen as frozen
from gradsweep.engine.frozen import trainable as trainable
from gradsweep.engine.response import ResponseHead as ResponseHead
from gradsweep.engine.response import ResponseTokens as ResponseTokens
from gradsweep.engine.response import install_response_head as install_response_head
