"""Workspace and report as JSON: what they ask, of which runs, in which words and colours."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest
from helpers.dashboard_specs import (
    GRID,
    METRICS,
    ONE_MODEL,
    PLACE,
    filters,
    grids,
    panels,
    run_set,
    sections,
)

from gradsweep.errors import ConfigError
from gradsweep.tracking.wandb.dashboard import Contents, report, workspace
from gradsweep.tracking.wandb.dashboard.spec import report_spec, workspace_spec


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


def test_values_are_filtered_on_as_they_are_or_refused() -> None:
    named = replace(ONE_MODEL, model=("it's my-model 2",), chosen=("model",))
    assert filters(run_set(named)) == {"config:model": ["it's my-model 2"]}
    with pytest.raises(ConfigError, match="model='a=b'"):
        workspace(replace(named, model=("a=b",)), PLACE)


def test_objectives_are_told_where_there_are_several_and_else_not():
    several = replace(GRID, objective=("sft", "dpo"), correctness=("correct", "irrelevant", "pair"))
    assert "Objectives, each averaged over its conditions" in sections(several)
    assert "config:objective.value" in json.dumps(run_set(several))
    assert "objective" not in json.dumps(run_set(GRID))
    assert any(name.startswith("objective dpo") for name in grids(several))
