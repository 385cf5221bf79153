"""Gradients of a model while it learns: the side of a training loop, anybody's or our own.

weights.py     the weights that are watched, and refusals   ranks.py     several processes
clipping.py    what clipping did to a step's gradient       update.py    rows of a step's gradient
data.py        what is trained on, held out, probed         recorder.py  when what is measured
trainer.py     Trainer over units and an objective          point.py     a training point's run
series.py      checkpoints as steps of one run              lora.py muon.py  what is trained
"""
