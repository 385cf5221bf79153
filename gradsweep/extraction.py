"""One point from config to stored rows: data, model, engine, store and tracking joined. It reads
as the method of the paper's section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from gradsweep.config import Config, ModelConfig
from gradsweep.data import LoadedSamples, load_samples
from gradsweep.engine.objectives import make_objective
from gradsweep.engine.other_models import others_of
from gradsweep.engine.run import Run
from gradsweep.errors import ModelError, PointBusyError, StopRequested
from gradsweep.finish import finish, say, tracked
from gradsweep.identity import earlier_point_id, point_id, point_record
from gradsweep.models.cache import ModelCache
from gradsweep.models.load import LoadedModel, group_of
from gradsweep.models.projections import coverage, find_projections
from gradsweep.models.rank_group import RankGroup
from gradsweep.plan.estimate.cost import Meter
from gradsweep.plan.estimate.hardware import hardware_under
from gradsweep.plan.fit import require_memory_here
from gradsweep.progress import sample_progress, say_once
from gradsweep.records import WHOLE, Shard
from gradsweep.report.cut import cut_note
from gradsweep.store import PointPaths
from gradsweep.store.model_commit import keep_commit, kept_commit
from gradsweep.store.point import PointStore, open_point, read_parts, settled
from gradsweep.store.reference import read_reference, write_reference
from gradsweep.store.result import PointResult as PointResult
from gradsweep.store.reuse import take_measured
from gradsweep.store.state import holders
from gradsweep.tracking import Tracker


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
        shard: other processes measure the other shares, before, after or at the same time. With
            `model.placement=fsdp` all ranks call this together, and share out this share.

    Raises:
        ConfigError, DataError, ModelError: input that cannot be run; names the field.
        StoreError: a full disk, or another live process writing this point.
        StopRequested: `stop` said so; the next run of the point goes on there.
        RankFailedError, RankLostError: of another rank.
    """
    result = PointResult(config.axes, PointPaths(config.results, point_id(config)))
    group = group_of(config.model, config.gradients.device)
    if group:
        _extract_together(config, group, result.paths, show_progress, label, stop, shard)
    elif measured := _measure_share(config, result.paths, show_progress, label, stop, shard):
        _finish_shared(config, result.paths, show_progress, *measured)
    return result


def _extract_together(
    config: Config,
    group: RankGroup,
    paths: PointPaths,
    show_progress: bool,
    label: str | None,
    stop: Callable[[], bool],
    shard: Shard,
) -> None:
    """Measure with all ranks, each a part of the shard; the first one speaks and finishes."""
    shown = show_progress and group.rank.speaks
    named = f"{label or config.axes} (share of rank 0 of {group.rank.count})"
    own = shard.part(group.rank.index, group.rank.count)
    with group.together():
        if group.first(paths.done.exists()):
            return
        measured = _measure_share(config, paths, shown, named, stop, own)
        group.vote()  # now no rank holds its share any more
        if measured and group.rank.speaks:
            _finish_shared(config, paths, shown, *measured)
        group.vote()


def _measure_share(
    config: Config,
    paths: PointPaths,
    show_progress: bool,
    label: str | None,
    stop: Callable[[], bool],
    shard: Shard,
) -> tuple[LoadedSamples, dict[str, Any]] | None:
    """Measure what is not stored of a share, and finish the point if that is all of it.

    Returns the data and the cost of measuring a part; None where nothing is left to be finished.
    """
    if settled(paths):
        return None
    if config.training.trains:
        if shard.index == 0:  # a run has one process, and other shares nothing to do
            # The Trainer's modules take seconds, which no other point needs.
            from gradsweep.training_point import train_point

            train_point(config, paths, show_progress, label, stop)
        return None
    require_memory_here([config])
    loaded = load_samples(config)
    record = point_record(config)
    with open_point(paths, record, shard) as store:
        if paths.done.exists():
            return None  # by whoever held the point until now
        if show_progress:
            say(loaded.messages)
            _say_measured_before(config)
        if shard == WHOLE:
            _take_measured(config, loaded, store, record, show_progress)
        run = _prepared(config, loaded, store, show_progress, shard)
        with tracked(config, paths.point_id, show_progress, shard) as tracker:
            tracker.resume(store.samples(), store.rows())
            cost = _measured(run, config, store, tracker, show_progress, label, stop) if run else {}
            if shard == WHOLE:
                finish(store, tracker, loaded, cost)
    return None if shard == WHOLE else (loaded, cost)


def _finish_shared(
    config: Config,
    paths: PointPaths,
    show_progress: bool,
    loaded: LoadedSamples,
    cost: dict[str, Any],
) -> None:
    """Finish the point when every sample is stored and nobody measures a share any more.

    Each looks after giving up its own share: the last to do so sees nobody.
    """
    if holders(paths) or paths.done.exists() or not _all_stored(config, paths, loaded):
        return
    with suppress(PointBusyError), open_point(paths, point_record(config)) as store:
        if not paths.done.exists():
            with tracked(config, paths.point_id, show_progress) as tracker:
                finish(store, tracker, loaded, cost)


def _take_measured(
    config: Config, loaded: LoadedSamples, store: PointStore, record: Mapping[str, Any], shown: bool
) -> None:
    """Of a point that asks for more samples, measure only those that no other point has."""
    units = _units(config, loaded)
    copied = take_measured(store, record, units)
    if copied and shown:
        say(
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
    is_left = not store.stored_ids >= _units(config, loaded).keys()
    group = group_of(config.model, config.gradients.device)
    if not (group.any(is_left) if group else is_left):
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
    if run.references and (group is None or group.rank.speaks):
        write_reference(store.paths, run.references)
    if run.teacher is None:
        _other_models.clear()  # a reference has been run
    cut = cut_note(run.cut_lengths, run.n_responses, config.model.max_length)
    if cut and show_progress:
        say([cut])
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


def _say_measured_before(config: Config) -> None:
    """Points from when a folder counted by its path stay, and nobody can tell if they are these."""
    earlier = earlier_point_id(config)
    if earlier and PointPaths(config.results, earlier).config.exists():
        say_once(
            f"note: {config.results} has points of {config.model.source.path} that were stored "
            "when a model counted by its path: they stay as they are, and its content is measured "
            "as a model of its own (docs/models.md)"
        )


_models = ModelCache()
_other_models = ModelCache()
"""The second model of an objective; a teacher stays for the next point."""
