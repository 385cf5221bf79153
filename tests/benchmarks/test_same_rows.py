"""`python -m benchmarks.same_rows`: what counts as the same, and what it says when it is not."""

from __future__ import annotations

import math
import shutil
import struct
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.row_differences import differences, largest_relative_difference, same_bits
from benchmarks.same_rows import main, report

Captured = pytest.CaptureFixture[str]

ROWS = pl.DataFrame(
    {
        "case": ["llama"] * 4,
        "sample": [0, 0, 1, 1],
        "layer": [0, 1, 0, 1],
        "sigma_max": [1.0, math.nan, 3.0, None],
        "singular_values": [[2.0, 1.0], [], [math.nan], None],
        "solver": ["svd", None, "svd", "token_gram"],
        "rank": [1, 2, 3, 4],
        "seconds": [0.1, 0.2, 0.3, 0.4],
    }
)


def with_value(column: str, line: int, value: object) -> pl.DataFrame:
    values = ROWS[column].to_list()
    values[line] = value
    return ROWS.with_columns(pl.Series(column, values, dtype=ROWS[column].dtype))


def test_the_same_numbers_are_the_same_in_any_order_and_whatever_they_took() -> None:
    other = ROWS.reverse().with_columns(seconds=pl.lit(9.0))
    found = differences(ROWS, other)
    assert not found.changed
    assert not found.forbidden(())
    assert (found.n_rows, len(found.columns)) == (4, 4)
    assert list(report("rows", found, ())) == ["rows: 4 rows, 4 columns: identical"]


@pytest.mark.parametrize(
    ("column", "line", "value"),
    [
        ("sigma_max", 0, math.nextafter(1.0, 2.0)),
        ("sigma_max", 1, None),
        ("sigma_max", 3, math.nan),
        ("singular_values", 0, [2.0, math.nextafter(1.0, 0.0)]),
        ("singular_values", 0, [2.0]),
        ("singular_values", 1, None),
        ("singular_values", 3, []),
        ("solver", 0, "token_gram"),
        ("solver", 1, ""),
        ("rank", 2, 4),
    ],
)
def test_the_smallest_difference_is_found(column: str, line: int, value: object) -> None:
    found = differences(ROWS, with_value(column, line, value))
    assert list(found.changed) == found.forbidden(()) == [column]
    changed = found.changed[column]
    assert changed.select("case", "sample", "layer").equals(
        ROWS.select("case", "sample", "layer")[line]
    )
    assert not found.forbidden([column])


def test_zero_has_a_sign_and_nan_has_no_content() -> None:
    quiet, other = (struct.unpack("<d", struct.pack("<Q", 0x7FF8 << 48 | i))[0] for i in (0, 1))
    base = pl.Series(np.array([0.0, quiet, 1.0]))
    head = pl.Series(np.array([-0.0, other, 1.0]))
    assert same_bits(base, head).to_list() == [False, True, True]
    assert same_bits(base.cast(pl.Float32), head.cast(pl.Float32)).to_list() == [False, True, True]


def test_another_type_is_another_column() -> None:
    found = differences(ROWS, ROWS.with_columns(pl.col("rank").cast(pl.Float64)))
    assert len(found.changed["rank"]) == 4


def test_columns_of_one_side_are_listed() -> None:
    head = ROWS.drop("solver").with_columns(head=pl.lit(None, pl.Int32), extra=pl.lit(1.0))
    found = differences(ROWS, head)
    assert found.added == ("head (null)", "extra")
    assert found.lost == ("solver",)
    assert found.forbidden(()) == ["solver"], "what is lost is a change, what is added is not"
    assert not found.forbidden(["solver"])
    text = "\n".join(report("rows", found, ()))
    assert "only in head: head (null), extra" in text
    assert "only in base: solver" in text


@pytest.mark.parametrize("fewer_in_base", [True, False])
def test_lines_of_one_side_are_counted_and_never_allowed(fewer_in_base: bool) -> None:
    base, head = (ROWS[1:], ROWS) if fewer_in_base else (ROWS, ROWS[1:])
    found = differences(base, head)
    assert found.n_rows == 3
    assert not found.changed
    assert found.forbidden(ROWS.columns)
    side = "head" if fewer_in_base else "base"
    assert f"1 rows only in {side}" in "\n".join(report("rows", found, ()))


def test_a_key_that_does_not_tell_lines_apart_is_an_error() -> None:
    with pytest.raises(ValueError, match="case, sample, layer do not tell lines apart"):
        differences(ROWS, pl.concat([ROWS, ROWS[:1]]))


def test_heads_tell_lines_apart_also_where_there_are_none() -> None:
    heads = ROWS.with_columns(head=pl.Series([0, 0, 1, None], dtype=pl.Int32))
    base = pl.concat([heads, ROWS.with_columns(head=pl.lit(7, pl.Int32))])
    assert not differences(base, base.reverse()).changed
    assert differences(base, base).n_rows == 8


