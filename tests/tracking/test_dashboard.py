"""Workspace and report as JSON: what they ask, of which runs, in which words and colours."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from helpers.stored_points import store_point

from gradsweep.errors import ConfigError, DataError
from gradsweep.records import Axes
from gradsweep.store.selection import selection
from gradsweep.tracking.wandb.dashboard import (
    Contents,
    Place,
    contents,
    place_of,
    report,
    workspace,
)
from gradsweep.tracking.wandb.dashboard.spec import report_spec, workspace_spec

METRICS = ("nuclear_norm", "effective_rank")
PLACE = Place("tests", "local", "mine")
ONE_MODEL = Contents(
    model=("tiny",),
    dataset=("gsm8k",),
    cot=("none", "detailed"),
    correctness=("correct", "irrelevant"),
    projections=("q", "v"),
    metrics=METRICS,
)
GRID = replace(ONE_MODEL, model=("tiny", "small", "big"), dataset=("gsm8k", "aqua"))


def sections(shown: Contents) -> dict[str, list[dict[str, Any]]]:
    """Section of the workspace -> its panels."""
    spec = workspace_spec(workspace(shown, PLACE))
    return {s["name"]: s["panels"] for s in spec["section"]["panelBankConfig"]["sections"]}


def run_set(shown: Contents) -> dict[str, Any]:
    (found,) = workspace_spec(workspace(shown, PLACE))["section"]["runSets"]
    return dict(found)


def grids(shown: Contents) -> dict[str, dict[str, Any]]:
    """Name of its run set -> the metadata of a report's panel grid."""
    blocks = report_spec(report(shown, PLACE))["blocks"]
    found = [block["metadata"] for block in blocks if block["type"] == "panel-grid"]
    return {grid["runSets"][0]["name"]: grid for grid in found}


def panels(grid: dict[str, Any]) -> list[dict[str, Any]]:
    return list(grid["panelBankSectionConfig"]["panels"])


def filters(run_set: dict[str, Any]) -> dict[str, Any]:
    """Filtered key -> what it may be; all of them must hold."""
    items = run_set["filters"]["filters"]
    assert {item.get("connector", "AND") for item in items} <= {"AND"}
    assert {item["op"] for item in items} <= {"IN", "="}
    return {f"{item['key']['section']}:{item['key']['name']}": item["value"] for item in items}


def test_curves_of_every_metric_and_projection_run_over_layers() -> None:
    lines = [
        panel["config"]
        for panel in itertools.chain(*sections(ONE_MODEL).values())
        if panel["viewType"] == "Run History Line Plot"
    ]
    drawn = {(line["xAxis"], *line["metrics"]) for line in lines}
    curves = {("layer", f"layer_{metric}_{p}") for metric in METRICS for p in "qv"}
    rd = {("layer", f"layer_rd_nuclear_norm_{p}") for p in "qv"}
    live = {("sample", name) for name in ("s_loss", "s_nuclear_norm_q", "s_nuclear_norm_v")}
    assert drawn == curves | rd | live
    assert {(line["smoothingType"], line["smoothingWeight"]) for line in lines} == {("none", 0)}


def test_a_line_is_a_condition_and_rd_has_one_line_for_a_pair() -> None:
    grouping = [key["name"] for key in run_set(ONE_MODEL)["grouping"]]
    assert grouping == ["cot.value", "correctness.value"]
    for panel in itertools.chain(*sections(ONE_MODEL).values()):
        names = " ".join(panel["config"].get("metrics", []))
        assert panel["config"].get("groupBy") == ("cot.value" if "rd_" in names else None)


def test_models_and_datasets_have_sections_where_there_are_several() -> None:
    assert not [name for name in sections(ONE_MODEL) if name.startswith(("Models", "Datasets"))]
    found = sections(GRID)
    for axis, begins in (("model", "Models"), ("dataset", "Datasets")):
        (section,) = (found[name] for name in found if name.startswith(begins))
        assert {panel["config"]["groupBy"] for panel in section} == {f"{axis}.value"}


def test_a_section_of_the_report_shows_only_its_model_or_dataset() -> None:
    found = grids(GRID)
    sections_of = {
        (axis, value): filters(found[f"{axis} {value}"]["runSets"][0])
        for axis in ("model", "dataset")
        for value in getattr(GRID, axis)
    }
    assert sections_of == {
        (axis, value): {f"config:{axis}": [value]}
        for axis in ("model", "dataset")
        for value in getattr(GRID, axis)
    }
    assert filters(found["all runs"]["runSets"][0]) == {}
    assert filters(found["running"]["runSets"][0]) == {"run:state": "running"}
    assert not [name for name in grids(ONE_MODEL) if name.startswith("dataset")]


def test_means_over_several_models_are_never_silent() -> None:
    def told(shown: Contents) -> bool:
        return "means over" in json.dumps(sections(shown)["Overview"])

    assert told(GRID)
    assert not told(ONE_MODEL)


