"""Which layers respond most, checked by freezing: what is learnt where only these are trained.

Runs of `training.trained_layers` of one model and data are told apart by their layers: the k that
respond most, the k that respond least, or any others. The loss of each held-out question that a run
probes, after as many steps as all runs have, over its loss before the first step, is what is left
of it; questions are compared with themselves across runs of the same seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.bootstrap import resampling_weights, weighted_mean
from gradsweep.analysis.claims import Control, Expected, Statement
from gradsweep.analysis.claims.estimate import Estimate
from gradsweep.analysis.open_questions.effects import Effects
from gradsweep.analysis.open_questions.material import QuestionMaterial
from gradsweep.analysis.open_questions.question import Answer, Numbers, Scope, answer_of, with_ends
from gradsweep.analysis.training.moments import RUN
from gradsweep.records import SampleStatus, Source
from gradsweep.store.series import base_name, series_parts
from gradsweep.store.training import TrainingTables

Floats = NDArray[np.float64]

MOST, LEAST, OTHER, ALL = "respond most", "respond least", "random", "all layers"
"""Kinds of sets of trained layers; every set that is none of the others counts as random."""

SHARE = 6
"""One layer in so many is trained in the runs that are proposed."""
RANDOM_SETS = 3

FREEZING = Statement(
    "training the layers that respond most lowers the held-out loss more than training as many "
    "that respond least",
    "held-out loss left, layers that respond least / most",
    Expected.ABOVE, 1.0, 1.05, ratio=True, decides=False,
)  # fmt: skip
AGAINST_RANDOM = "random layers in place of those that respond least"

_LAYERS, _ORDER = "trained_layers=", "seed="
_CASE = ("seed", "order", "question_id")
_UNDEFINED = "a held-out loss is not positive"


@dataclass(frozen=True)
class Frozen:
    """What is left of the held-out loss where some layers are trained, of one model and data."""

    scope: Scope
    """Of the runs: their settings, but for the layers and seeds, are its series."""
    cot: str
    step: int
    """Optimizer steps that all runs have made."""
    kinds: tuple[str, ...]
    """Of each set of layers."""
    layers: tuple[tuple[int, ...], ...]
    """The layers of each set; empty where all are trained."""
    question_ids: tuple[str, ...]
    values: Floats
    """log(loss after `step` steps / loss before): (questions, sets), a mean over seeds."""

    def places(self, kind: str) -> list[int]:
        """Columns of `values` of a kind."""
        return [place for place, own in enumerate(self.kinds) if own == kind]


def ranked_layers(effects: Effects) -> list[int]:
    """Order layers by the size of their effect, the largest first.

    It is |mean over questions of log(irrelevant/correct)|, averaged over projections.
    """
    sizes = effects.cells.select("layer", size=pl.Series(np.abs(effects.values.mean(axis=0))))
    of_layer = sizes.group_by("layer").agg(pl.col("size").mean())
    return of_layer.sort("size", "layer", descending=[True, False])["layer"].to_list()


def proposed_sets(ranked: Sequence[int]) -> list[list[int]]:
    """Choose the layers to train: those that respond most, least, and `RANDOM_SETS` drawn ones.

    A model of few layers may have fewer random sets that are none of the others.
    """
    count = max(1, len(ranked) // SHARE)
    ends = [sorted(ranked[:count]), sorted(ranked[-count:])]
    rng, layers = np.random.default_rng(0), sorted(ranked)
    drawn = (tuple(rng.permutation(layers)[:count].tolist()) for _ in range(10 * RANDOM_SETS))
    different = dict.fromkeys(tuple(sorted(one)) for one in drawn)
    return [*ends, *[list(one) for one in different if list(one) not in ends][:RANDOM_SETS]]


def command(effects: Effects) -> str:
    """Write the grid that checks the order of one model's and dataset's layers."""
    sets = ",".join(f"[{','.join(map(str, one))}]" for one in proposed_sets(ranked_layers(effects)))
    scope = effects.scope
    cot = "" if effects.cot == "detailed" else f" cot={effects.cot}"
    return (
        f"`python -m gradsweep -m +experiment=freezing model={base_name(scope.model)} "
        f"dataset={base_name(scope.dataset)}{cot} 'training.trained_layers={sets}'`"
    )


def frozen_of(tables: TrainingTables, whole: Sequence[Effects]) -> list[Frozen]:
    """Compare the runs of each model, dataset and settings whose layers are ranked.

    Args:
        tables: of `gradsweep.load_training`.
        whole: effects of whole matrices, a model and dataset each.

    Returns:
        Those with two sets of layers and more, probed at step 0 and later on the same questions.
    """
    ranks: dict[tuple[str, str], list[int]] = {}
    for effects in sorted(whole, key=lambda one: len(one.question_ids)):
        ranks[effects.scope.model, effects.scope.dataset] = ranked_layers(effects)
    lines = _lines(tables)
    keys = ["model", "dataset", "settings", "cot", "correctness", "objective"]
    found = []
    for key, of_group in lines.group_by(keys, maintain_order=True):
        model, dataset, settings, cot, *_ = map(str, key)
        ranked = ranks.get((model, dataset))
        if ranked and of_group["layers"].n_unique() > 1:
            found.append(_compared(Scope(model, settings, dataset), cot, of_group, ranked))
    return [one for one in found if one is not None]


def freezing_answers(found: Sequence[Frozen], material: QuestionMaterial) -> list[Answer]:
    """Answer whether layers that respond most are those from which most is learnt."""
    return [
        answer_of(
            FREEZING, one.scope, _over_most(one, LEAST, material),
            {AGAINST_RANDOM: _over_most(one, OTHER, material)}, material.confidence,
        )
        for one in found
    ]  # fmt: skip


def freezing_table(found: Sequence[Frozen], material: QuestionMaterial) -> Numbers:
    """Tabulate what is left of the held-out loss by set of trained layers."""
    lines = [
        {
            "model": one.scope.model_words,
            "dataset": one.scope.dataset,
            "cot": one.cot,
            "trained": kind,
            "layers": " ".join(map(str, layers)) or "all",
            **with_ends("left", np.exp(_mean(one, [place], material)), material.confidence),
            "steps": one.step,
            "questions": len(one.question_ids),
        }
        for one in found
        for place, (kind, layers) in enumerate(zip(one.kinds, one.layers, strict=True))
    ]
    return Numbers(
        "freezing",
        "only some layers trained",
        "Held-out loss after equal steps over that before the first one, geometric mean over "
        "held-out questions, where these layers alone are trained",
        ("model", "dataset", "cot", "trained", "layers"),
        {"left": "held-out loss left", "steps": "steps", "questions": "questions"},
        pl.DataFrame(lines, infer_schema_length=None),
    )


def freezing_said(answers: Sequence[Answer]) -> Iterator[str]:
    """Say how the layers that respond most fare against the others, a sentence for each scope."""
    for one in answers:
        against = {control.name: control for control in one.controls}.get(AGAINST_RANDOM)
        numbers: list[tuple[str, Answer | Control]] = [(LEAST, one)]
        if against is not None:
            numbers.append((OTHER, against))
        told = ", ".join(
            f"{kind} / {MOST} {number.value:.3g} [{number.low:.3g}, {number.high:.3g}]"
            for kind, number in numbers
            if np.isfinite(number.value)
        )
        scope = f"**{one.scope.model_words} · {one.scope.dataset}**"
        yield f"{scope}, only some layers trained: held-out loss left, {told or one.reason}"


def _lines(tables: TrainingTables) -> pl.DataFrame:
    """Losses of a run's probes of what it learns from, a line for each step and question.

    Columns: of `RUN`; layers (as in the series), settings (the rest of it), order (the seed of the
    run's training), step, question_id, loss.
    """
    own = tables.samples.filter(
        pl.col("source") == Source.probe.value,
        pl.col("status") == SampleStatus.OK.value,
        pl.col("probe_cot") == pl.col("cot"),
        pl.col("probe_correctness") == pl.col("correctness"),
    )
    runs = own.select(RUN).unique()
    parts = [_parts(series) for series in runs["series"]]
    names = ("layers", "order", "settings")
    told = runs.select("point_id").with_columns(
        pl.Series(name, [one[place] for one in parts], dtype=pl.String())
        for place, name in enumerate(names)
    )
    joined = own.join(told, on="point_id", maintain_order="left")
    return joined.select(*RUN, *names, "step", "question_id", "loss")


def _parts(series: str) -> tuple[str, str, str]:
    """Trained layers, seed of training, and the other settings of a run, each maybe empty."""
    parts = [part for part in series_parts(series) if part]
    layers = " ".join(part.removeprefix(_LAYERS) for part in parts if part.startswith(_LAYERS))
    order = " ".join(part for part in parts if part.startswith(_ORDER))
    rest = " ".join(part for part in parts if not part.startswith((_LAYERS, _ORDER)))
    return layers, order, rest


def _compared(scope: Scope, cot: str, lines: pl.DataFrame, ranked: Sequence[int]) -> Frozen | None:
    """The last step that all runs have, and the questions that all sets have there and at first."""
    probed = [set(one["step"]) for one in lines.partition_by("point_id")]
    shared = set.intersection(*probed)
    if 0 not in shared or len(shared) < 2:
        return None
    step = max(shared)
    ends = lines.filter(pl.col("step").is_in([0, step])).with_columns(
        log=pl.when(pl.col("loss") > 0).then(pl.col("loss").log())
    )
    moved = ends.sort("step").group_by(*_CASE, "layers", "point_id").agg(
        left=pl.col("log").last() - pl.col("log").first(), n=pl.len()
    )  # fmt: skip
    by_set = moved.filter(n=2).pivot(
        "layers", index=_CASE, values="left", aggregate_function="mean"
    )
    names = sorted(name for name in by_set.columns if name not in _CASE)
    complete = by_set.drop_nulls(names).group_by("question_id").agg(pl.col(names).mean())
    complete = complete.sort("question_id")
    layers = [tuple(int(n) for n in name.strip("[]").split(",") if n) for name in names]
    kinds = [_kind(one, ranked) for one in layers]
    order = sorted(range(len(names)), key=lambda i: (_KINDS.index(kinds[i]), layers[i]))
    return Frozen(
        scope, cot, step, tuple(kinds[i] for i in order), tuple(layers[i] for i in order),
        tuple(complete["question_id"]), complete.select(names[i] for i in order).to_numpy(),
    )  # fmt: skip


_KINDS = (MOST, LEAST, OTHER, ALL)


def _kind(layers: Sequence[int], ranked: Sequence[int]) -> str:
    if not layers:
        return ALL
    chosen, count = set(layers), len(layers)
    ends: Mapping[str, Sequence[int]] = {MOST: ranked[:count], LEAST: ranked[-count:]}
    return next((kind for kind, end in ends.items() if set(end) == chosen), OTHER)


def _over_most(one: Frozen, kind: str, material: QuestionMaterial) -> Estimate:
    """log of what sets of a kind leave of the loss, over what the layers that respond most do."""
    lacking = [name for name in (MOST, kind) if not one.places(name)]
    if lacking:
        return Estimate(problem=f"no run trains only layers that {_SETS[lacking[0]]}")
    if not one.question_ids:
        return Estimate(problem="the runs have no held-out question in common: give all the same "
                        "seeds and n_samples")  # fmt: skip
    resampled = _mean(one, one.places(kind), material) - _mean(one, one.places(MOST), material)
    return material.estimate(resampled, len(one.question_ids), _UNDEFINED)


_SETS = {MOST: "respond most", LEAST: "respond least", OTHER: "were drawn at random"}


def _mean(one: Frozen, places: Sequence[int], material: QuestionMaterial) -> Floats:
    """Average over questions and sets: (1 + resamples,); both are drawn again."""
    weights = material.weights(one.question_ids)
    means = np.stack([weighted_mean(weights, one.values[:, place]) for place in places], axis=1)
    drawn = resampling_weights(len(places), material.resamples, material.seed)
    of_sets = np.concatenate([np.ones((1, len(places))), drawn])
    return np.asarray((of_sets * means).sum(axis=1) / len(places))
