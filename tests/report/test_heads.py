"""Points with rows of heads: tables and maps of their own, and the same numbers everywhere else."""

from collections.abc import Iterator

import polars as pl
import pytest
from helpers.stored_points import store_point

from gradsweep.doctor.gradients import check_norms, check_projections, layers_with_rows
from gradsweep.records import Axes
from gradsweep.report import write_report
from gradsweep.report.measures import compute_measures
from gradsweep.report.page import prepare_page
from gradsweep.report.page.points import report_points
from gradsweep.store import load_rows
from gradsweep.store.selection import selection
from gradsweep.tracking.wandb.schema import layer_stats


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """None and detailed, correct and irrelevant, with three heads each."""
    results = tmp_path_factory.mktemp("results")
    for cot, level in (("none", 6.0), ("detailed", 2.0)):
        for kind, factor in (("correct", 1.0), ("irrelevant", 1.3)):
            axes = Axes("tiny", "sums", cot, kind)
            store_point(results, f"{cot[0]}{kind[0]}00", axes, level * factor, heads=3)
    return load_rows(results)


@pytest.mark.long
def test_every_table_figure_and_finding_is_that_of_the_whole_matrices(rows, tmp_path):
    with_heads, without = (tmp_path / name for name in ("with", "without"))
    metrics = ["nuclear_norm", "effective_rank"]
    write_report(rows, with_heads, metrics)
    write_report(rows.filter(pl.col("head").is_null()), without, metrics)
    expected, found = ({path.relative_to(folder): _content(path) for path in _files(folder)}
                       for folder in (without, with_heads))  # fmt: skip
    own = {path for path in found if "heads" in path.name}
    # One of the open questions is about heads.
    asked = {path for path in found if "open_questions" in path.name}
    assert {n: c for n, c in found.items() if n not in own | asked} == {
        n: c for n, c in expected.items() if n not in asked
    }
    assert {path.name for path in own - asked} == {
        *("heads.csv", "heads__overlaps.csv", "heads__parts.csv"),
        *(
            f"tiny__sums__{cot}__heads__nuclear_norm.{kind}"
            for cot in ("none", "detailed")
            for kind in ("png", "pdf")
        ),
    }
    heads = pl.read_csv(with_heads / "tables" / "heads.csv")
    assert len(heads) == 2 * 4 * 6 * 3
    assert heads["ratio"].to_list() == pytest.approx([1.3] * len(heads), rel=0.2)


def _content(path) -> bytes:
    return path.read_bytes().split(b"## Open questions")[0]


def _files(folder) -> Iterator:
    return (path for path in folder.rglob("*") if path.is_file())


def test_the_page_has_the_same_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr("time.strftime", lambda *when: "now")
    for cot in ("none", "detailed"):
        store_point(tmp_path, f"{cot}0", Axes("tiny", "sums", cot, "correct"), 1.0, heads=2)
    rows = load_rows(tmp_path)
    pages = []
    for shown in (rows, rows.filter(pl.col("head").is_null())):
        stored = report_points(selection([str(tmp_path)]), shown)
        computed = [compute_measures(shown, "nuclear_norm")]
        prepared = prepare_page(tmp_path / "report", shown, computed, stored)
        pages.append(prepared.write("").read_text())
    assert pages[0] == pages[1]


def test_the_doctor_and_wandb_see_whole_matrices(rows):
    of_point = rows.filter(point_id="nc00")
    whole = of_point.filter(pl.col("head").is_null())
    layers = layers_with_rows(whole, "qkvo")
    assert check_norms(of_point) == check_norms(whole)
    assert check_projections(of_point, layers) == check_projections(whole, layers)
    assert layer_stats(of_point).equals(layer_stats(whole))
