"""How every matrix and head of a model responds, at the slowest level of each dataset."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gradsweep.analysis.heads import HEAD, response_effects
from gradsweep.analysis.layers import part_of_each_layer
from gradsweep.analysis.open_questions.material import QuestionMaterial
from gradsweep.analysis.open_questions.question import Scope
from gradsweep.analysis.point_rows import scopes
from gradsweep.analysis.rows import CORRECT, IRRELEVANT
from gradsweep.config import cot_reading_key, is_reasoning_level

Floats = NDArray[np.float64]

Kind = tuple[str, bool]
"""A metric, and whether it is that of single heads."""


@dataclass(frozen=True)
class Effects:
    """Effects of one pair of points, in the questions that have all of them."""

    scope: Scope
    cot: str
    cells: pl.DataFrame
    """`HEAD` and part, a line for each column of `values`."""
    question_ids: tuple[str, ...]
    values: Floats
    """(questions, cells)"""

    def mean_of(self, column: str, names: Sequence[str]) -> Floats | None:
        """Average over some cells: (questions,); None without any."""
        chosen = self.cells[column].is_in(list(names)).to_numpy()
        return self.values[:, chosen].mean(axis=1) if chosen.any() else None


def effects_of(material: QuestionMaterial, kinds: Sequence[Kind]) -> dict[Kind, list[Effects]]:
    """Take the slowest level of each model and dataset that has both kinds of responses."""
    found: dict[Kind, list[Effects]] = {kind: [] for kind in kinds}
    for points in scopes(_of_main_levels(material.source.points)):
        for kind, effects in _of_scope(material, points, kinds):
            found[kind].append(effects)
    return found


def rows_with_heads(material: QuestionMaterial) -> Iterator[pl.DataFrame]:
    """Read the points with rows of single heads, level by level, from fast to slow thinking."""
    known = material.summary.with_heads
    for points in scopes(_of_main_levels(material.source.points)):
        for _, ids in _levels(points):
            if known & set(ids):
                yield material.source.rows(ids, [material.metric])


def _of_scope(
    material: QuestionMaterial, points: pl.DataFrame, kinds: Sequence[Kind]
) -> Iterator[tuple[Kind, Effects]]:
    model, series, dataset = points.select("model", "series", "dataset").row(0)
    scope, left = Scope(model, series, dataset), list(kinds)
    for cot, ids in reversed(list(_levels(points))):
        has_heads = bool(material.summary.with_heads & set(ids))
        asked = [(metric, heads) for metric, heads in left if has_heads or not heads]
        if not asked:
            continue
        rows = material.source.rows(ids, [metric for metric, _ in asked])
        for metric, heads in asked:
            for _, effects in response_effects(rows, metric, heads=heads):
                own = _complete(scope, cot, effects)
                if own is not None:
                    left.remove((metric, heads))
                    yield (metric, heads), own


def _levels(points: pl.DataFrame) -> Iterator[tuple[str, list[str]]]:
    """Levels of a scope that have both kinds of responses, with their points."""
    for cot in sorted(points["cot"].unique(), key=cot_reading_key):
        own = points.filter(pl.col("cot") == cot)
        if {CORRECT, IRRELEVANT} <= set(own["correctness"]):
            yield cot, own["point_id"].to_list()


def _of_main_levels(points: pl.DataFrame) -> pl.DataFrame:
    """Keep levels between fast and slow thinking; all where a model and dataset has no such level.

    Spoilt rationales and controls of length come behind the level that they are made from, and are
    no slower thinking than it.
    """
    names: Collection[str] = [n for n in points["cot"].unique() if is_reasoning_level(n)]
    is_main = pl.col("cot").is_in(list(names))
    return points.filter(is_main | ~is_main.any().over("model", "dataset", "series", "objective"))


def _complete(scope: Scope, cot: str, effects: pl.DataFrame) -> Effects | None:
    """The questions that have an effect in every cell; None without any."""
    cells = effects.select(HEAD).unique(maintain_order=True)
    whole = effects.filter(pl.len().over("question_id") == len(cells))
    if whole.is_empty():
        return None
    whole = whole.sort("question_id", *HEAD)
    cells = whole.select(HEAD).unique(maintain_order=True)
    parts = part_of_each_layer(int(cells["layer"].to_numpy().max()) + 1)
    named = cells.with_columns(part=pl.Series([parts[layer] for layer in cells["layer"]]))
    question_ids = tuple(whole["question_id"].unique(maintain_order=True))
    values = whole["effect"].to_numpy().reshape(len(question_ids), len(cells))
    return Effects(scope, cot, named, question_ids, values)
