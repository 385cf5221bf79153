"""Gradients of a model while it learns: the side of a training loop, anybody's or our own.

update.py      rows of a step's own gradient        weights.py    what is watched, and refusals
clipping.py    what became of it before the step    matrices.py   spectra and cosines
adapted.py     effective weights that LoRA adapts   ranks.py      several processes
probe.py       fixed samples, beside anybody's run  random_state.py

callback.py    for Trainer and TRL                  watch.py      for a loop of one's own
options.py     of both                              session.py    what is due is measured and kept
results.py     in memory or in a folder             scalars.py    for a logger

data.py        what is trained on, held out, probed recorder.py   when what is measured
trainer.py     Trainer over units                  point.py      a training point's run
losses.py      the objective over batches          muon.py lora.py  what is trained, and how
series.py      checkpoints as steps of one run
"""