def test_without_irrelevant_responses_there_is_no_rd() -> None:
    alone = replace(ONE_MODEL, correctness=("correct",))
    specs = [workspace_spec(workspace(alone, PLACE)), report_spec(report(alone, PLACE))]
    assert "rd_nuclear_norm" in json.dumps(sections(ONE_MODEL))
    assert "rd_nuclear_norm" not in json.dumps(specs)


def test_the_run_table_begins_with_the_axes() -> None:
    axes = [f"config:{axis}.value" for axis in ("model", "dataset", "cot", "correctness")]
    everywhere = [run_set(GRID), *(grid["runSets"][0] for grid in grids(GRID).values())]
    for table in everywhere:
        feed = table["runFeed"]
        assert feed["columnOrder"][:5] == ["run:displayName", *axes]
        assert all(feed["columnPinned"][name] for name in feed["columnOrder"][:5])
        assert {"summary:nuclear_norm_mean_q", "summary:mad_nuclear_norm_v"} <= set(
            feed["columnOrder"]
        )


def test_a_level_has_the_same_colour_everywhere_and_irrelevant_is_paler() -> None:
    spec = workspace_spec(workspace(GRID, PLACE))["section"]
    assigned = [spec["customRunColors"], *(g["customRunColors"] for g in grids(GRID).values())]
    colours = {
        condition: {
            colour
            for found in assigned
            for key, colour in found.items()
            if condition == coloured(key)
        }
        for condition in itertools.product(GRID.cot, GRID.correctness)
    }
    assert {len(found) for found in colours.values()} == {1}
    assert len(set.union(*colours.values())) == 4
    for cot in GRID.cot:
        (plain,), (pale,) = colours[cot, "correct"], colours[cot, "irrelevant"]
        assert all(a <= b for a, b in zip(rgb(plain), rgb(pale), strict=True))


def coloured(key: str) -> tuple[str, ...]:
    """The values of the group that a colour is of, in a workspace's or a report's spelling."""
    if key.startswith("run-color-group:"):
        path = json.loads(unquote(key.split(":")[2]))
        return tuple(entry["value"] for entry in path)
    return tuple(part.rsplit(":", 1)[1] for part in key.split("-")[1:])


def rgb(colour: str) -> bytes:
    return bytes.fromhex(colour.removeprefix("#"))


def test_panels_of_a_report_do_not_overlap_and_fit_the_page() -> None:
    wide = replace(GRID, projections=("q", "k", "v", "o", "gate", "up", "down"))
    for grid in grids(wide).values():
        taken: set[tuple[int, int]] = set()
        for box in (panel["layout"] for panel in panels(grid)):
            cells = set(
                itertools.product(
                    range(box["x"], box["x"] + box["w"]), range(box["y"], box["y"] + box["h"])
                )
            )
            assert not cells & taken
            assert max(x for x, _ in cells) < 24
            taken |= cells


def test_panels_have_titles_of_their_own() -> None:
    for found in (*sections(GRID).values(), *map(panels, grids(GRID).values())):
        titles = [panel["config"].get("chartTitle") for panel in found]
        named = [title for title in titles if title]
        assert len(set(named)) == len(named)
        assert not any("_" in title for title in named)


def test_the_same_contents_are_the_same_json() -> None:
    def both() -> tuple[dict[str, Any], dict[str, Any]]:
        return workspace_spec(workspace(GRID, PLACE)), report_spec(report(GRID, PLACE))

    assert both() == both()
    ids = list(_ids(both()))
    assert len(ids) > 50
    assert len(set(ids)) == len(ids)


def _ids(spec: Any) -> Iterator[str]:
    if isinstance(spec, dict):
        yield from (spec[key] for key in ("__id__", "id") if isinstance(spec.get(key), str))
    parts = (
        spec.values() if isinstance(spec, dict) else spec if isinstance(spec, list | tuple) else ()
    )
    for part in parts:
        yield from _ids(part)


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


def test_values_are_filtered_on_as_they_are_or_refused() -> None:
    named = replace(ONE_MODEL, model=("it's my-model 2",), chosen=("model",))
    assert filters(run_set(named)) == {"config:model": ["it's my-model 2"]}
    with pytest.raises(ConfigError, match="model='a=b'"):
        workspace(replace(named, model=("a=b",)), PLACE)


def test_a_place_is_as_the_points_were_tracked_unless_told(stored: Path) -> None:
    chosen = selection([str(stored)])
    assert place_of(chosen, None, None, None) == Place("gradsweep", "", "gradsweep")
    assert place_of(chosen, "p", "e", "n") == Place("p", "e", "n")
    config = stored / "points" / "point0" / "config.yaml"
    config.write_text(
        config.read_text().replace("config: {}", "config: {tracking: {project: other}}")
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


def test_objectives_are_told_where_there_are_several_and_else_not():
    several = replace(GRID, objective=("sft", "dpo"), correctness=("correct", "irrelevant", "pair"))
    assert "Objectives, each averaged over its conditions" in sections(several)
    assert "config:objective.value" in json.dumps(run_set(several))
    assert "objective" not in json.dumps(run_set(GRID))
    assert any(name.startswith("objective dpo") for name in grids(several))
