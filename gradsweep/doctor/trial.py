"""A pass of the engine over one or two samples, as a run would make it; nothing is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from gradsweep.config import Config
from gradsweep.doctor.check import Check, Verdict
from gradsweep.doctor.gradients import (
    PROJECTIONS,
    check_loss,
    check_norms,
    check_projections,
    check_spectra,
)
from gradsweep.engine import collate
from gradsweep.engine.passes import Engine, Measurement, SpectraOptions
from gradsweep.models.load import LoadedModel
from gradsweep.models.projections import coverage, find_projections
from gradsweep.records import EncodedSample, SampleResult, SampleStatus
from gradsweep.store.frames import rows_frame

TRIAL_SAMPLES = 2


@dataclass(frozen=True)
class Trial:
    """What the pass gave."""

    losses: tuple[float, ...]
    rows: pl.DataFrame
    """As the store keeps them: one line per (sample, layer, projection)."""
    n_layers: int
    covered: str
    """The coverage line."""
    vocabulary: int
    refusal: str = ""
    """Why the engine refused to give rows, when it did."""


def check_trial(config: Config, trial: Trial) -> list[Check]:
    """What the pass says about projections, loss, norms and spectra."""
    if trial.refusal:
        remedy = "leave these projections out, or report it with the name of the model"
        return [Check(PROJECTIONS, Verdict.PROBLEM, trial.refusal, remedy)]
    wanted = config.gradients.projections
    return [
        check_projections(trial.rows, wanted, trial.n_layers, trial.covered),
        check_loss(trial.losses, trial.vocabulary),
        check_norms(trial.rows),
        check_spectra(trial.rows),
    ]


def trial_pass(config: Config, loaded: LoadedModel, samples: Sequence[EncodedSample]) -> Trial:
    """Forward and backward of the first samples, alone each.

    Raises:
        ModelError: the model's family, or one of its projections, is not known.
    """
    text_config = loaded.model.config.get_text_config()
    sites = find_projections(loaded.model, config.gradients.projections)
    covered = str(coverage(loaded.model, sites))
    options = SpectraOptions(config.gradients.solver, config.gradients.rank_tolerance)
    taken = list(samples[:TRIAL_SAMPLES])
    batches = [collate([sample], loaded.model.device) for sample in taken]
    found: dict[int, Measurement] = {}
    refusal = ""
    try:
        with Engine(
            loaded.model, sites, options, workers=1, checkpointing=config.gradients.checkpointing
        ) as engine:
            for place, measured in engine.measure_all(batches):
                found[place] = measured[0]
    except RuntimeError as error:  # a watched module that the model does not use
        refusal = str(error)
    results = [_result(taken[place], found[place]) for place in sorted(found)]
    return Trial(
        losses=tuple(result.loss for result in results),
        rows=rows_frame(results),
        n_layers=len({site.layer for site in sites}),
        covered=covered,
        vocabulary=int(text_config.vocab_size),
        refusal=refusal,
    )


def _result(encoded: EncodedSample, measured: Measurement) -> SampleResult:
    sample = encoded.sample
    status = SampleStatus.OK if measured.rows else SampleStatus.NON_FINITE_LOSS
    return SampleResult(
        sample.sample_id,
        sample.question_id,
        sample.index,
        status,
        loss=measured.loss,
        rows=measured.rows,
    )
