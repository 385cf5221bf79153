"""The comparison in the terminal: the right numbers, and nothing wider than the terminal."""

import io
import re

import polars as pl
import pytest
from rich.console import Console, RenderableType

from gradsweep.report import comparison_table


def printed(rows: pl.DataFrame, width: int = 80, metric: str = "nuclear_norm") -> list[str]:
    return at_width(comparison_table(rows, metric), width)


def at_width(table: RenderableType, width: int) -> list[str]:
    console = Console(record=True, width=width, file=io.StringIO())
    console.print(table)
    return console.export_text().splitlines()


def numbers(line: str) -> list[str]:
    return re.findall(r"(?<![\w.])(?:\d+\.\d+(?:e[+-]\d+)?|–)", line)


def block(lines: list[str], name: str) -> list[list[str]]:
    """The numbers of a block of the table, line by line."""
    start = next(i for i, line in enumerate(lines) if line.split()[:2] == [name, "Q"])
    found = []
    for line in lines[start:]:
        if not line.strip() or line.split()[0] == "paired":
            break
        found.append(numbers(line))
    return found


def test_numbers_are_the_planted_ones_side_by_side(plant):
    lines = printed(plant())
    mean = block(lines, "mean")
    assert mean[0] == ["4.00", "4.20", "1.00", "1.30", "0.50", "0.90"]
    assert mean[3] == ["16.00", "16.80", "4.00", "5.20", "2.00", "3.60"]
    assert block(lines, "MAD") == mean
    # |4 − 4.2|/4, |1 − 1.3|/1, |0.5 − 0.9|/0.5 in every projection, once for each level.
    assert block(lines, "RD") == [["0.050", "0.300", "0.800"]] * 4


def test_columns_are_in_order_and_numbers_stand_below_them(plant):
    lines = printed(plant().sample(fraction=1, shuffle=True, seed=0))
    top = next(i for i, line in enumerate(lines) if line.split() == [
        "none", "none", "simplified", "simplified", "detailed", "detailed"])  # fmt: skip
    assert lines[top + 1].split() == ["correct", "irrelevant"] * 3
    ends = [match.end() for match in re.finditer(r"\S+", lines[top])]
    row = next(line for line in lines if line.split()[:2] == ["mean", "Q"])
    assert [match.end() for match in re.finditer(r"\d+\.\d+", row)] == ends


def test_samples_of_each_condition_are_shown(plant):
    rows = pl.concat([
        plant({("none", "correct"): 1.0}, n_samples=8),
        plant({("none", "irrelevant"): 1.0}, n_samples=6),
    ])  # fmt: skip
    lines = printed(rows)
    samples = next(line for line in lines if line.startswith(" samples"))
    paired = next(line for line in lines if line.startswith(" paired"))
    assert samples.split() == ["samples", "8", "6"]
    assert paired.split() == ["paired", "6"]


@pytest.mark.parametrize("name", ["tiny", "organisation/a-model-with-a-very-long-name" * 3])
@pytest.mark.parametrize("n_levels", [1, 3, 6])
def test_no_line_is_wider_than_the_terminal(plant, name, n_levels):
    levels = {
        (f"level_{index}_of_detail", correctness): 10.0**index
        for index in range(n_levels)
        for correctness in ("correct", "irrelevant")
    }
    table = comparison_table(plant(levels, model=name))
    for width in (24, 40, 60, 80, 120):
        assert max(map(len, at_width(table, width))) <= width


def test_six_conditions_fit_eighty_columns_in_one_table(plant):
    lines = printed(plant(n_samples=500, n_layers=2))
    assert sum(line.startswith(" samples") for line in lines) == 1


def test_twelve_conditions_go_on_in_a_second_table_and_lose_none(plant):
    levels = {
        (f"level_{index}", correctness): 1.0 + index
        for index in range(6)
        for correctness in ("correct", "irrelevant")
    }
    lines = printed(plant(levels))
    shown = [
        number for line in lines if line.split()[:2] == ["mean", "Q"] for number in numbers(line)
    ]
    assert shown == [f"{1.0 + index:.1f}" for index in range(6) for _ in range(2)]
    assert sum(line.startswith(" samples") for line in lines) == 2
    assert sum(line.startswith(" samples") for line in printed(plant(levels), 200)) == 1


def test_no_number_or_heading_is_cut_at_any_width(plant):
    table = comparison_table(plant())
    for width in range(36, 100, 3):
        lines = at_width(table, width)
        first_lines = [line for line in lines if line.split()[:2] == ["mean", "Q"]]
        shown = [number for line in first_lines for number in numbers(line)]
        assert shown == ["4.00", "4.20", "1.00", "1.30", "0.50", "0.90"]
        words_of_lines = map(str.split, lines)
        headings = [words for words in words_of_lines if set(words) == {"correct", "irrelevant"}]
        assert [word for words in headings for word in words] == ["correct", "irrelevant"] * 3


