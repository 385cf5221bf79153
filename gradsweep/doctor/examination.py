"""All checks of one point: of a composed one with a trial pass, of a stored one from its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from gradsweep.config import Config
from gradsweep.data import fingerprint, load_samples
from gradsweep.doctor.check import Check, CheckState
from gradsweep.doctor.encoding import (
    BOS,
    MASK,
    SAMPLES,
    check_bos,
    check_mask,
    check_outcomes,
    check_prompt,
    check_truncation,
    outcomes_of,
)
from gradsweep.doctor.gradients import (
    LOSS,
    NORMS,
    PROJECTIONS,
    SPECTRA,
    check_loss,
    check_norms,
    check_projections,
    check_spectra,
    layers_with_rows,
)
from gradsweep.doctor.responses import IRRELEVANT, LEVELS
from gradsweep.doctor.siblings import check_siblings
from gradsweep.doctor.stored import StoredPoints
from gradsweep.doctor.texts import Texts
from gradsweep.doctor.training import check_training
from gradsweep.errors import DataError, GradsweepError
from gradsweep.identity import changes_since, point_record
from gradsweep.plan.fit import require_memory_here
from gradsweep.records import EncodedSample, Sample, SampleStatus
from gradsweep.store import (
    PointPaths,
    PointState,
    failure,
    point_state,
)
from gradsweep.store.checksums import damage, how_to_heal
from gradsweep.store.metadata import stored_config
from gradsweep.store.points import is_training_point, other_conditions
from gradsweep.store.record import read_config

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


FILES = "files"
"""Name of the check that a point's files are as they were written."""
FINISHED = "finished"
"""Name of the check that a point with samples has all of them."""


@dataclass(frozen=True)
class Example:
    """A sample to look at, as the model reads it."""

    sample: EncodedSample
    tokenizer: PreTrainedTokenizerBase


@dataclass(frozen=True)
class Examination:
    """What was found of one point."""

    title: str
    checks: tuple[Check, ...]
    example: Example | None = None
    """None where no tokenizer was loaded."""

    @property
    def needs_a_look(self) -> bool:
        """Whether a check says something to do."""
        return any(self.count(state) for state in (CheckState.WARNING, CheckState.PROBLEM))

    def count(self, state: CheckState) -> int:
        return sum(check.state is state for check in self.checks)


def examine(config: Config, title: str | None = None, commit: str | None = None) -> Examination:
    """Check data, encoding and a pass of the engine over two samples; nothing is stored.

    Args:
        config: the point.
        title: what to call it; its axes when None.
        commit: of a hub model, instead of the one that its revision stands for today.

    Raises:
        ConfigError, DataError, ModelError: input that cannot be run; names the field.
    """
    # One process looks, at two samples: how a run shares out weights changes no number.
    config = replace(config, model=replace(config.model, placement=None))
    # torch and transformers take seconds to import: not before data and overrides are right.
    require_memory_here([config])
    samples = load_samples(config).samples
    texts = Texts()
    irrelevant = texts.irrelevant(config)
    from gradsweep.doctor.trial import check_trial, trial_pass
    from gradsweep.models.load import load_model

    loaded = load_model(config.model, config.gradients.device, commit)
    tokenizer = loaded.tokenizer
    checks, good = _encoding(config, samples, tokenizer)
    levels = texts.levels(
        config, lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])
    )
    tried = [one.sample for one in good]
    trial = check_trial(trial_pass(config, loaded, tried)) if tried else []
    axes = config.axes
    stored = other_conditions(config.results, point_record(config))
    points = StoredPoints(Path(config.results))
    conditions = check_siblings(points, stored, axes.cot, axes.correctness)
    return Examination(
        title or str(axes),
        (*checks, *trial, irrelevant, levels, conditions),
        Example(good[0], tokenizer) if good else None,
    )


def _encoding(
    config: Config, samples: Sequence[Sample], tokenizer: PreTrainedTokenizerBase
) -> tuple[list[Check], list[EncodedSample]]:
    """Checks that need a tokenizer, and the samples that can be measured, of whole units."""
    from gradsweep.models.encode import encode

    model = config.model
    encoded = [
        encode(one, tokenizer, model.prompt, model.max_length, model.template_date)
        for one in samples
    ]
    good, bad = outcomes_of(encoded)
    statuses = [SampleStatus.OK.value] * len(good) + [one.status.value for one in bad]
    truncated = sum(one.truncated for one in encoded)
    checks = [
        check_outcomes(statuses, [one.reason for one in bad]),
        check_prompt(model, tokenizer),
        check_truncation(truncated, len(samples), model.max_length),
    ]
    if good:
        checks += [check_bos(good, tokenizer), check_mask(good, tokenizer)]
    torn = {one.index for one in bad}
    return checks, [one for one in good if one.sample.index not in torn]


def examine_stored(
    paths: PointPaths, title: str, points: StoredPoints | None = None
) -> Examination:
    """Check what is stored of a point, and its data where they can be read; loads no model.

    Args:
        paths: of a point that has been started.
        title: what to call it.
        points: of the same folder, where several are examined: what they share is read once.
    """
    if found := damage(paths):
        return Examination(title, (Check(FILES, CheckState.PROBLEM, found, how_to_heal(paths)),))
    try:
        checks = _of_stored(paths, StoredPoints(paths.results) if points is None else points)
    except DataError as error:  # in a part, or in a file of which DONE knows no checksum
        checks = [Check(FILES, CheckState.PROBLEM, str(error))]
    return Examination(title, tuple(checks))


