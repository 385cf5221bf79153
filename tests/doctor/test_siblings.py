"""Stored conditions that differ, and ones that should and do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.stored_points import fail_point, store_point

from gradsweep.analysis.multiplicity import holm
from gradsweep.analysis.questions import FEWEST_QUESTIONS
from gradsweep.doctor.check import Check, CheckState
from gradsweep.doctor.siblings import check_siblings
from gradsweep.doctor.stored import StoredPoints
from gradsweep.records import ALL_PROJECTIONS, Axes
from gradsweep.store import PointPaths
from gradsweep.store.points import other_conditions
from gradsweep.store.record import read_config

QUESTIONS = [f"question{i}" for i in range(10)]


def stored(
    results: Path, levels: dict[tuple[str, str], float], questions: list[str] = QUESTIONS
) -> None:
    for (cot, correctness), level in levels.items():
        axes = Axes("tiny", "sums", cot, correctness)
        store_point(results, f"{cot}-{correctness}", axes, level, questions=questions)


def checked(results: Path, cot: str, correctness: str = "correct") -> Check:
    record = read_config(PointPaths(results, f"{cot}-{correctness}"))
    return check_siblings(
        StoredPoints(results), other_conditions(results, record), cot, correctness
    )


def test_levels_that_differ_are_fine(tmp_path: Path):
    stored(tmp_path, {("none", "correct"): 4.0, ("detailed", "correct"): 1.0})
    found = checked(tmp_path, "none")
    assert found.state is CheckState.OK
    assert "detailed correct: 0.25 times" in found.finding
    assert "4 of 4 projections" in found.finding


def test_levels_that_do_not_differ_are_a_problem(tmp_path: Path):
    stored(tmp_path, {("none", "correct"): 1.0, ("detailed", "correct"): 1.0})
    found = checked(tmp_path, "detailed")
    assert found.state is CheckState.PROBLEM
    assert found.remedy


@pytest.mark.parametrize(
    ("cot", "state"), [("none", CheckState.OK), ("detailed", CheckState.PROBLEM)]
)
def test_irrelevant_answers_may_be_alike_only_without_reasoning(
    cot: str, state: CheckState, tmp_path: Path
):
    stored(tmp_path, {(cot, "correct"): 1.0, (cot, "irrelevant"): 1.0})
    assert checked(tmp_path, cot).state is state


def test_the_same_numbers_are_a_problem_even_without_reasoning(tmp_path: Path):
    first = store_point(tmp_path, "none-correct", Axes("tiny", "sums", "none", "correct"), 1.0)
    second = store_point(
        tmp_path, "none-irrelevant", Axes("tiny", "sums", "none", "irrelevant"), 1.0
    )
    second.rows.write_bytes(first.rows.read_bytes())
    second.done.write_text("{}")  # its checksums are of another file
    found = checked(tmp_path, "none")
    assert found.state is CheckState.PROBLEM
    assert "exactly the same numbers" in found.finding


def test_too_little_to_compare_is_said_with_what_to_run(tmp_path: Path):
    stored(tmp_path, {("none", "correct"): 4.0}, QUESTIONS[:3])
    alone = checked(tmp_path, "none")
    assert alone.state is CheckState.NOT_CHECKED
    assert "cot=detailed" in alone.remedy
    stored(tmp_path, {("detailed", "correct"): 1.0}, QUESTIONS[:3])
    few = checked(tmp_path, "none")
    assert few.state is CheckState.NOT_CHECKED
    assert "n_samples" in few.remedy


@pytest.mark.parametrize("n", [2, 6, 9])
def test_what_no_test_can_show_is_no_problem_and_its_size_is_told(n: int, tmp_path: Path):
    levels = {("none", "correct"): 1.0, ("detailed", "correct"): 1.0}
    stored(tmp_path, levels, QUESTIONS[:n])
    found = checked(tmp_path, "detailed")
    assert found.state is CheckState.NOT_CHECKED
    assert "times the nuclear norm" in found.finding
    assert f"{n} questions in common are too few" in found.finding


def test_the_fewest_questions_can_be_significant_in_every_projection_there_is():
    p_values = holm(np.full(len(ALL_PROJECTIONS), 2 / 2**FEWEST_QUESTIONS))
    assert (p_values < 0.05).all()


def test_other_models_data_and_seeds_are_no_siblings(tmp_path: Path):
    stored(tmp_path, {("none", "correct"): 4.0})
    axes = Axes("other", "sums", "detailed", "correct")
    store_point(tmp_path, "other", axes, 1.0)
    store_point(tmp_path, "seed", Axes("tiny", "sums", "detailed", "correct"), 1.0, seed=1)
    assert checked(tmp_path, "none").state is CheckState.NOT_CHECKED


def test_a_sibling_without_rows_is_not_compared(tmp_path: Path) -> None:
    stored(tmp_path, {("none", "correct"): 4.0})
    fail_point(tmp_path, "detailed-correct", Axes("tiny", "sums", "detailed", "correct"))
    found = checked(tmp_path, "none")
    assert found.state is CheckState.NOT_CHECKED
    assert "other conditions have no measured sample" in found.finding
    found = checked(tmp_path, "detailed")
    assert found.state is CheckState.NOT_CHECKED
    assert "the point has no measured sample" in found.finding
    stored(tmp_path, {("none", "irrelevant"): 4.0})
    assert checked(tmp_path, "none").state is CheckState.OK