def test_mad_is_over_all_layers(plant):
    rows = plant({("none", "correct"): 1.0}, projections="q", n_layers=6)
    # Layers 0, 0, 0, 3, 3, 5: steps of 3 and 2 in five, none of them in the early part.
    steps = pl.col("layer").replace_strict({0: 0, 1: 0, 2: 0, 3: 3, 4: 3, 5: 5})
    lines = printed(rows.with_columns(nuclear_norm=steps.cast(pl.Float64)))
    assert block(lines, "MAD") == [["1.0"]]


def test_mad_stands_over_the_mean_too(plant):
    lines = printed(plant())
    assert [[float(n) for n in line] for line in block(lines, "MAD/mean")] == [[1.0] * 6] * 4


def test_a_missing_condition_leaves_a_dash(plant):
    rows = plant().filter((pl.col("cot") != "simplified") | (pl.col("correctness") == "correct"))
    lines = printed(rows)
    assert len(block(lines, "mean")[0]) == 5
    assert block(lines, "RD")[0] == ["0.050", "–", "0.800"]


def test_one_condition_has_no_rd_block(plant):
    lines = printed(plant({("detailed", "correct"): 2.0}))
    assert block(lines, "mean")[1] == ["4.0"]
    assert not any(line.split()[:1] == ["RD"] for line in lines)


def test_an_undefined_number_is_a_dash_not_nan(plant):
    rows = plant(n_layers=1)
    lines = printed(rows)
    assert block(lines, "MAD") == [["–"] * 6] * 4
    assert "nan" not in "\n".join(lines)


@pytest.mark.parametrize("scale", [1e-7, 1e-3, 1.0, 1e3, 1e9])
def test_every_size_of_number_keeps_two_digits(plant, scale):
    rows = plant().with_columns(pl.col("nuclear_norm") * scale)
    for line, expected in zip(block(printed(rows), "mean"), (1, 2, 3, 4), strict=True):
        found = [float(number) / scale / expected for number in line]
        assert found == pytest.approx([4.0, 4.2, 1.0, 1.3, 0.5, 0.9], rel=0.05)


def test_models_and_datasets_have_tables_of_their_own(plant):
    rows = pl.concat([plant(), plant(model="other"), plant(dataset="words")])
    headings = [line.strip() for line in printed(rows) if "·" in line and "nuclear norm" in line]
    assert headings == [
        "other · sums · nuclear norm Σσ",
        "tiny · sums · nuclear norm Σσ",
        "tiny · words · nuclear norm Σσ",
    ]


def test_another_metric_is_named_and_counted(plant):
    lines = printed(plant(n_layers=2, n_samples=1), metric="effective_rank")
    assert any(line.strip() == "tiny · sums · effective rank" for line in lines)
    # One sample, at 0.8 · 4 in the mean, whose two layers lie 50 % below and above it.
    assert float(block(lines, "mean")[0][0]) == pytest.approx((1 / 1.6 + 1 / 4.8) / 2, abs=0.005)


def test_measured_projections_only(plant):
    lines = printed(plant(projections="qv"))
    assert len(block(lines, "mean")) == 2


def test_a_projection_measured_in_some_conditions_only_is_a_dash_in_the_others(plant):
    rows = plant().filter((pl.col("projection") == "q") | (pl.col("cot") == "none"))
    lines = printed(rows)
    assert block(lines, "mean")[1] == ["8.00", "8.40", "–", "–", "–", "–"]
    assert block(lines, "RD")[1] == ["0.050", "–", "–"]


def test_names_are_shown_as_they_are(plant):
    lines = printed(plant({("[bold]", "correct"): 1.0}, model="a[/b]$x_1$"))
    assert any("[bold]" in line for line in lines)
    assert any("a[/b]$x_1$ · sums" in line for line in lines)


def test_no_rows_print_nothing(plant):
    assert "".join(printed(plant().clear())).strip() == ""


def test_seeds_of_a_condition_are_one_column_with_their_spread(plant):
    first = plant({("none", "correct"): 1.0}).with_columns(seed=pl.lit(0, pl.Int64()))
    second = plant({("none", "correct"): 3.0}).with_columns(
        seed=pl.lit(1, pl.Int64()), point_id=pl.lit("another")
    )
    lines = printed(pl.concat([first, second]))
    assert any(line.split() == ["seeds", "2"] for line in lines)
    assert any(line.split() == ["mean", "Q", "2.0"] for line in lines)
    # Means 1 and 3: half of Student's interval is 12.7 · √2 / √2.
    assert any(line.split() == ["±", "seeds", "Q", "12.7"] for line in lines)
