"""One point from config to stored rows: data, model, engine, store and tracking joined. It reads
as the method of the paper's section 3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import polars as pl

from gradsweep.analysis.mad import summary_scalars
from gradsweep.analysis.sample_metrics import sample_scalars
from gradsweep.config import Config, ModelConfig
from gradsweep.data import LoadedSamples, load_samples
from gradsweep.engine.objectives import make_objective
from gradsweep.engine.other_models import others_of
from gradsweep.engine.run import Run
from gradsweep.errors import DataError, ModelError, PointBusyError, StopRequested
from gradsweep.identity import earlier_point_id, point_id, point_record
from gradsweep.models.cache import ModelCache
from gradsweep.models.load import LoadedModel
from gradsweep.models.projections import coverage, find_projections
from gradsweep.plan.estimate.cost import Meter
from gradsweep.plan.estimate.hardware import hardware_under
from gradsweep.plan.fit import require_memory_here
from gradsweep.progress import console, sample_progress, say_once
from gradsweep.records import WHOLE, SampleStatus, Shard
from gradsweep.report.cut import cut_note
from gradsweep.store import PointPaths, PointState, point_state
from gradsweep.store.model_commit import keep_commit, kept_commit
from gradsweep.store.point import PointStore, open_point, read_parts
from gradsweep.store.reference import read_reference, write_reference
from gradsweep.store.result import PointResult as PointResult
from gradsweep.store.reuse import take_measured
from gradsweep.store.state import holders
from gradsweep.tracking import NoTracker, Tracker, followed
from gradsweep.training_point import train_point


def extract(
    config: Config,
    *,
    show_progress: bool = True,
    label: str | None = None,
    stop: Callable[[], bool] = lambda: False,
    shard: Shard = WHOLE,
) -> PointResult:
    """Measure every sample of one point that is not stored yet, and finish the point.

    A point that is DONE costs nothing; a killed one goes on at its next sample. With a `shard`,
    only that share of the samples is measured, and whoever stores the last one finishes the point.

    Args:
        config: from `gradsweep.compose`, or built by hand.
        show_progress: a progress bar (or log lines) on stderr.
        label: what to call the point there; its axes when None.
        stop: asked after each stored batch; true ends the run there.
        shard: other processes measure the other shares, before, after or at the same time.

    Raises:
        ConfigError, DataError, ModelError: input that cannot be run; names the field.
        StoreError: a full disk, or another live process writing this point.
        StopRequested: `stop` said so; the next run of the point goes on there.
    """
    result = PointResult(config.axes, PointPaths(config.results, point_id(config)))
    if point_state(result.paths) is PointState.DONE:
        return result
    if config.training.trains:
        if shard.index == 0:  # a run has one process, and other shares nothing to do
            train_point(config, result.paths, show_progress, label, stop)
        return result
    require_memory_here([config])
    loaded = load_samples(config)
    record = point_record(config)
    with open_point(result.paths, record, shard) as store:
        if result.paths.done.exists():
            return result  # by whoever held the point until now
        if show_progress:
            _say(loaded.messages)
            _say_measured_before(config)
        if shard == WHOLE:
            _take_measured(config, loaded, store, record, show_progress)
        run = _prepared(config, loaded, store, show_progress, shard)
        with _tracking(config, result.paths.point_id, show_progress, shard) as tracker:
            tracker.resume(store.samples(), store.rows())
            cost = _measured(run, config, store, tracker, show_progress, label, stop) if run else {}
            if shard == WHOLE:
                _finish(store, tracker, loaded, cost)
    if shard != WHOLE:
        _finish_shared(config, loaded, result.paths, show_progress, cost)
    return result


def _finish_shared(
    config: Config,
    loaded: LoadedSamples,
    paths: PointPaths,
    show_progress: bool,
    cost: dict[str, Any],
) -> None:
    """Finish the point when every sample is stored and nobody measures a share any more.

    Each looks after giving up its own share: the last to do so sees nobody.
    """
    if holders(paths) or paths.done.exists() or not _all_stored(config, paths, loaded):
        return
    with suppress(PointBusyError), open_point(paths, point_record(config)) as store:
        if not paths.done.exists():
            with _tracking(config, paths.point_id, show_progress) as tracker:
                _finish(store, tracker, loaded, cost)


def _take_measured(
    config: Config, loaded: LoadedSamples, store: PointStore, record: Mapping[str, Any], shown: bool
) -> None:
    """Of a point that asks for more samples, measure only those that no other point has."""
    units = _units(config, loaded)
    copied = take_measured(store, record, units)
    if copied and shown:
        _say(
            [f"{copied} of {len(units)} samples are those of the same point with another n_samples"]
        )


def _all_stored(config: Config, paths: PointPaths, loaded: LoadedSamples) -> bool:
    try:
        stored = set(read_parts(paths, "samples")["sample_id"])
    except FileNotFoundError:
        return False  # another process has just finished the point, and joined its parts
    return stored >= _units(config, loaded).keys()


def _units(config: Config, loaded: LoadedSamples) -> dict[str, int]:
    """Unit id -> its place among the point's units."""
    units = make_objective(config.objective).units(loaded.samples)
    return {unit.unit_id: unit.index for unit in units}


