"""Contents of a dashboard, and what the JSON of its workspace and report asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gradsweep.tracking.wandb.dashboard import Contents, Place, report, workspace
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
