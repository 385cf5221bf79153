"""What a dashboard is of, and where it will be: read from stored points, or refused."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from helpers.dashboard_specs import METRICS, filters, run_set
from helpers.stored_points import store_point

from gradsweep.errors import ConfigError, DataError
from gradsweep.records import Axes
from gradsweep.store.selection import selection
from gradsweep.tracking.wandb.dashboard import Place, contents, place_of


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Two models, two levels; a second seed of one point."""
    results = tmp_path / "results"
    for number, (model, cot) in enumerate(itertools.product(("b", "a"), ("detailed", "none"))):
        store_point(results, f"point{number}", Axes(model, "gsm8k", cot, "correct"), 1.0)
    store_point(results, "point9", Axes("a", "gsm8k", "none", "correct"), 1.0, seed=1)
    return results


def test_contents_are_the_values_that_runs_have_in_reading_order(stored: Path) -> None:
    found = contents(selection([str(stored)]), METRICS)
    assert (found.model, found.cot) == (("a", "b"), ("none", "detailed"))
    assert (found.projections, found.metrics) == (("q", "k", "v", "o"), METRICS)
    assert not found.has_pairs
    assert filters(run_set(found)) == {}


def test_filters_reach_the_run_table(stored: Path) -> None:
    found = contents(selection([str(stored), "model=a", "cot=none,detailed"]), METRICS)
    assert filters(run_set(found)) == {"config:model": ["a"], "config:cot": ["none", "detailed"]}
    assert found.model == ("a",)


def test_a_sweep_is_its_points_whoever_measured_them(stored: Path) -> None:
    manifest = stored / "sweeps" / "mine" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    ids = ["point0", "point1", "not-started"]
    manifest.write_text(json.dumps({"points": [{"point_id": name} for name in ids]}))
    found = contents(selection([str(manifest.parent)]), METRICS)
    assert found.model == ("b",)
    assert filters(run_set(found)) == {"run:name": ids}
    assert place_of(selection([str(manifest.parent)]), None, None, None).name == "gradsweep mine"


def test_a_sweep_without_a_stored_point_is_said(stored: Path) -> None:
    manifest = stored / "sweeps" / "mine" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"points": [{"point_id": "not-started"}]}))
    with pytest.raises(DataError, match="no point of sweep mine is stored yet"):
        contents(selection([str(manifest.parent)]), METRICS)


def test_a_place_is_as_the_points_were_tracked_unless_told(stored: Path) -> None:
    chosen = selection([str(stored)])
    assert place_of(chosen, None, None, None) == Place("gradsweep", "", "gradsweep")
    assert place_of(chosen, "p", "e", "n") == Place("p", "e", "n")
    config = stored / "points" / "point0" / "config.yaml"
    config.write_text(
        config.read_text().replace(
            "config: {}", "config: {tracking: {project: other}, sweep: mine}"
        )
    )
    with pytest.raises(ConfigError, match=r"--project: .*\(gradsweep, other\)"):
        place_of(chosen, None, None, None)


@pytest.mark.parametrize("name", ["a=b", "", "x" * 129, "a/b"])
def test_names_that_wandb_refuses_are_refused_here(stored: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="--name"):
        place_of(selection([str(stored)]), None, None, name or "=")


def test_metrics_that_were_not_measured_are_refused(stored: Path) -> None:
    with pytest.raises(ConfigError, match=r"cosine_partner .* gradients.similarities=true"):
        contents(selection([str(stored)]), ("cosine_partner",))


def test_nothing_stored_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no results"):
        contents(selection([str(tmp_path)]), METRICS)
