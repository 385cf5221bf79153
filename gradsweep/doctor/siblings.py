"""Whether stored points of one model and dataset differ as their conditions do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gradsweep.analysis import paired_tests
from gradsweep.analysis.conditions import CORRECT, IRRELEVANT
from gradsweep.config import cot_reading_key
from gradsweep.doctor.check import Check, Verdict
from gradsweep.records import AXES
from gradsweep.report.numerals import distinct
from gradsweep.store import load_rows, point_folders
from gradsweep.store.read import read_config

CONDITIONS = "conditions"

FEWEST_QUESTIONS = 6
"""With fewer pairs no sign-flip test can reach 0.05: 2/2⁵ is 0.06."""

ALIKE = 0.01
"""Ratios of means within this of 1 are alike."""

_SIGNIFICANT = 0.05


def siblings(results: Path, science: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """(cot, correctness) -> stored point that differs from `science` in these two at most.

    The point itself is among them when it is stored. Of several points (other numbers of
    samples) the one with as many samples counts.
    """
    found: dict[tuple[str, str], str] = {}
    for paths in point_folders(results):
        config = read_config(paths)
        other = config["science"]
        if _comparable(other) != _comparable(science):
            continue
        key = (config["axes"]["cot"], config["axes"]["correctness"])
        if key not in found or other["n_samples"] == science["n_samples"]:
            found[key] = paths.point_id
    return found


def _comparable(science: Mapping[str, Any]) -> dict[str, Any]:
    varying = ("cot", "correctness", "n_samples")
    dataset = {name: value for name, value in science["dataset"].items() if name != "data"}
    return {k: v for k, v in science.items() if k not in varying} | {"dataset": dataset}


def check_conditions(
    results: Path, point_ids: Mapping[tuple[str, str], str], cot: str, correctness: str
) -> Check:
    """Compare the point's condition with its siblings, question by question.

    With the other CoT level that is farthest away, and with the other correctness of the same
    level (without CoT, right and wrong answers give nearly the same gradients: paper, section 4).
    """
    others = [key for key in _partners(point_ids, cot, correctness) if key in point_ids]
    if (cot, correctness) not in point_ids or not others:
        return Check(
            CONDITIONS, Verdict.NOT_CHECKED, "no other condition is stored", _how(cot, correctness)
        )
    ids = [point_ids[key] for key in [(cot, correctness), *others]]
    rows = load_rows(results, ids)
    found = [_compared(rows, point_ids[cot, correctness], point_ids[o], o) for o in others]
    order = [Verdict.PROBLEM, Verdict.WARNING, Verdict.OK, Verdict.NOT_CHECKED]
    worst = min(found, key=lambda check: order.index(check.verdict))
    finding = "; ".join(check.finding for check in found)
    return Check(CONDITIONS, worst.verdict, finding, worst.remedy)


def _how(cot: str, correctness: str) -> str:
    other = "none" if cot == "detailed" else "detailed"
    return f"run the same point with cot={other} (correctness={correctness}), then ask again"


def _partners(
    point_ids: Mapping[tuple[str, str], str], cot: str, correctness: str
) -> list[tuple[str, str]]:
    levels = sorted(
        {level for level, kind in point_ids if kind == correctness}, key=cot_reading_key
    )
    ends = [level for level in (levels[:1] + levels[-1:]) if level != cot]
    farthest = [(ends[-1], correctness)] if ends else []
    return [*farthest, (cot, IRRELEVANT if correctness == CORRECT else CORRECT)]


def _compared(rows: pl.DataFrame, point_id: str, other_id: str, other: tuple[str, str]) -> Check:
    """One pair: identical numbers are a problem, alike ones a warning where they should differ."""
    points = rows.select("point_id", *AXES).unique()
    first, second = (
        points.row(by_predicate=pl.col("point_id") == p, named=True) for p in (point_id, other_id)
    )
    pair = pl.DataFrame(
        [
            {axis: first[axis] for axis in AXES}
            | {f"second_{axis}": second[axis] for axis in AXES}
            | {"first_point_id": point_id, "second_point_id": other_id}
        ]
    )
    tests = paired_tests(rows, pair)
    name = " ".join(other)
    n = int(tests["n_questions"].min() or 0)  # type: ignore[arg-type]
    if n < FEWEST_QUESTIONS:
        how = f"at least {FEWEST_QUESTIONS} questions are needed: raise n_samples"
        return Check(CONDITIONS, Verdict.NOT_CHECKED, f"{name}: {n} questions in common", how)
    ratios = (tests["second_mean"] / tests["first_mean"]).to_numpy()
    ratio = float(np.exp(np.log(ratios[ratios > 0]).mean())) if (ratios > 0).any() else np.nan
    differs = int((tests["p_adjusted"] < _SIGNIFICANT).sum())
    finding = (
        f"{name}: {distinct([ratio])[0]} times the nuclear norm, "
        f"different in {differs} of {len(tests)} projections ({n} questions)"
    )
    if (tests["difference"] == 0).all():
        return Check(
            CONDITIONS,
            Verdict.PROBLEM,
            f"{name}: exactly the same numbers",
            "both points were measured on the same responses: check the data of the condition",
        )
    expected_alike = first["cot"] == second["cot"] == "none"
    if differs or expected_alike:
        return Check(CONDITIONS, Verdict.OK, finding)
    verdict = Verdict.PROBLEM if abs(ratio - 1) < ALIKE else Verdict.WARNING
    return Check(
        CONDITIONS, verdict, finding, "see irrelevant responses and CoT levels; or raise n_samples"
    )
