"""A pass of the engine over one or two units, as a run would make it; nothing is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from gradsweep.config import Config
from gradsweep.doctor.check import Check, CheckState
from gradsweep.doctor.gradients import (
    LOSS,
    PROJECTIONS,
    check_loss,
    check_norms,
    check_projections,
    check_spectra,
)
from gradsweep.engine.independence import INDEPENDENT, Independence
from gradsweep.engine.objectives import make_objective
from gradsweep.engine.other_models import others_of
from gradsweep.engine.run import Run
from gradsweep.errors import ModelError, WeightsError
from gradsweep.models.load import LoadedModel
from gradsweep.models.projections import coverage, find_projections
from gradsweep.records import Sample, SampleResult, Unit
from gradsweep.store.frames import rows_frame

INDEPENDENCE = "independence of samples"


@dataclass(frozen=True)
class Trial:
    """What the pass gave."""

    losses: tuple[float, ...]
    rows: pl.DataFrame
    """As the store keeps them: one line per (sample, layer, projection)."""
    layers: Mapping[str, tuple[int, ...]]
    """Projection -> the layers that have it."""
    covered: str
    """The coverage line."""
    vocabulary: int
    refusal: str = ""
    """Why the engine refused to give rows, when it did."""
    finite_weights: bool = True
    """Whether that is not for weights that are no numbers."""
    independence: Independence = INDEPENDENT
    """Whether the two samples depended on each other."""


def check_trial(trial: Trial) -> list[Check]:
    """Check what the pass says about projections, loss, norms and spectra."""
    if trial.refusal and not trial.finite_weights:
        return [Check(LOSS, CheckState.PROBLEM, trial.refusal)]
    if trial.refusal:
        remedy = "leave these projections out, or report it with the name of the model"
        return [Check(PROJECTIONS, CheckState.PROBLEM, trial.refusal, remedy)]
    return [
        check_projections(trial.rows, trial.layers, trial.covered),
        check_independence(trial.independence),
        check_loss(trial.losses, trial.vocabulary),
        check_norms(trial.rows),
        check_spectra(trial.rows),
    ]


def check_independence(independence: Independence) -> Check:
    """Say whether a sample's forward pass depends on others; a run works around it by itself."""
    alone = independence == INDEPENDENT
    state = CheckState.OK if alone else CheckState.WARNING
    return Check(INDEPENDENCE, state, str(independence))


def trial_pass(config: Config, loaded: LoadedModel, samples: Sequence[Sample]) -> Trial:
    """Forward and backward of the first samples, by the point's own options and objective.

    Args:
        config: of the point.
        loaded: its model.
        samples: those that can be encoded.

    Raises:
        ConfigError: the objective cannot be made.
        ModelError: the model's family, or one of its projections, is not known.
    """
    named = config.model.named_projections
    sites = find_projections(loaded.model, config.gradients.projections, named)
    covered = str(coverage(loaded.model, sites, named))
    objective = make_objective(config.objective)
    tried = _shortest_and_longest(objective.units(samples))
    results: list[SampleResult] = []
    refusal, finite_weights, independence = "", True, INDEPENDENT
    try:
        others = others_of(config, loaded)
        run = Run(loaded, config.model, config.gradients, objective, tried, others=others)
        results += [result for batch in run.outcomes() for result in batch]
        independence = run.independence
    except ModelError as error:  # a part without a backward, a watched module that is not used
        refusal, finite_weights = str(error), not isinstance(error, WeightsError)
    results.sort(key=lambda result: result.index)
    return Trial(
        losses=tuple(result.loss for result in results),
        rows=rows_frame(results),
        layers={
            name: tuple(site.layer for site in sites if name in site.columns)
            for name in config.gradients.projections
        },
        covered=covered,
        vocabulary=int(loaded.model.config.get_text_config().vocab_size),
        refusal=refusal,
        finite_weights=finite_weights,
        independence=independence,
    )


def _shortest_and_longest(units: Sequence[Unit]) -> list[Sample]:
    """The samples of two units between whose lengths a model's regime may change."""
    by_length = sorted(
        units, key=lambda unit: sum(len(s.prompt) + len(s.response) for s in unit.samples)
    )
    tried = {unit.unit_id: unit for unit in (by_length[:1] + by_length[-1:])}
    return [sample for unit in tried.values() for sample in unit.samples]
