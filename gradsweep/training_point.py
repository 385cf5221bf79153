"""One training point from config to stored steps: data, model, training, store and tracking joined.

The other kind of point is `extraction.py`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import Any

import polars as pl

from gradsweep.config import Config, TrainingKind
from gradsweep.data import load_samples
from gradsweep.engine.other_models import others_of
from gradsweep.errors import DataError, StopRequested
from gradsweep.identity import point_record
from gradsweep.models.cache import ModelCache
from gradsweep.models.load import LoadedModel
from gradsweep.plan.fit import require_memory_here
from gradsweep.progress import console, training_progress
from gradsweep.records import SampleStatus, Source, TrainingStep
from gradsweep.store import PointPaths
from gradsweep.store.frames import steps_frame
from gradsweep.store.model_commit import keep_commit, kept_commit
from gradsweep.store.training import TrainingStore, open_training_point
from gradsweep.tracking import Tracker, followed
from gradsweep.training.point import Listener, TrainingRun, require_trainable, train
from gradsweep.training.series import measure_series


def train_point(
    config: Config,
    paths: PointPaths,
    show_progress: bool,
    label: str | None,
    stop: Callable[[], bool],
) -> None:
    """Train and measure one point, from its last checkpoint on, and finish it.

    Raises what `gradsweep.extract` raises, and TrainingError where training cannot go on.
    """
    require_trainable(config)
    require_memory_here([config])
    loaded = load_samples(config)
    with open_training_point(paths, point_record(config)) as store, _weights_freed():
        if paths.done.exists():
            return  # by whoever held the point until now
        say = _said if show_progress else (lambda line: None)
        for message in loaded.messages:
            say(message)
        steps = _n_steps(config)
        with (
            followed(config, paths.point_id, show_progress) as tracker,
            training_progress(label or str(config.axes), steps, 0, show_progress) as show,
        ):
            tracker.log_steps(store.steps())

            def on_step(step: TrainingStep) -> None:
                show(step.step + 1, _words(step))
                tracker.log_steps(steps_frame([step]))

            if config.training.kind is TrainingKind.series:
                load = _loader(show_progress)
                measure_series(config, load, loaded.samples, store, on_step, stop)
                run = None
            else:
                model = _model(config, paths, show_progress)
                others = others_of(config, model)
                listener = Listener(on_step, stop, say)
                run = train(config, model, loaded.samples, store, listener, others)
                if not run.finished:
                    raise StopRequested("stopped between two steps")
            _finish(store, tracker, loaded.messages, run)


def _model(config: Config, paths: PointPaths, show_progress: bool) -> LoadedModel:
    """The model as it was loaded first: a hub may have a newer commit by now."""
    model = _models.get(config, show_progress, kept_commit(paths))
    if model.commit:
        keep_commit(paths, model.commit)
    return model


@contextmanager
def _weights_freed() -> Iterator[None]:
    """Behind the block no point finds the weights, which have been trained."""
    try:
        yield
    finally:
        _models.clear()


def _loader(show_progress: bool) -> Callable[[Config], LoadedModel]:
    return lambda config: _models.get(config, show_progress)


def _n_steps(config: Config) -> int:
    training = config.training
    series = training.kind is TrainingKind.series
    return len(training.checkpoints) if series else training.steps


def _words(step: TrainingStep) -> str:
    """`loss 1.23 (held out 1.30)  ‖g‖ 4.5`."""
    words = [f"loss {step.loss:.3g}"] if isfinite(step.loss) else []
    if isfinite(step.held_out_loss):
        words.append(f"(held out {step.held_out_loss:.3g})")
    if isfinite(step.gradient_norm):
        words.append(f" ‖g‖ {step.gradient_norm:.3g}")
    return " ".join(words)


def _finish(
    store: TrainingStore, tracker: Tracker, messages: Sequence[str], run: TrainingRun | None
) -> None:
    """Join the parts and mark the point DONE.

    Raises:
        DataError: not one gradient could be measured.
    """
    samples, rows = store.samples(), store.rows()
    bad = samples.filter(pl.col("status") != SampleStatus.OK.value)
    if len(bad) == len(samples):
        reason = bad["reason"][0] if len(bad) else "nothing was due to be measured"
        raise DataError(f"none of the {len(samples)} gradients could be measured: {reason}")
    rejected = run.rejected if run else ()
    steps = store.steps()
    scalars = training_scalars(steps, rows)
    store.finish(
        store.summary()
        | {
            "reasons": dict(Counter([*bad["reason"], *(result.reason for result in rejected)])),
            "messages": [*messages, *(run.notes if run else ())],
            "metrics": scalars,
            "weights": run.weights if run else "",
        }
    )
    tracker.finish_training(steps, rows, store.paths.rows, scalars)


def training_scalars(steps: pl.DataFrame, rows: pl.DataFrame) -> dict[str, float]:
    """Return the first and last of what a run has: losses and mean nuclear norms by source.

    Args:
        steps: as `TrainingStore.steps` gives them.
        rows: as `TrainingStore.rows` gives them.
    """
    found: dict[str, Any] = {}
    for name in ("loss", "held_out_loss"):
        values = steps.filter(pl.col(name).is_finite())[name]
        if len(values):
            found |= {f"{name}_first": values[0], f"{name}_last": values[-1]}
    for source in Source:
        means = (
            rows.filter((pl.col("source") == source.value) & pl.col("finite"))
            .group_by("step")
            .agg(pl.col("nuclear_norm").mean())
            .sort("step")["nuclear_norm"]
        )
        if len(means):
            name = f"{source.value}_nuclear_norm"
            found |= {f"{name}_first": means[0], f"{name}_last": means[-1]}
    return {name: float(value) for name, value in found.items()}


def _said(line: str) -> None:
    console.print(f"note: {line}", soft_wrap=True)


_models = ModelCache()
"""Of one point at a time; the tokenizer stays for the next one."""
