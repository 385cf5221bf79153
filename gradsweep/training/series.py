"""Checkpoints that a training run has left, measured as steps of one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gradsweep.config import Config
from gradsweep.config.checkpoints import Checkpoint, checkpoints_of
from gradsweep.errors import ModelError, StopRequested
from gradsweep.models.load import LoadedModel
from gradsweep.records import Moment, Sample, Source, TrainingStep
from gradsweep.store.training import TrainingStore
from gradsweep.training.data import Probe, series_probes

Load = Callable[[Config], LoadedModel]
"""Loads the model of a point; the one before may be dropped then."""


def measure_series(
    config: Config,
    load: Load,
    samples: Sequence[Sample],
    store: TrainingStore,
    on_step: Callable[[TrainingStep], None] = lambda step: None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Probe every checkpoint that is not stored yet, in order.

    Args:
        config: of a training point with training=series.
        load: loads a checkpoint's model.
        samples: of the point's own condition.
        store: of the point.
        on_step: called after each checkpoint.
        stop: asked after each checkpoint.

    Raises:
        ModelError: a checkpoint is of another architecture than the first.
        StopRequested: `stop` said so.
    """
    first: LoadedModel | None = None
    for checkpoint in checkpoints_of(config):
        of_step = replace(config, model=replace(config.model, source=checkpoint.source))
        loaded = load(of_step)
        first = first or loaded
        _require_same(first, loaded, checkpoint)
        for probe in series_probes(of_step, loaded, samples):
            _measure(probe, checkpoint.step, store)
        nan = float("nan")
        step = TrainingStep(checkpoint.step, nan, nan)
        store.append_steps([step])
        on_step(step)
        if stop():
            raise StopRequested("stopped between two checkpoints")


def _measure(probe: Probe, step: int, store: TrainingStore) -> None:
    moment = Moment(step, Source.probe, probe.cot, probe.correctness)
    if not store.has(moment):
        store.append_moment(moment, probe.results())


def _require_same(first: LoadedModel, loaded: LoadedModel, checkpoint: Checkpoint) -> None:
    shapes = [
        {name: tuple(p.shape) for name, p in model.model.named_parameters()}
        for model in (first, loaded)
    ]
    if shapes[0] != shapes[1]:
        place = checkpoint.source.path or checkpoint.source.revision
        raise ModelError(
            f"training.checkpoints: {place} has other weights than the first checkpoint: steps of "
            "one run have the same architecture"
        )
