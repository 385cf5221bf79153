"""Paired comparisons between planted conditions."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradsweep.analysis import base_and_instruct, condition_pairs, model_pairs, paired_tests
from gradsweep.analysis.pairs import base_and_instruct_models
from gradsweep.errors import ConfigError

FAST, SLOW = {"cot": "none"}, {"cot": "detailed"}
N_QUESTIONS, N_LAYERS = 40, 6


@pytest.fixture
def levels(plant):
    """Rows without CoT and with detailed CoT, the latter `factor` times as large."""

    def rows(factor=1.0, *, noise=0.05, seed=0, **axes):
        rng = np.random.default_rng(seed)
        # Questions differ far more than the conditions of one question.
        question = rng.lognormal(sigma=1.5, size=(N_QUESTIONS, 1))
        first, second = question * rng.lognormal(sigma=noise, size=(2, N_QUESTIONS, N_LAYERS))
        return pl.concat(
            [plant(first, cot="none", **axes), plant(second * factor, cot="detailed", **axes)]
        )

    return rows


def compare(rows, **settings):
    settings = {"resamples": 200, "flips": 999} | settings
    return paired_tests(rows, condition_pairs(rows, FAST, SLOW), **settings)


def test_numbers_of_a_known_pair(plant):
    rows = pl.concat(
        [
            plant(np.array([[1.0, 3.0], [2.0, 2.0], [4.0, 4.0]])),
            plant(np.array([[3.0, 5.0], [3.0, 3.0], [4.0, 10.0]]), cot="detailed"),
        ]
    )
    line = compare(rows).to_dicts()[0]
    differences = [2.0, 1.0, 3.0]
    assert (line["first_mean"], line["second_mean"]) == pytest.approx((8 / 3, 14 / 3))
    assert line["difference"] == 2.0
    assert line["ci_low"] <= 2.0 <= line["ci_high"]
    assert line["cohen_dz"] == pytest.approx(2 / np.std(differences, ddof=1))
    assert line["rank_biserial"] == 1.0
    assert line["p_value"] == 2 / 8
    assert (line["n_questions"], line["n_left_out"]) == (3, 0)
    assert (line["cot"], line["second_cot"]) == ("none", "detailed")


def test_pairing_finds_what_questions_would_hide(levels):
    rows = levels(1.05)
    line = compare(rows).to_dicts()[0]
    assert line["p_value"] < 0.01
    assert line["ci_low"] > 0
    # The same values under other questions: the difference drowns in what questions differ by.
    slow = pl.col("cot") == "detailed"
    number = pl.col("question_id").str.strip_prefix("question").cast(pl.Int64)
    other = pl.format("question{}", (number + 7) % N_QUESTIONS)
    unpaired = rows.with_columns(
        pl.when(slow).then(other).otherwise("question_id").alias("question_id")
    )
    assert compare(unpaired)["p_value"].item() > 0.2


def test_nulls_are_rejected_at_the_stated_rate(levels):
    rows = pl.concat([levels(seed=seed, model=f"m{seed:03}") for seed in range(200)])
    found = compare(rows, resamples=100, flips=199)
    assert len(found) == 200
    rejected = int((found["p_value"] <= 0.05).sum())
    assert 1 <= rejected <= 22  # 10 expected, ±3.5 standard deviations and a little


def test_one_layer_is_found_among_many(plant):
    rng = np.random.default_rng(5)
    first, second = rng.lognormal(sigma=0.2, size=(2, N_QUESTIONS, 12))
    second[:, 3] *= 1.5
    rows = pl.concat([plant(first), plant(second, cot="detailed")])
    found = compare(rows, by="layer", flips=9999)
    assert found["layer"].to_list() == list(range(12))
    assert found.filter(pl.col("p_adjusted") <= 0.05)["layer"].to_list() == [3]
    assert (found["p_adjusted"] >= found["p_value"]).all()


def test_families_are_the_projections_of_a_pair(levels):
    rows = pl.concat(
        [
            levels(1.02, seed=seed, model=model, projection=projection)
            for seed, (model, projection) in enumerate(
                [("a", "q"), ("a", "k"), ("b", "q"), ("b", "k")]
            )
        ]
    )
    both, one = compare(rows), compare(rows.filter(pl.col("model") == "b"))
    assert_frame_equal(both.filter(pl.col("model") == "b"), one)


def test_values_that_are_not_finite_are_left_out_and_counted(levels):
    rows = levels(2.0)
    lost = (pl.col("question_id") == "question3") & (pl.col("layer") == 2)
    broken = rows.with_columns(
        pl.when(lost & (pl.col("cot") == "none"))
        .then(np.nan)
        .otherwise("nuclear_norm")
        .alias("nuclear_norm")
    )
    line = compare(broken).to_dicts()[0]
    assert (line["n_questions"], line["n_left_out"]) == (N_QUESTIONS - 1, 1)
    without = compare(rows.filter(pl.col("question_id") != "question3")).to_dicts()[0]
    assert line["difference"] == without["difference"]


def test_no_common_question_is_nan(plant):
    rows = pl.concat(
        [plant(np.ones((1, 2))), plant(np.ones((1, 2)), cot="detailed", questions=["other"])]
    )
    line = compare(rows).to_dicts()[0]
    assert line["n_questions"] == 0
    assert np.isnan([line["difference"], line["p_value"], line["p_adjusted"]]).all()


def test_no_pairs_are_an_empty_frame(levels):
    rows = levels()
    alone = base_and_instruct(rows)
    assert alone.is_empty()
    both = pl.concat([rows, levels(model="tiny_instruct")])
    assert alone.schema == base_and_instruct(both, resamples=10, flips=10).schema


def test_order_of_rows_changes_nothing(levels):
    rows = levels(1.1)
    assert_frame_equal(compare(rows.sample(fraction=1, shuffle=True, seed=1)), compare(rows))


def test_any_two_conditions_pair_up(plant):
    ones = np.ones((2, 2))
    rows = pl.concat(
        [
            plant(ones, model="a"),
            plant(ones, model="b", cot="detailed", correctness="irrelevant"),
            plant(ones, model="b"),
        ]
    )
    first = {"model": "a", "dataset": "sums", "cot": "none", "correctness": "correct"}
    second = first | {"model": "b", "cot": "detailed", "correctness": "irrelevant"}
    found = condition_pairs(rows, first, second)
    assert found.select("first_point_id", "second_point_id").rows() == [
        ("a-none-correct", "b-detailed-irrelevant")
    ]
    assert len(condition_pairs(rows, {"model": "a"}, {"model": "b"})) == 1


def test_mistakes_are_named(levels):
    rows = levels()
    with pytest.raises(ConfigError, match="cot=long is not in the rows; there are detailed, none"):
        condition_pairs(rows, FAST, {"cot": "long"})
    with pytest.raises(ConfigError, match="must name the same axes, of model, dataset"):
        condition_pairs(rows, FAST, {"model": "tiny"})
    with pytest.raises(ConfigError, match="by=head is unknown; allowed are projection, layer"):
        compare(rows, by="head")
    with pytest.raises(ConfigError, match="metric=loss is not in the rows"):
        compare(rows, metric="loss")


@pytest.mark.parametrize(
    ("base", "instruct"),
    [
        ("qwen2_1.5b", "qwen2_1.5b_instruct"),
        ("qwen2_1.5b seed=1", "qwen2_1.5b_instruct seed=1"),
        ("Qwen--Qwen2-1.5B", "Qwen--Qwen2-1.5B-Instruct"),
        ("google--gemma-2-2b", "google--gemma-2-2b-it"),
        ("meta-llama--Llama-2-7b-hf", "meta-llama--Llama-2-7b-chat-hf"),
    ],
)
def test_base_and_instruct_pair_by_name(base, instruct):
    others = ["unrelated", "italic", "other_instruct", "llama_instruct"]
    assert (base, instruct) in base_and_instruct_models([instruct, *others, base])
    assert "italic" not in dict(base_and_instruct_models([*others, base, instruct]))


def test_names_that_do_not_show_it_can_be_given(plant):
    rows = pl.concat([plant(np.ones((2, 2)), model=name) for name in ("mine", "tuned")])
    assert model_pairs(rows).is_empty()
    assert model_pairs(rows, {"mine": "tuned"})["second_model"].to_list() == ["tuned"]
    with pytest.raises(ConfigError, match="model=tunes is not in the rows"):
        model_pairs(rows, {"mine": "tunes"})


def test_base_and_instruct_frame(plant):
    values = np.random.default_rng(0).lognormal(size=(12, 4))
    rows = pl.concat(
        [
            plant(values, model="x"),
            plant(2 * values, model="x_instruct"),
            plant(values, model="x", cot="detailed"),
            plant(values, model="alone"),
        ]
    )
    line = base_and_instruct(rows).to_dicts()
    assert [(one["base"], one["instruct"], one["cot"]) for one in line] == [
        ("x", "x_instruct", "none")
    ]
    assert line[0]["ratio"] == pytest.approx(2.0)
    assert line[0]["difference"] == pytest.approx(values.mean())
    assert base_and_instruct(rows, by="layer")["layer"].to_list() == [0, 1, 2, 3]
