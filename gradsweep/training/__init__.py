"""Gradients of a model while it learns: the side of a training loop, anybody's or our own.

weights.py     the weights that are watched, and refusals   ranks.py     several processes
clipping.py    what clipping did to a step's gradient       update.py    rows of a step's gradient
"""