def _prepared(
    config: Config, loaded: LoadedSamples, store: PointStore, show_progress: bool, shard: Shard
) -> Run | None:
    """The model and samples that are left to measure, encoded; None when all are stored.

    Comes before the tracker is opened: a model that is not there makes no run of W&B.
    """
    if store.stored_ids >= _units(config, loaded).keys():
        return None
    model = _model(config, store.paths, show_progress)
    if show_progress:
        named = config.model.named_projections
        sites = find_projections(model.model, config.gradients.projections, named)
        say_once(str(coverage(model.model, sites, named)))
    known = read_reference(store.paths)
    others = others_of(config, model, partial(_other_model, config, show_progress), known)
    objective = make_objective(config.objective)
    run = Run(model, config.model, config.gradients, objective, loaded.samples, shard, others)
    if run.references:
        write_reference(store.paths, run.references)
    if run.teacher is None:
        _other_models.clear()  # a reference has been run
    cut = cut_note(run.cut_lengths, run.n_responses, config.model.max_length)
    if cut and show_progress:
        _say([cut])
    return run


def _measured(
    run: Run,
    config: Config,
    store: PointStore,
    tracker: Tracker,
    show_progress: bool,
    label: str | None,
    stop: Callable[[], bool],
) -> dict[str, Any]:
    """Batch and measure what is not stored; store and track each batch as it comes.

    Returns what that took (`estimate.cost`).
    """
    stored = run.n_stored(store.stored_ids)
    meter = Meter()
    name = label or str(config.axes)
    with sample_progress(name, run.n_units, stored, show_progress) as advance:
        for results in run.outcomes(store.stored_ids):
            store.append(results)
            meter.add(results)
            for result in results:
                tracker.log_sample(result)
            advance(len(results))
            if stop():
                raise StopRequested("stopped between two batches")
    return meter.cost(config, hardware_under(run.device))


def _other_model(config: Config, show_progress: bool, model: ModelConfig) -> LoadedModel:
    return _other_models.get(replace(config, model=model), show_progress)


def _model(config: Config, paths: PointPaths, show_progress: bool) -> LoadedModel:
    """The loaded model, and no other than the point's samples so far were measured with.

    Raises:
        ModelError: files of the model or the data have changed since the point was opened.
    """
    model = _models.get(config, show_progress, kept_commit(paths))
    if model.commit and (kept := keep_commit(paths, model.commit)) != model.commit:
        model = _models.get(config, show_progress, kept)  # another share's, which came first
    if point_id(config) != paths.point_id:
        raise ModelError(
            f"model={config.model.name}: its files, or those of dataset={config.dataset.name}, "
            "have changed since this point was started: it is another point now; run the same "
            "command again"
        )
    return model


def _finish(
    store: PointStore, tracker: Tracker, loaded: LoadedSamples, cost: Mapping[str, Any]
) -> None:
    """Join the parts, mark the point DONE and hand the whole to the tracker.

    Raises:
        DataError: not one sample could be measured.
    """
    samples, rows = store.samples(), store.rows()
    outcomes = Counter(samples["status"])
    bad = samples.filter(pl.col("status") != SampleStatus.OK.value)
    if len(bad) == len(samples):
        raise DataError(
            f"none of the {len(samples)} samples could be measured; the first: {bad['reason'][0]}"
        )
    scalars = summary_scalars(rows) | sample_scalars(samples)
    store.finish(
        {
            "samples": dict(outcomes),
            "reasons": dict(Counter(bad["reason"])),
            "flagged_rows": len(rows) - int(rows["finite"].sum()),
            "messages": loaded.messages,
            "seconds": float(samples["seconds"].fill_nan(0).sum()),
            "cost": cost,
            "metrics": scalars,
        }
    )
    if len(bad):
        _say([f"{len(bad)} of {len(samples)} samples not measured: {bad['reason'][0]} …"])
    tracker.finish(samples, rows, store.paths.rows, scalars)


@contextmanager
def _tracking(
    config: Config, identity: str, shown: bool, shard: Shard = WHOLE
) -> Iterator[Tracker]:
    """Of a shared point, only whoever finishes it tells the tracker: a run has one writer."""
    if shard != WHOLE:
        yield NoTracker()
        return
    with followed(config, identity, shown) as tracker:
        yield tracker


def _say_measured_before(config: Config) -> None:
    """Points from when a folder counted by its path stay, and nobody can tell if they are these."""
    earlier = earlier_point_id(config)
    if earlier and PointPaths(config.results, earlier).config.exists():
        say_once(
            f"note: {config.results} has points of {config.model.source.path} that were stored "
            "when a model counted by its path: they stay as they are, and its content is measured "
            "as a model of its own (docs/models.md)"
        )


def _say(messages: Sequence[str]) -> None:
    for message in messages:
        console.print(f"note: {message}", soft_wrap=True)


_models = ModelCache()
_other_models = ModelCache()
"""The second model of an objective; a teacher stays for the next point."""
