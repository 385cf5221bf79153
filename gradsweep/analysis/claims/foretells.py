"""Claim 6: what step 0 shows foretells how training goes.

Runs of one model are compared with each other, whatever they learn from and with whatever settings:
do those whose gradients are larger, or more uneven over the layers, before training, train less
steadily? Every run starts from the same weights, so that what differs at step 0 is the data.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.bootstrap import question_weights
from gradsweep.analysis.claims.controls import RELATIVE
from gradsweep.analysis.claims.estimate import Estimate
from gradsweep.analysis.claims.finding import Claim, Expected, Statement
from gradsweep.analysis.claims.runs import RunScope, RunTrial, TrainingMaterial, defined
from gradsweep.analysis.rank_correlation import partial_rank_correlation
from gradsweep.analysis.training.moments import norms_by_step
from gradsweep.analysis.training.stability import stability
from gradsweep.records import Source

Floats = NDArray[np.float64]

FEWEST_RUNS = 8
"""Below this no verdict is given. Of eight runs without any relation, one order in twenty has a
rank correlation beyond ±0.74; of fewer, only a nearly perfect order would tell anything."""
_FEWEST_FOR_INTERVAL = 3

COUNTS = 0.3
"""The smallest rank correlation that counts: what Cohen (1988) calls medium."""

SIZE = {"mean": "mean", "mad": "MAD"}
"""What step 0 shows: columns of `norms_by_step`."""
MEASURES = {
    "step_to_step": ("they move more from step to step", "step-to-step spread of the norm"),
    "spread": ("they differ more between steps", "spread of the norm"),
    "largest_ratio": ("the largest stands out more", "largest over median norm"),
    "n_spikes": ("the loss spikes more often", "loss spikes"),
    "left_at_equal_steps": (
        "more of the held-out loss is left after as many steps", "held-out loss left, equal steps",
    ),
    "left_at_equal_tokens": (
        "more of the held-out loss is left after as many tokens",
        "held-out loss left, equal tokens",
    ),
}  # fmt: skip
"""Column of `stability` (or made of it) -> the statement, and what tables call it."""
DECIDES = "step_to_step"
"""The one that a falling norm does not move. The spread over a whole run and its largest norm hold
the fall from step 0 itself, so that they go with what step 0 shows by that alone."""

CONTROLLED = {
    "the same response length": "tokens_per_sample",
    "the same learning rate": "learning_rate",
}
"""Control -> column of `stability` that a partial correlation takes out."""


def _statement(size: str, measure: str) -> Statement:
    text, words = MEASURES[measure]
    where = "gradients are larger" if size == "mean" else "gradients are more uneven over layers"
    return Statement(
        f"where {where} at step 0, {text}",
        f"rank correlation, step-0 {SIZE[size]} with {words}",
        Expected.ABOVE,
        0.0,
        COUNTS,
        decides=measure == DECIDES,
        cases="runs",
    )


STATEMENTS = {(size, measure): _statement(size, measure) for measure in MEASURES for size in SIZE}

CLAIM = Claim(
    6,
    "What step 0 shows foretells how training goes",
    "Runs whose gradients are larger and more uneven over the layers before the first step train "
    "less steadily: their gradients' norm moves more from step to step.",
    "what larger gradients mean for training is left open there",
    tuple(STATEMENTS.values()),
)


def scopes(material: TrainingMaterial) -> Iterator[RunScope]:
    """Give a scope for every model and objective: all of its runs."""
    runs = _runs(material)
    for (model, objective), of_model in runs.group_by("model", "objective", maintain_order=True):
        yield RunScope(
            str(model),
            "",
            "all runs",
            tuple(
                _trial(material, of_model, size, measure, statement)
                for (size, measure), statement in STATEMENTS.items()
            ),
            str(objective),
        )


def _runs(material: TrainingMaterial) -> pl.DataFrame:
    """Lines of `stability` with what step 0 shows of each run, NaN where it shows nothing."""
    before = [*SIZE, "relative_mad"]
    runs = stability(material.tables).with_columns(
        (pl.col(f"held_out_at_{amount}") / pl.col("first_held_out")).alias(f"left_at_{amount}")
        for amount in ("equal_steps", "equal_tokens")
    )
    first = material.tables.rows.filter(pl.col("step") == 0)
    sizes = [_step_zero(part, material.metric) for part in first.partition_by("model", "objective")]
    if not sizes:
        return runs.with_columns(pl.lit(np.nan).alias(name) for name in before)
    found = pl.concat(sizes).select("point_id", *before)
    joined = runs.join(found, on="point_id", how="left", maintain_order="left")
    return joined.with_columns(pl.col(before).fill_null(np.nan))


def _step_zero(rows: pl.DataFrame, metric: str) -> pl.DataFrame:
    """A line for each run of a model: of probes of what it trains on where every run has them,
    else of its first update. The two are not compared: one averages norms, one sums gradients."""
    norms = norms_by_step(rows, metric, resamples=0)
    own = norms.filter(
        pl.col("source") == Source.probe.value,
        pl.col("probe_cot") == pl.col("cot"),
        pl.col("probe_correctness") == pl.col("correctness"),
    )
    if own["point_id"].n_unique() == rows["point_id"].n_unique():
        return own
    return norms.filter(pl.col("source") == Source.update.value)


def _trial(
    material: TrainingMaterial, runs: pl.DataFrame, size: str, measure: str, statement: Statement
) -> RunTrial:
    estimate = _estimate(material, runs, size, measure)
    point_ids = tuple(runs["point_id"])
    if not statement.decides or estimate.problem:
        return RunTrial(statement, estimate, point_ids)
    under = {
        name: _estimate(material, runs, size, measure, given) for name, given in CONTROLLED.items()
    }
    if size == "mad":
        under[RELATIVE] = _estimate(material, runs, "relative_mad", measure)
    return RunTrial(statement, estimate, point_ids, under)


def _estimate(
    material: TrainingMaterial, runs: pl.DataFrame, size: str, measure: str, given: str = ""
) -> Estimate:
    """The rank correlation of two columns over the runs that have both, `given` a third."""
    columns = [size, measure, *([given] if given else [])]
    known = runs.filter(pl.all_horizontal(pl.col(columns).is_finite()))
    left_out = len(runs) - len(known)
    lacking = "" if not left_out else f" with {' and '.join(_WORDS[name] for name in columns)}"
    few = f"{len(known)} runs of this model{lacking}, {FEWEST_RUNS} are needed for a verdict"
    if len(known) < _FEWEST_FOR_INTERVAL:
        return Estimate(None, len(known), left_out, problem=f"{few}: {_MORE}")
    for name in columns:
        if known[name].n_unique() < 2:
            problem = f"all runs have the same {_WORDS[name]}: {_vary(name)}"
            return Estimate(None, len(known), left_out, problem=problem)
    weights = question_weights(tuple(known["point_id"]), material.resamples, material.seed)
    first, second, *third = (known[name].cast(pl.Float64).to_numpy() for name in columns)
    resampled = partial_rank_correlation(first, second, third, weights)
    withheld = f"{few}: {_MORE}" if len(known) < FEWEST_RUNS else ""
    estimate = Estimate(resampled, len(known), left_out, withheld=withheld)
    what = f" beside {_WORDS[given]}" if given else ""
    return defined(estimate, f"the runs differ too little to tell ranks apart{what}: {_MORE}")


_WORDS = {
    "tokens_per_sample": "response length",
    "learning_rate": "learning rate",
    "n_spikes": "number of loss spikes",
    "mean": "mean at step 0",
    "mad": "MAD at step 0",
    "relative_mad": "MAD over the mean at step 0",
} | {name: words for name, (_, words) in MEASURES.items() if name != "n_spikes"}

_MORE = "run `python -m gradsweep -m training=full cot=none,simplified,detailed seed=0,1,2`"


def _vary(name: str) -> str:
    if name == "learning_rate":
        return "add runs with another training.learning_rate"
    return _MORE