def test_a_changed_column_is_summed_up_with_an_example_and_an_allowed_one_line_by_line() -> None:
    head = ROWS.with_columns(pl.col("rank") * 2, pl.col("sigma_max") * 1.5)
    lines = list(report("rows", differences(ROWS, head), ["rank"]))
    assert lines[0] == "rows: 4 rows, 4 columns: DIFFERENT"
    (rank,) = (line for line in lines if line.startswith("  rank"))
    assert rank == "  rank: 4 of 4 rows, by at most 1 of the base's value: allowed"
    assert "    case=llama sample=1 layer=1: 4 -> 8" in lines
    (sigma,) = (line for line in lines if line.startswith("  sigma_max"))
    assert sigma == "  sigma_max: 2 of 4 rows, by at most 0.5 of the base's value: NOT ALLOWED"
    assert "    case=llama sample=0 layer=0: 1.0 -> 1.5" in lines
    assert "    … and 1 more" in lines


def test_a_relative_difference_is_of_numbers() -> None:
    changed = pl.DataFrame({"base": [2.0, math.nan, None], "head": [1.0, 5.0, 1.0]})
    assert largest_relative_difference(changed) == 0.5
    assert largest_relative_difference(changed.cast(pl.String)) is None


# --- the command, on checkouts that need neither weights nor torch


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A package with gradsweep's public names, whose ids are the overrides themselves."""
    package = tmp_path / "base" / "gradsweep"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "class GradsweepError(Exception): pass\n"
        "def compose(*overrides):\n"
        "    if 'cot=missing' in overrides: raise GradsweepError\n"
        "    return overrides\n"
    )
    (package / "identity.py").write_text("def point_id(config): return ' '.join(config)\n")
    conf = tmp_path / "base" / "conf"
    for group, name, text in (
        ("model", "qwen", ""),
        ("experiment", "grid", "hydra: {sweeper: {params: {model: qwen, cot: 'none, missing'}}}"),
    ):
        (conf / group).mkdir(parents=True)
        (conf / group / f"{name}.yaml").write_text(text)
    return tmp_path / "base"


def changed_copy(checkout: Path, code: str) -> Path:
    head = checkout.with_name("head")
    shutil.copytree(checkout, head)
    (head / "gradsweep" / "identity.py").write_text(code)
    return head


def test_a_checkout_is_identical_to_itself(checkout: Path, capsys: Captured) -> None:
    assert main([str(checkout), str(checkout), "--parts", "ids"]) == 0
    out = capsys.readouterr().out.splitlines()
    # Six of the demo, the experiment's two and itself, one model.
    assert out == [
        "ids of points, local_models: 2 rows, 2 columns: identical",
        "ids of points, points: 10 rows, 2 columns: identical",
        "identical, as far as it was measured",
    ]


def test_one_id_that_moves_fails_and_is_named(checkout: Path, capsys: Captured) -> None:
    head = changed_copy(
        checkout, "def point_id(config): return ' '.join(config).replace('l=qwen c', 'l=qwen  c')\n"
    )
    kept = checkout.with_name("kept")
    command = [str(checkout), str(head), "--parts", "ids", "--keep", str(kept)]
    assert main(command) == 1
    out = capsys.readouterr().out
    assert "point_id: 2 of 10 rows: NOT ALLOWED" in out
    assert "cot=none: '+experiment=grid model=qwen cot=none' -> '+experiment=grid" in out
    assert main([*command, "--allow", "point_id"]) == 0
    assert "point_id: 2 of 10 rows: allowed" in capsys.readouterr().out
    assert (
        pl.read_parquet(kept / "head" / "ids.points.parquet")["refusal"]
        .to_list()
        .count("GradsweepError")
        == 1
    )


def test_ids_of_local_models_may_differ_and_are_listed(checkout: Path, capsys: Captured) -> None:
    head = changed_copy(
        checkout,
        "def point_id(config): return ' '.join(config).replace('model=gguf', 'content=gguf')\n",
    )
    assert main([str(checkout), str(head), "--parts", "ids"]) == 0
    out = capsys.readouterr().out
    assert "ids of points, local_models: 2 rows, 2 columns: DIFFERENT" in out
    assert "point_id: 1 of 2 rows: allowed" in out


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise RuntimeError('out of ideas')\n", "ended with status 1:.*out of ideas"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n", "ended with status -9"),
    ],
)
def test_a_side_that_fails_ends_the_comparison(checkout: Path, code: str, expected: str) -> None:
    with pytest.raises(SystemExit, match=f"(?s){expected}"):
        main([str(checkout), str(changed_copy(checkout, code)), "--parts", "ids"])


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["no-such-commit"], "no-such-commit is no commit here"),
        ([".", "--parts", "ids,demos"], "demos unknown; there are ids, families, golden, demo"),
        ([".", "--samples", "0"], "--samples must be at least 1, got 0"),
    ],
)
def test_bad_arguments_are_named(command: list[str], expected: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as end:
        main(command)
    assert expected in capsys.readouterr().err + str(end.value.code)