def _of_stored(paths: PointPaths, points: StoredPoints) -> list[Check]:
    if is_training_point(paths):
        checks = check_training(paths)
        return [*_unfinished(paths), *checks] if checks else _nothing_stored(paths)
    record = read_config(paths)
    samples, rows = points.samples(paths.point_id), points.of(paths.point_id).rows
    axes = record["axes"]
    if samples.is_empty():
        return _nothing_stored(paths)
    stored = other_conditions(paths.results, record, labels=points.labels)
    return [
        *_unfinished(paths),
        *_from_config(record, samples, points.texts, _load_command(paths)),
        *_from_rows(record, samples, rows),
        check_siblings(points, stored, axes["cot"], axes["correctness"]),
    ]


def examine_again(paths: PointPaths, title: str) -> Examination:
    """Check a stored point as `examine` does, on the data and the model that it was measured with.

    Raises:
        ConfigError: it was written by a version whose fields are others; and as `examine`.
        DataError: its data or its model have changed since.
    """
    record = read_config(paths)
    config = stored_config(record)
    if changes := changes_since(config, record):
        raise DataError(
            f"{changes} since {paths.point_id} was measured: to load it would be to check another "
            "point; without --load, what is stored is checked"
        )
    return examine(config, title, record.get("model_commit"))


def _load_command(paths: PointPaths) -> str:
    folder = "" if paths.results == Path("results") else f" {paths.results}"
    return f"python -m gradsweep doctor {paths.point_id}{folder} --load"


def _from_config(
    record: dict[str, Any], samples: pl.DataFrame, texts: Texts, load: str
) -> list[Check]:
    """Outcomes, encoding and data, as far as files tell."""
    checks = [*_of_samples(record, samples, load)]
    try:
        config = stored_config(record)
        checks.insert(1, check_prompt(config.model))
        unchanged = fingerprint(config) == record["science"]["dataset"]["data"]
    except GradsweepError as error:
        return [*checks, *_unknown_data(f"the data cannot be read: {error}")]
    if not unchanged:
        return [*checks, *_unknown_data("the data have changed since it was measured")]
    return [*checks, texts.irrelevant(config), texts.levels(config)]


def _of_samples(record: dict[str, Any], samples: pl.DataFrame, load: str) -> list[Check]:
    bad = samples.filter(pl.col("status") != SampleStatus.OK.value)
    max_length = record["science"]["model"]["max_length"]
    return [
        check_outcomes(samples["status"].to_list(), bad["reason"].to_list()),
        check_truncation(int(samples["truncated"].sum()), len(samples), max_length),
        *(Check(n, CheckState.NOT_CHECKED, "tokens are not stored", load) for n in (BOS, MASK)),
    ]


def _nothing_stored(paths: PointPaths) -> list[Check]:
    """What there is to say of a point that failed, was killed, or has not come to a sample yet."""
    if point_state(paths) is PointState.RUNNING:
        return [Check(SAMPLES, CheckState.NOT_CHECKED, "it runs, and none is stored yet", "wait")]
    why, remedy, _ = _how_it_ended(paths)
    return [Check(SAMPLES, CheckState.PROBLEM, f"none is stored; {why}", remedy)]


def _unfinished(paths: PointPaths) -> list[Check]:
    """What there is to say of a point that has stored something and is not done."""
    state = point_state(paths)
    if state is PointState.DONE:
        return []
    if state is PointState.RUNNING:
        return [Check(FINISHED, CheckState.OK, "it runs; checked is what is stored so far")]
    why, remedy, how_bad = _how_it_ended(paths)
    return [Check(FINISHED, how_bad, f"{why}; checked is what is stored so far", remedy)]


def _how_it_ended(paths: PointPaths) -> tuple[str, str, CheckState]:
    """Say why a point has no end, what to do, and how bad that is: a stop is no mistake."""
    if failed := failure(paths):
        why = f"it failed before its end; {failed['error']}: {failed['message']}"
        return why, "mend that and run the same command again", CheckState.PROBLEM
    return "it was stopped before its end", "run the same command again", CheckState.WARNING


def _unknown_data(finding: str) -> list[Check]:
    remedy = "put the data back where config.yaml names them"
    return [Check(name, CheckState.NOT_CHECKED, finding, remedy) for name in (IRRELEVANT, LEVELS)]


def _from_rows(record: dict[str, Any], samples: pl.DataFrame, rows: pl.DataFrame) -> list[Check]:
    if rows.is_empty():
        names = (PROJECTIONS, LOSS, NORMS, SPECTRA)
        return [
            Check(n, CheckState.NOT_CHECKED, "no sample has rows", "see samples") for n in names
        ]
    asked = record["science"]["gradients"]["projections"]
    measured = samples.filter(pl.col("status") == SampleStatus.OK.value)
    tried = samples.filter(pl.col("n_response_tokens") > 0)
    return [
        check_projections(rows, layers_with_rows(rows, asked)),
        check_loss(tried["loss"].to_list() or measured["loss"].to_list()),
        check_norms(rows),
        check_spectra(rows),
    ]
