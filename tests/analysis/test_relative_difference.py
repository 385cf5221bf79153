"""RD between two points whose curves are known, paired over questions."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradsweep.analysis import condition_pairs, relative_difference, relative_difference_means
from gradsweep.errors import ConfigError


@pytest.fixture
def pair(plant):
    """Rows of a correct and an irrelevant point with these values."""

    def rows(correct, irrelevant, *, questions=None, other_questions=None, **axes):
        return pl.concat(
            [
                plant(np.array(correct, dtype=float), questions=questions, **axes),
                plant(
                    np.array(irrelevant, dtype=float),
                    questions=other_questions or questions,
                    correctness="irrelevant",
                    **axes,
                ),
            ]
        )

    return rows


def test_rd_of_two_known_curves(pair):
    found = relative_difference(pair([[1.0, 2.0], [3.0, 2.0]], [[3.0, 1.0], [3.0, 2.0]]))
    assert found["correct"].to_list() == [2.0, 2.0]
    assert found["irrelevant"].to_list() == [3.0, 1.5]
    assert found["relative_difference"].to_list() == [0.5, 0.25]
    means = relative_difference_means(found)
    assert means["relative_difference"].to_list() == [0.375]
    assert means["top_layers"].to_list() == [[0, 1]]
    assert means["n_questions"].to_list() == [2]


def test_the_correct_curve_is_the_unit(pair):
    forth = relative_difference(pair([[2.0]], [[8.0]]))["relative_difference"].item()
    back = relative_difference(pair([[8.0]], [[2.0]]))["relative_difference"].item()
    assert (forth, back) == (3.0, 0.75)


def test_rd_is_positive_below_zero_too(pair):
    """A cosine may be negative: the distance counts in units of the correct curve's size."""
    found = relative_difference(pair([[-2.0, 2.0]], [[-1.0, -1.0]]))
    assert found["relative_difference"].to_list() == [0.5, 1.5]


def test_equal_curves_have_no_difference_and_units_cancel(pair):
    values = np.random.default_rng(0).lognormal(size=(4, 3))
    assert relative_difference(pair(values, values))["relative_difference"].to_list() == [0, 0, 0]
    other = values[::-1] ** 2
    found = relative_difference(pair(values, other))["relative_difference"].to_numpy()
    scaled = relative_difference(pair(1e-3 * values, 1e-3 * other))["relative_difference"]
    np.testing.assert_allclose(scaled, found)


def test_only_common_questions_count(pair):
    rows = pair(
        [[1.0], [2.0], [900.0]],
        [[3.0], [3.0], [700.0]],
        questions=["a", "b", "only correct"],
        other_questions=["b", "a", "only irrelevant"],
    )
    found = relative_difference(rows)
    assert found["n_questions"].to_list() == [2]
    assert found["relative_difference"].to_list() == [1.0]


def test_a_question_that_lost_its_value_on_one_side_is_lost_on_both(pair):
    found = relative_difference(pair([[1.0, 1.0], [900.0, 900.0]], [[2.0, 2.0], [5.0, np.nan]]))
    assert found["relative_difference"].to_list() == [1.0, 1.0]
    assert found["n_questions"].to_list() == [1, 1]


def test_no_common_question_is_nan_not_zero(pair):
    found = relative_difference(pair([[1.0]], [[1.0]], questions=["a"], other_questions=["b"]))
    assert found["relative_difference"].is_nan().all()
    assert found["n_questions"].to_list() == [0]
    means = relative_difference_means(found)
    assert means["relative_difference"].is_nan().all()
    assert means["top_layers"].to_list() == [[]]


def test_a_layer_without_gradient_is_undefined_and_left_out_of_the_mean(pair):
    found = relative_difference(pair([[0.0, 4.0, 0.0]], [[1.0, 5.0, 0.0]]))
    np.testing.assert_array_equal(found["relative_difference"], [np.nan, 0.25, np.nan])
    means = relative_difference_means(found)
    assert means["relative_difference"].to_list() == [0.25]
    assert means["n_layers"].to_list() == [1]
    assert means["top_layers"].to_list() == [[1]]


def test_top_layers_are_the_five_largest(pair):
    rd = np.array([0.1, 0.9, 0.3, 0.9, 0.2, 0.5, 0.7])
    means = relative_difference_means(relative_difference(pair([np.ones(7)], [1 + rd])))
    assert means["top_layers"].to_list() == [[1, 3, 6, 5, 2]]
    assert means["relative_difference"].item() == pytest.approx(rd.mean())


def test_each_level_model_and_projection_has_its_own(pair):
    rows = pl.concat(
        [
            pair([[1.0]], [[1.5]]),
            pair([[1.0]], [[2.0]], cot="detailed"),
            pair([[1.0]], [[3.0]], model="other"),
            pair([[1.0]], [[4.0]], projection="v"),
        ]
    )
    found = relative_difference(rows).select("model", "cot", "projection", "relative_difference")
    assert found.rows() == [
        ("other", "none", "q", 2.0),
        ("tiny", "none", "q", 0.5),
        ("tiny", "none", "v", 3.0),
        ("tiny", "detailed", "q", 1.0),
    ]


def test_a_level_with_one_condition_has_no_lines(plant):
    assert relative_difference(plant(np.ones((2, 2)))).is_empty()


def test_order_of_rows_changes_nothing(pair):
    rng = np.random.default_rng(0)
    rows = pair(rng.lognormal(size=(6, 3)), rng.lognormal(size=(6, 3)))
    shuffled = rows.sample(fraction=1, shuffle=True, seed=1)
    assert_frame_equal(relative_difference(shuffled), relative_difference(rows))


def test_points_of_one_condition_are_paired_only_when_they_are_pooled(plant):
    ones = np.ones((2, 2))
    rows = pl.concat([plant(ones, point_id="aaa"), plant(ones, point_id="bbb")])
    with pytest.raises(ConfigError, match=r"aaa, bbb.*cot=none correctness=correct.*conditions"):
        condition_pairs(rows, {"cot": "none"}, {"cot": "none"})
