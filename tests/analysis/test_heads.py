"""Heads that respond: planted ones are found, and nothing else at the stated rate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from helpers.head_rows import HEADS, LAYERS, QUESTIONS, study
from polars.testing import assert_frame_equal

from gradsweep.analysis.heads import (
    head_overlaps,
    head_sensitivity,
    shares_by_part,
    top_heads,
)
from gradsweep.analysis.multiplicity import adjusted_p_values
from gradsweep.analysis.signed_ranks import signed_rank_p_values
from gradsweep.errors import ConfigError, DataError


def found_in(frame: pl.DataFrame, rate: float = 0.05) -> set[tuple[int, int]]:
    return set(frame.filter(pl.col("p_adjusted") <= rate).select("layer", "head").iter_rows())


@pytest.mark.parametrize("effect", [0.4, -0.4])
def test_one_head_that_responds_is_found_and_no_other(effect: float) -> None:
    found = head_sensitivity(study({(4, 2): effect}))
    assert len(found) == LAYERS * HEADS
    assert found_in(found) == {(4, 2)}
    (line,) = found.filter(layer=4, head=2).to_dicts()
    assert np.log(line["ratio"]) == pytest.approx(effect, abs=0.1)
    assert line["part"] == "late"
    assert line["n_questions"] == QUESTIONS
    assert np.sign(line["cohen_dz"]) == np.sign(effect)
    assert top_heads(found, 1).select("layer", "head").row(0) == (4, 2)
    shares = {part: (n, share) for part, n, share in
              shares_by_part(found).select("part", "n_found", "share").iter_rows()}  # fmt: skip
    assert shares == {"early": (0, 0), "middle": (0, 0), "late": (1, 1)}


def test_the_false_discovery_rate_is_kept_over_200_null_studies() -> None:
    """Where no head responds, any that is found is a false discovery."""
    rng = np.random.default_rng(1)
    false = [
        (adjusted_p_values(signed_rank_p_values(rng.normal(size=(QUESTIONS, 96))),
                           "benjamini_hochberg") <= 0.05).any()
        for _ in range(200)
    ]  # fmt: skip
    assert np.mean(false) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_the_whole_function_finds_nothing_in_null_studies() -> None:
    found = [found_in(head_sensitivity(study(seed=seed))) for seed in range(12)]
    assert sum(map(bool, found)) <= 3  # P < 0.003 at a rate of 5 %


def test_what_all_heads_do_is_taken_out() -> None:
    rows = study({(1, 0): 0.7}, everywhere=0.3)
    assert len(found_in(head_sensitivity(rows))) > LAYERS * HEADS / 2
    beyond = head_sensitivity(rows, beyond_average=True)
    assert found_in(beyond) == {(1, 0)}
    assert beyond.filter(layer=1, head=0)["ratio"][0] == pytest.approx(np.exp(0.4), rel=0.1)


def test_top_heads_overlap_where_they_are_the_same() -> None:
    same = {(4, 2): 1.0, (1, 1): 1.2, (5, 0): 1.4}
    frames = [
        study(same, seed=0),
        study(same, dataset="other", seed=1),
        study({(0, 0): 1.0, (0, 1): 1.0, (0, 2): 1.0}, model="instruct", seed=2),
    ]
    overlaps = head_overlaps(head_sensitivity(pl.concat(frames)), top=3)
    by_kind = {line["between"]: line for line in overlaps.to_dicts()}
    assert len(overlaps) == 2, "two differ in one axis, the third pair in two"
    assert by_kind["dataset"]["jaccard"] == 1
    assert (by_kind["dataset"]["first"], by_kind["dataset"]["second"]) == ("other", "sums")
    assert by_kind["dataset"]["p_value"] == pytest.approx(1 / 2024)  # 3 of 24
    assert by_kind["model"]["shared"] == 0
    assert by_kind["model"]["p_value"] == 1


def test_chance_gives_the_expected_overlap() -> None:
    frames = pl.concat([study(seed=0), study(dataset="other", seed=1)])
    (line,) = head_overlaps(head_sensitivity(frames), top=6).to_dicts()
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(2000):
        shared = len({*rng.permutation(24)[:6]} & {*rng.permutation(24)[:6]})
        drawn.append(shared / (12 - shared))
    assert line["expected_jaccard"] == pytest.approx(np.mean(drawn), abs=0.01)


def test_models_of_other_shapes_have_no_heads_in_common() -> None:
    other = study(model="larger", seed=1).with_columns(pl.col("head") + 1)
    assert head_overlaps(head_sensitivity(pl.concat([study(), other])), top=3).is_empty()


def test_questions_without_a_value_are_left_out_of_their_head() -> None:
    rows = study({(4, 2): 0.4})
    at = (pl.col("layer") == 0) & (pl.col("head") == 0) & (pl.col("question_id") == "question3")
    bad = rows.with_columns(
        nuclear_norm=pl.when(at).then(0.0).otherwise(pl.col("nuclear_norm")),
        finite=~((pl.col("layer") == 1) & (pl.col("question_id") == "question5")),
    )
    found = head_sensitivity(bad)
    counts = found["n_questions"].to_list()
    assert counts == [QUESTIONS - 1] * 1 + [QUESTIONS] * 3 + [QUESTIONS - 1] * 4 + [QUESTIONS] * 16
    assert found_in(found) == {(4, 2)}


def test_order_and_whole_matrices_change_nothing() -> None:
    rows = study({(4, 2): 0.4})
    whole = rows.with_columns(
        head=pl.lit(None, pl.Int32), nuclear_norm=pl.col("nuclear_norm") * 7
    ).unique(["point_id", "question_id", "layer"])
    mixed = pl.concat([whole, rows]).sample(fraction=1, shuffle=True, seed=3)
    assert_frame_equal(head_sensitivity(mixed), head_sensitivity(rows))
    of_matrices = head_sensitivity(mixed, heads=False)
    assert of_matrices["head"].to_list() == [None] * LAYERS


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda rows: rows.drop("head"), DataError, r"gradients\.heads=true"),
        (lambda rows: rows.drop("nuclear_norm"), ConfigError, "metric=nuclear_norm"),
    ],
)
def test_what_is_missing_is_named(
    change: Callable[[pl.DataFrame], pl.DataFrame], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        head_sensitivity(change(study()))


def test_without_irrelevant_responses_there_are_no_lines() -> None:
    assert head_sensitivity(study().filter(correctness="correct")).is_empty()
