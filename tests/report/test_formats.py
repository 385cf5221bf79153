"""Tables as text: what is read back is what was there, whatever the names are."""

import io
import re
from pathlib import Path

import polars as pl
import pytest

from gradsweep.report.formats import (
    ColumnGroup,
    TableFile,
    csv,
    latex,
    latex_text,
    markdown,
    save_table,
)

NASTY = r"50% of $a_b & {c}~^\ #1 <d>|e"


def table(frame: pl.DataFrame, keys: tuple[str, ...] = ("what",), **more) -> TableFile:
    columns = tuple(name for name in frame.columns if name not in keys)
    groups = more.pop("groups", (ColumnGroup("model", columns, columns),))
    return TableFile("name_1", "A caption", keys, groups, frame, **more)


@pytest.fixture
def two_models() -> TableFile:
    frame = pl.DataFrame(
        {
            "statistic": ["mean", "mean", "MAD", "MAD"],
            "cot": ["none", "detailed"] * 2,
            "a q": [10.0, 2.5, 0.5, 0.25],
            "b q": [11.0, None, float("nan"), 0.125],
        }
    )
    groups = (ColumnGroup("a (base)", ("a q",), ("Q",)), ColumnGroup("b", ("b q",), ("Q",)))
    return table(frame, ("statistic", "cot"), groups=groups, quantity="statistic")


def latex_lines(text: str) -> list[list[str]]:
    """Cells of the body, between the rules; an escaped & separates nothing."""
    body = text.split(r"\midrule", 1)[1].split(r"\bottomrule")[0]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)&", line[:-2])] for line in lines]


def test_csv_has_every_digit_and_reads_back(two_models):
    value = 0.1 + 0.2
    found = pl.read_csv(io.StringIO(csv(table(pl.DataFrame({"what": ["x"], "q": [value]})))))
    assert found["q"].to_list() == [value]
    assert pl.read_csv(io.StringIO(csv(two_models)))["b q"].to_list() == [11.0, None, None, 0.125]


def test_a_name_with_a_comma_and_quotes_reads_back():
    frame = pl.DataFrame({"what": ['a, "b"'], "x, y": [1.5]})
    assert pl.read_csv(io.StringIO(csv(table(frame)))).equals(frame)


def test_numbers_of_a_quantity_share_their_decimals_and_gaps_are_dashes(two_models):
    assert [cells[2:] for cells in latex_lines(latex(two_models))] == [
        ["10.0", "11.0"],
        ["2.5", "--"],
        ["0.50", "--"],
        ["0.25", "0.12"],
    ]


def test_repeated_keys_are_left_empty_and_blocks_set_apart(two_models):
    text = latex(two_models)
    assert [cells[:2] for cells in latex_lines(text)] == [
        ["mean", "none"],
        ["", "detailed"],
        ["MAD", "none"],
        ["", "detailed"],
    ]
    assert text.count(r"\midrule") == 2


def test_latex_is_balanced_and_every_line_has_the_same_cells(two_models):
    for shown in (two_models, table(pl.DataFrame({"what": [NASTY], NASTY: [1.0]}))):
        text = latex(shown)
        environments = re.findall(r"\\(begin|end)\{(\w+\*?)\}", text)
        assert environments == [
            ("begin", "table*"),
            ("begin", "tabular"),
            ("end", "tabular"),
            ("end", "table*"),
        ]
        unescaped = re.sub(r"\\.", "", text)
        assert unescaped.count("{") == unescaped.count("}")
        assert unescaped.count("$") % 2 == 0
        columns = re.search(r"begin\{tabular\}\{(\w+)\}", text)
        assert columns is not None
        assert {len(cells) for cells in latex_lines(text)} == {len(columns[1])}
        assert text.isascii()


def test_rules_below_the_models_cover_their_columns(two_models):
    assert r"\cmidrule(lr){3-3} \cmidrule(lr){4-4}" in latex(two_models)
    assert r"\multicolumn{1}{c}{a (base)} & \multicolumn{1}{c}{b} \\" in latex(two_models)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("smollm2_135m", r"smollm2\_135m"),
        ("50% & #1 {x}", r"50\% \& \#1 \{x\}"),
        ("a\\b~c^d", r"a\textbackslash{}b\textasciitilde{}c\textasciicircum{}d"),
        ("norm Σσ: 1–2", r"norm $\Sigma \sigma $: 1--2"),
        ("√Σσ²", r"$\surd \Sigma \sigma ^2$"),
        ("cost $5", r"cost \$5"),
    ],
)
def test_characters_that_latex_would_read(text, expected):
    assert latex_text(text) == expected


def test_powers_of_ten_are_set_as_such():
    text = latex(table(pl.DataFrame({"what": ["x", "y"], "q": [2e-5, -3e-7]})))
    assert [cells[1] for cells in latex_lines(text)] == [
        r"$2.0\cdot10^{-5}$",
        r"$-3.0\cdot10^{-7}$",
    ]


def markdown_cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def test_markdown_columns(two_models):
    caption, empty, heading, rule, *body = markdown(two_models).splitlines()
    assert (caption, empty) == ("A caption", "")
    assert markdown_cells(heading) == ["statistic", "cot", "Q<br>a (base)", "Q<br>b"]
    assert markdown_cells(rule) == ["---", "---", "---:", "---:"]
    assert [markdown_cells(line) for line in body] == [
        ["mean", "none", "10.0", "11.0"],
        ["mean", "detailed", "2.5", "–"],
        ["MAD", "none", "0.50", "–"],
        ["MAD", "detailed", "0.25", "0.12"],
    ]


def test_a_name_cannot_break_a_markdown_table():
    text = markdown(table(pl.DataFrame({"what": [NASTY], NASTY: [1.0]})))
    assert {len(markdown_cells(line)) for line in text.splitlines()[2:]} == {2}
    assert "<d>" not in text.replace(r"\<d\>", "")


def test_integers_and_text_are_shown_as_they_are():
    frame = pl.DataFrame({"what": ["x", "y"], "n": [3, None], "layers": ["4 1", ""]})
    assert [markdown_cells(line) for line in markdown(table(frame)).splitlines()[4:]] == [
        ["x", "3", "4 1"],
        ["y", "–", "–"],
    ]


def test_files_that_say_the_same_are_not_written_again(two_models: TableFile, tmp_path: Path):
    def written() -> list[int]:
        return [path.stat().st_ino for path in save_table(two_models, tmp_path)]

    before = written()
    assert len(set(before)) == 3
    assert written() == before
    (tmp_path / "name_1.md").write_text("another table")
    assert [now == old for now, old in zip(written(), before, strict=True)] == [True, False, True]
    assert (tmp_path / "name_1.md").read_text() == markdown(two_models)
