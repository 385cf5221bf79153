"""Sentences follow from the numbers: each verdict is tested on both of its outcomes."""

import polars as pl
import pytest

from gradsweep.report import comparisons, sentences


def said(rows: pl.DataFrame, start: str, metric: str = "nuclear_norm") -> str:
    """The one sentence that starts like this; empty when there is none."""
    (comparison,) = comparisons(rows, metric)
    found = [sentence for sentence in sentences(comparison) if sentence.startswith(start)]
    assert len(found) <= 1
    return found[0] if found else ""


def levels(none: float, simplified: float, detailed: float) -> dict[tuple[str, str], float]:
    return {
        ("none", "correct"): none,
        ("simplified", "correct"): simplified,
        ("detailed", "correct"): detailed,
    }


MEAN = "Fast vs slow thinking, correct responses: mean nuclear norm"
CONDITIONS_ALIKE = {("detailed", "correct"): 1.0, ("detailed", "irrelevant"): 1.0}
MAD = "Fast vs slow thinking, correct responses: MAD over layers"


@pytest.mark.parametrize("start", [MEAN, MAD])
def test_falling_in_every_projection(plant, start):
    # Projections are 1 to 4 times the level, so their average is 2.5 times it.
    assert said(plant(levels(4, 2, 1)), start) == (
        f"{start} falls in all 4 projections: none 10 > simplified 5.0 > detailed 2.5."
    )


@pytest.mark.parametrize("start", [MEAN, MAD])
def test_rising_in_every_projection(plant, start):
    assert said(plant(levels(1, 2, 4)), start) == (
        f"{start} rises in all 4 projections: none 2.5 < simplified 5.0 < detailed 10."
    )


def test_mad_that_only_follows_the_size_of_the_gradients_is_told(plant):
    start = "Relative to size: MAD over the mean"
    # All curves have one shape.
    assert said(plant(levels(4, 2, 1)), start) == (
        f"{start} goes neither way in all 4 projections: none 1.0, simplified 1.0, detailed 1.0; "
        "MAD itself goes another way in all 4 projections."
    )
    flatter = pl.when(pl.col("cot") == "detailed").then(1.0).otherwise(0.0)
    flatter = plant(levels(4, 2, 1)).with_columns(pl.col("nuclear_norm") + flatter)
    flatter = flatter.filter(pl.col("cot") != "simplified")
    assert said(flatter, start).startswith(f"{start} falls in all 4 projections: none 1.0 > ")
    assert "another way" not in said(flatter, start)


def test_neither_falling_nor_rising(plant):
    assert said(plant(levels(2, 4, 1)), MEAN) == (
        f"{MEAN} goes neither way in all 4 projections: none 5.0, simplified 10, detailed 2.5."
    )


def test_projections_that_disagree_are_named(plant):
    rows = pl.concat(
        [plant(levels(4, 2, 1), projections="qk"), plant(levels(1, 2, 4), projections="v")]
    )
    sentence = said(rows, MEAN)
    assert sentence.startswith(f"{MEAN} falls in Q K, rises in V: none ")
    assert ">" not in sentence
    assert "<" not in sentence


def test_a_projection_measured_in_some_conditions_only_is_not_averaged(plant):
    rows = plant(levels(4, 2, 1)).filter(
        pl.col("projection").is_in(["q", "k"]) | (pl.col("cot") == "none")
    )
    assert said(rows, MEAN).endswith("none 6.0 > simplified 3.0 > detailed 1.5.")
    assert said(rows, "These sentences") == "These sentences average over Q K."
    nothing_in_common = rows.filter((pl.col("projection") == "q") == (pl.col("cot") == "none"))
    assert said(nothing_in_common, "Nothing to compare") != ""


def test_equal_levels_do_not_count_as_falling(plant):
    assert "goes neither way" in said(plant(levels(4, 4, 1)), MEAN)


def test_numbers_in_an_order_never_read_the_same(plant):
    sentence = said(plant(levels(1.001, 1.0, 0.999), projections="q"), MEAN)
    assert sentence.endswith("falls in Q: none 1.001 > simplified 1.000 > detailed 0.9990.")


def test_without_fast_thinking_it_is_not_mentioned(plant):
    rows = plant(levels(4, 2, 1)).filter(pl.col("cot") != "none")
    assert said(rows, "Fast vs slow") == ""
    assert "simplified 5.0 > detailed 2.5" in said(rows, "CoT levels, correct responses: mean")


def with_irrelevant(**irrelevant: float) -> dict[tuple[str, str], float]:
    pairs = {}
    for cot, level in irrelevant.items():
        pairs[cot, "correct"] = 1.0
        pairs[cot, "irrelevant"] = level
    return pairs


def test_rd_that_grows_with_cot(plant):
    assert said(plant(with_irrelevant(none=1.04, detailed=0.65)), "Correct vs irrelevant") == (
        "Correct vs irrelevant: RD 0.040 without CoT, 0.35 with detailed CoT; "
        "larger with detailed CoT than without CoT in all 4 projections."
    )


def test_rd_that_does_not_grow_with_cot(plant):
    assert said(plant(with_irrelevant(none=1.5, detailed=1.2)), "Correct vs irrelevant") == (
        "Correct vs irrelevant: RD 0.50 without CoT, 0.20 with detailed CoT; "
        "larger with detailed CoT than without CoT in no projection."
    )


