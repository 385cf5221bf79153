"""One point from config to stored rows. The one file that joins data, models, gradients,
spectra, store and tracking; it reads as the method of the paper's section 3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any

import polars as pl

from gradsweep.analysis.summary import summary_scalars
from gradsweep.config import Config, Dtype
from gradsweep.data import LoadedSamples, load_samples
from gradsweep.engine import collate, dealt, token_batches
from gradsweep.engine.passes import Engine, Measurement, SpectraOptions
from gradsweep.errors import DataError, PointBusyError, StopRequested
from gradsweep.identity import point_id, point_record
from gradsweep.models.cache import ModelCache
from gradsweep.models.encode import encode
from gradsweep.models.load import LoadedModel
from gradsweep.models.projections import ProjectionSite, coverage, find_projections
from gradsweep.plan.estimate.cost import Meter
from gradsweep.plan.estimate.hardware import hardware_under
from gradsweep.progress import console, sample_progress, say_once
from gradsweep.records import WHOLE, Axes, EncodedSample, Sample, SampleResult, SampleStatus, Shard
from gradsweep.store import PointPaths, PointState, load_rows, load_samples_table, point_state
from gradsweep.store.point import PointStore, open_point, read_parts
from gradsweep.store.state import holders
from gradsweep.tracking import NoTracker, Tracker, make_tracker
from gradsweep.versions import versions


@dataclass(frozen=True)
class PointResult:
    """A finished point, for notebooks and scripts."""

    axes: Axes
    paths: PointPaths

    def rows(self) -> pl.DataFrame:
        """One line per (sample, layer, projection)."""
        return load_rows(self.paths.results, [self.paths.point_id])

    def samples(self) -> pl.DataFrame:
        """One line per sample: status, reason, loss and token counts."""
        return load_samples_table(self.paths.results, [self.paths.point_id])


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
    loaded = load_samples(config)
    with open_point(result.paths, point_record(config), shard) as store:
        if result.paths.done.exists():
            return result  # by whoever held the point until now
        if show_progress:
            _say(loaded.messages)
        with _tracking(config, result.paths.point_id, show_progress, shard) as tracker:
            tracker.resume(store.samples(), store.rows())
            cost = _measure_pending(
                config, loaded, store, tracker, show_progress, label, stop, shard
            )
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
    if holders(paths) or paths.done.exists() or not _all_stored(paths, loaded):
        return
    with suppress(PointBusyError), open_point(paths, point_record(config)) as store:
        if not paths.done.exists():
            with _tracking(config, paths.point_id, show_progress) as tracker:
                _finish(store, tracker, loaded, cost)


def _all_stored(paths: PointPaths, loaded: LoadedSamples) -> bool:
    try:
        stored = set(read_parts(paths, "samples")["sample_id"])
    except FileNotFoundError:
        return False  # another process has just finished the point, and joined its parts
    return stored >= {sample.sample_id for sample in loaded.samples}


def _measure_pending(
    config: Config,
    loaded: LoadedSamples,
    store: PointStore,
    tracker: Tracker,
    show_progress: bool,
    label: str | None,
    stop: Callable[[], bool],
    shard: Shard,
) -> dict[str, Any]:
    """Encode, batch and measure what is not stored; store and track each batch as it comes.

    Returns what that took (`estimate.cost`).
    """
    if store.stored_ids >= {sample.sample_id for sample in loaded.samples}:
        return {}
    model = _models.get(config, show_progress)
    sites = find_projections(model.model, config.gradients.projections)
    if show_progress:
        say_once(str(coverage(model.model, sites)))
    bad, batches = _share(config, model, loaded.samples, shard)
    total = len(bad) + sum(map(len, batches))
    bad = [outcome for outcome in bad if outcome.sample_id not in store.stored_ids]
    batches = [left for batch in batches if (left := _pending(batch, store))]
    stored = total - len(bad) - sum(map(len, batches))
    name = label or str(config.axes)
    meter = Meter()
    with sample_progress(name, total, stored, show_progress) as advance:
        for results in chain([bad] if bad else [], _results(config, model, sites, batches)):
            store.append(results)
            meter.add(results)
            for result in results:
                tracker.log_sample(result)
            advance(len(results))
            if stop():
                raise StopRequested("stopped between two batches")
    return meter.cost(config, hardware_under(model.model.device))


def _share(
    config: Config, model: LoadedModel, samples: Sequence[Sample], shard: Shard
) -> tuple[list[SampleResult], list[list[EncodedSample]]]:
    """Outcomes of the share's samples that cannot run, and the batches of those that can.

    What is stored does not matter here: a share, and a batch, is the same at every start.
    """
    length = config.model.max_length
    encoded = [encode(s, model.tokenizer, config.model.prompt, length) for s in samples]
    bad = [outcome for outcome in encoded if isinstance(outcome, SampleResult)]
    good = [outcome for outcome in encoded if isinstance(outcome, EncodedSample)]
    batches = list(token_batches(good, config.gradients.batch_tokens))
    return bad if shard.index == 0 else [], dealt(batches, shard)


def _pending(batch: Sequence[EncodedSample], store: PointStore) -> list[EncodedSample]:
    return [one for one in batch if one.sample.sample_id not in store.stored_ids]


def _results(
    config: Config,
    model: LoadedModel,
    sites: Sequence[ProjectionSite],
    batches: Sequence[Sequence[EncodedSample]],
) -> Iterator[list[SampleResult]]:
    """What became of each sample, batch by batch."""
    wanted = config.gradients
    options = SpectraOptions(
        wanted.solver,
        wanted.rank_tolerance,
        wanted.save_spectra,
        wanted.top_k,
        wanted.similarities,
    )
    tensors = (collate(batch, model.model.device) for batch in batches)
    with Engine(model.model, sites, options, wanted.workers, wanted.checkpointing) as engine:
        for place, measured in engine.measure_all(tensors):
            yield [_outcome(s, m, config) for s, m in zip(batches[place], measured, strict=True)]


def _outcome(encoded: EncodedSample, measured: Measurement, config: Config) -> SampleResult:
    status, reason = _judged(measured, config)
    return SampleResult(
        sample_id=encoded.sample.sample_id,
        question_id=encoded.sample.question_id,
        index=encoded.sample.index,
        status=status,
        reason=reason,
        loss=measured.loss,
        n_prompt_tokens=encoded.response_start,
        n_response_tokens=measured.n_response_tokens,
        truncated=encoded.truncated,
        seconds=measured.seconds,
        rows=measured.rows,
    )


def _judged(measured: Measurement, config: Config) -> tuple[SampleStatus, str]:
    if measured.rows:
        return SampleStatus.OK, ""
    dtype = config.model.dtype
    if measured.out_of_memory:
        ways = [] if config.gradients.checkpointing else ["gradients.checkpointing=true"]
        ways.append("a smaller model.max_length")
        ways += ["model.dtype=bfloat16"] if dtype is Dtype.float32 else []
        ways += [] if config.model.device_map else ["model.device_map=auto on several GPUs"]
        reason = f"it does not fit in memory even alone; what needs less: {', '.join(ways)}"
        return SampleStatus.OUT_OF_MEMORY, reason
    hint = "; model.dtype=bfloat16 has a wider range" if dtype is Dtype.float16 else ""
    return SampleStatus.NON_FINITE_LOSS, f"the loss is {measured.loss}{hint}"


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
    scalars = summary_scalars(rows)
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
    tracker = make_tracker(config, identity, config.sweep, versions())
    if shown:
        say_once(tracker.description)
    try:
        yield tracker
    except BaseException as error:
        tracker.fail(f"{type(error).__name__}: {error}")
        raise


def _say(messages: Sequence[str]) -> None:
    for message in messages:
        console.print(f"note: {message}", soft_wrap=True)


_models = ModelCache()
