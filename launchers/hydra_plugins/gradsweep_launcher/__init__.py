"""Hydra launchers that submit the points of a grid as jobs: `hydra/launcher=slurm` and `local`.

`hydra_plugins` is a namespace package: it must not have an `__init__.py` of its own.
"""