def test_rd_that_grows_in_some_projections(plant):
    rows = pl.concat(
        [
            plant(with_irrelevant(none=1.1, detailed=1.5), projections="q"),
            plant(with_irrelevant(none=1.5, detailed=1.1), projections="qk").filter(
                pl.col("projection") == "k"
            ),
        ]
    )
    assert said(rows, "Correct vs irrelevant").endswith("than without CoT in Q.")


def test_rd_of_a_single_level_has_no_verdict(plant):
    sentence = said(plant(with_irrelevant(detailed=1.5)), "Correct vs irrelevant")
    assert sentence == "Correct vs irrelevant: RD 0.50 with detailed CoT."


def test_direction_of_irrelevant_responses(plant):
    assert said(plant(with_irrelevant(none=0.9, detailed=1.5)), "Irrelevant over correct") == (
        "Irrelevant over correct: mean nuclear norm 0.90× without CoT, 1.5× with detailed CoT."
    )


def test_negative_values_are_not_so_many_times_as_large(plant):
    rows = plant(with_irrelevant(none=-0.9, detailed=1.5))
    assert said(rows, "Irrelevant over correct") == (
        "Irrelevant over correct: mean nuclear norm –× without CoT, 1.5× with detailed CoT."
    )
    assert said(plant(with_irrelevant(detailed=-1.5)), "Irrelevant over correct") == ""


def test_layers_with_the_largest_rd(plant):
    rows = plant(with_irrelevant(detailed=1.0), n_layers=8, projections="qo")
    # RD_i of 0.6, 0.5, 0.4, 0.3, 0.2 in these layers of Q, the other way round in O, 0 elsewhere.
    layers = [6, 1, 3, 0, 7]
    rd = {("q", layer): 0.6 - rank / 10 for rank, layer in enumerate(layers)}
    rd |= {("o", layer): 0.2 + rank / 10 for rank, layer in enumerate(layers)}
    added = pl.struct("projection", "layer").map_elements(
        lambda cell: rd.get((cell["projection"], cell["layer"]), 0.0), return_dtype=pl.Float64
    )
    louder = pl.when(pl.col("correctness") == "irrelevant").then(1 + added).otherwise(1.0)
    rows = rows.with_columns(nuclear_norm=pl.col("nuclear_norm") * louder)
    assert said(rows, "RD with detailed CoT") == (
        "RD with detailed CoT is largest in layers Q 6,1,3,0,7; O 7,0,3,1,6."
    )


def test_a_model_with_few_layers_has_no_top_layers(plant):
    assert said(plant(with_irrelevant(detailed=1.5), n_layers=5), "RD with detailed") == ""


def test_one_condition_has_nothing_to_compare(plant):
    (comparison,) = comparisons(plant({("none", "correct"): 1.0}))
    (sentence,) = sentences(comparison)
    assert sentence.startswith("Nothing to compare yet")


@pytest.mark.parametrize(
    "damage",
    [
        {"nuclear_norm": pl.lit(float("nan"))},
        {"finite": pl.lit(False), "nuclear_norm": pl.lit(1e9)},
    ],
)
def test_samples_left_out_are_said(plant, damage):
    rows = plant(with_irrelevant(none=1.1))
    hit = (
        (pl.col("sample_id") == "none-correct-1")
        & (pl.col("layer") == 3)
        & (pl.col("projection") == "v")
    )
    broken = rows.with_columns(
        pl.when(hit).then(value).otherwise(name).alias(name) for name, value in damage.items()
    )
    assert said(broken, "none correct") == (
        "none correct: 1 of 4 samples left out, "
        "nuclear norm not finite or not trusted in some layer."
    )
    assert said(rows, "none correct") == ""


def test_no_question_in_common_is_said_and_gives_no_rd(plant):
    rows = plant(with_irrelevant(none=1.1)).with_columns(
        question_id=pl.col("correctness") + pl.col("question_id")
    )
    assert said(rows, "none: no RD") == (
        "none: no RD, correct and irrelevant responses have no question in common."
    )
    assert said(rows, "Correct vs irrelevant") == ""


def test_a_quantity_without_value_is_not_given_a_direction(plant):
    sentence = said(plant(levels(4, 2, 1), n_layers=1), MAD)
    assert sentence == f"{MAD} has no value in all 4 projections: none –, simplified –, detailed –."


def test_another_metric_is_named(plant):
    sentence = said(
        plant(levels(4, 2, 1)), "Fast vs slow thinking, correct responses: mean", "effective_rank"
    )
    assert "mean effective rank rises in all 4 projections" in sentence


@pytest.mark.parametrize(
    ("layers", "part"), [((0, 1), "early"), ((2, 3), "middle"), ((4, 5), "late")]
)
def test_the_part_of_the_layers_with_the_largest_rd_is_named(plant, layers, part):
    rows = plant(CONDITIONS_ALIKE, n_layers=6)
    larger = (pl.col("correctness") == "irrelevant") & pl.col("layer").is_in(layers)
    value = pl.when(larger).then(pl.col("nuclear_norm") * 2).otherwise("nuclear_norm")
    sentence = said(rows.with_columns(nuclear_norm=value), "By part, ")
    assert f"RD with detailed CoT is largest in {part} layers (early " in sentence
    assert f"{part} 1.0" in sentence
