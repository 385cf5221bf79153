"""A whole report: its files, and what it takes to write them."""

import subprocess
import sys
from contextlib import contextmanager

import polars as pl
import pytest

from gradsweep.errors import ConfigError
from gradsweep.report import write_report

SMALL = {("none", "correct"): 4.0, ("none", "irrelevant"): 4.2}


@pytest.fixture
def rows(plant) -> pl.DataFrame:
    return plant(SMALL, projections="q", n_layers=3)


def test_findings_tables_and_figures_are_written(rows, tmp_path):
    written = write_report(rows, tmp_path)
    assert sorted(written) == sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert {str(path.parent.relative_to(tmp_path)) for path in written} == {
        ".",
        "tables",
        "figures",
    }
    assert (tmp_path / "findings.md").read_text().startswith("# Findings")
    statistics = pl.read_csv(tmp_path / "tables" / "statistics.csv")
    assert statistics["metric"].unique().to_list() == ["nuclear_norm"]


@pytest.mark.long
def test_tables_have_the_ratio_beside_the_metrics_of_the_figures(rows, tmp_path):
    rows = rows.with_columns(sigma_ratio=1 / (1 + pl.col("nuclear_norm")))
    write_report(rows, tmp_path, ["effective_rank"])
    statistics = pl.read_csv(tmp_path / "tables" / "statistics.csv")
    assert statistics["metric"].unique(maintain_order=True).to_list() == [
        "effective_rank",
        "sigma_ratio",
    ]
    stems = [path.stem.split("__") for path in (tmp_path / "figures").iterdir()]
    figures = {stem[2] for stem in stems if stem[0] not in ("open_questions", "heads")}
    assert figures == {"effective_rank"}


@pytest.mark.long
def test_a_second_report_replaces_the_first(rows, tmp_path):
    first = write_report(rows, tmp_path)
    content = (tmp_path / "tables" / "statistics.csv").read_text()
    assert write_report(rows.with_columns(pl.col("nuclear_norm") * 2), tmp_path) == first
    assert (tmp_path / "tables" / "statistics.csv").read_text() != content


@pytest.mark.long
def test_every_step_is_counted_to_its_end(rows, tmp_path):
    steps = {}

    @contextmanager
    def track(words, size):
        steps[words] = [size, 0]

        def advance():
            steps[words][1] += 1

        yield advance

    write_report(rows, tmp_path, track=track)
    assert list(steps) == ["numbers", "tables", "claims", "figures"]
    assert all(size == done > 0 for size, done in steps.values())


def test_an_unknown_metric_writes_nothing(rows, tmp_path):
    with pytest.raises(ConfigError, match="metric=nucular_norm"):
        write_report(rows, tmp_path, ["nucular_norm"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_a_report_does_not_import_torch():
    code = (
        "import gradsweep.report.files, gradsweep.report.show, sys; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
