"""A metric of the user's own in everything that shows metrics, and the error where it is not."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import polars as pl
import pytest
from helpers.stored_points import store_point

from gradsweep.cli import main
from gradsweep.errors import ConfigError
from gradsweep.records import METRICS, Axes
from gradsweep.store import PointPaths, load_rows
from gradsweep.store.selection import selection

Captured = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("wide_terminal")

RESULTS = Path("results")


@pytest.fixture
def stored(wide_terminal: None) -> Path:
    """Two points with a metric of one's own, one of them with heads too, and one without."""
    for cot, value, heads in (("none", 7.0, 2), ("detailed", 3.5, 0)):
        axes = Axes("my model", "sums", cot, "correct")
        own = {"my_metric": value}
        store_point(RESULTS, f"{cot}00", axes, 1.0, own_metrics=own, heads=heads)
    store_point(RESULTS, "other00", Axes("other", "sums", "none", "correct"), 1.0)
    return RESULTS


def test_rows_keep_it_and_points_without_it_have_null(stored: Path):
    rows = load_rows(stored)
    of_point = {name: group for (name,), group in rows.group_by("point_id")}
    assert of_point["none00"]["my_metric"].unique().to_list() == [7.0]
    assert of_point["other00"]["my_metric"].unique().to_list() == [None]
    assert of_point["none00"]["head"].unique().sort().to_list() == [None, 0, 1]


def test_a_file_from_before_heads_reads_as_whole_matrices(stored: Path):
    paths = PointPaths(stored, "other00")
    pl.read_parquet(paths.rows).drop("head").write_parquet(paths.rows)
    paths.done.write_text("{}")  # its checksums are of another file
    assert load_rows(stored, ["other00"])["head"].to_list() == [None] * 240


@pytest.mark.long
def test_report_shows_it_in_terminal_tables_and_page(stored: Path, capsys: Captured):
    assert main(["report", "--metric", "my_metric", "model=my model"]) == 0
    shown = capsys.readouterr().out
    assert "my model · sums · my metric" in shown
    assert re.search(r"mean +Q +7\.0 +3\.5", shown)
    folder = stored / "reports" / "all__model=my model"
    tables = {path.name for path in (folder / "tables").iterdir()}
    assert "my-model__sums__my_metric.csv" in tables
    text = (folder / "index.html").read_text(encoding="utf-8")
    page = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])  # type: ignore[index]
    assert "my_metric" in {one["key"] for one in page["metrics"]}


@pytest.mark.long
def test_the_page_has_it_unasked(stored: Path):
    assert main(["report"]) == 0
    text = (stored / "reports" / "all" / "index.html").read_text(encoding="utf-8")
    assert '"my_metric":[' in text


def test_compare_takes_it(stored: Path, capsys: Captured):
    assert (
        main(["compare", "cot=none,model=my model", "cot=detailed", "--metric", "my_metric"]) == 0
    )
    assert "0.50 times the mean my metric of none" in capsys.readouterr().out


@pytest.mark.parametrize("verb", [["report"], ["compare", "none00", "detailed00"]])
def test_a_metric_that_is_not_stored_is_one_clear_error(
    verb: list[str], stored: Path, capsys: Captured
):
    assert main([*verb, "--metric", "my_metrik"]) == 1
    message = capsys.readouterr().err
    assert message.count("error:") == 1
    assert "metric=my_metrik is not in the rows; allowed are nuclear_norm" in message
    assert "my_metric" in message


def test_wandb_names_it_and_dashboards_take_it(stored: Path):
    from gradsweep.tracking.wandb.dashboard.contents import contents
    from gradsweep.tracking.wandb.schema import layer_stats, layer_values

    stats = layer_stats(load_rows(stored, ["none00"]))
    assert layer_values(stats, {})[0]["layer_my_metric_q"] == 7.0
    shown = contents(selection([]), ("nuclear_norm", "my_metric"))
    assert shown.metrics == ("nuclear_norm", "my_metric")
    with pytest.raises(ConfigError, match=r"metric=mine is not in these results.*my_metric"):
        contents(selection([]), ("mine",))


def test_heads_do_not_change_what_wandb_gets_of_a_sample(stored: Path):
    from gradsweep.store import load_samples_table
    from gradsweep.tracking.wandb.schema import sample_values

    rows, samples = load_rows(stored, ["none00"]), load_samples_table(stored, ["none00"])
    whole = rows.filter(pl.col("head").is_null())
    assert sample_values(samples, rows) == sample_values(samples, whole)
    assert sample_values(samples, rows)[0]["s_my_metric_q"] == 7.0


def test_own_metrics_never_shadow_those_of_the_package(stored: Path):
    from gradsweep.store.frames import metric_columns

    assert metric_columns(load_rows(stored)) == (*METRICS, "my_metric")
    assert math.isfinite(load_rows(stored, ["none00"])["my_metric"][0])
