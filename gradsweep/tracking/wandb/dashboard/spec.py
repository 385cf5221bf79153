"""Workspace and report as the JSON that W&B stores, without a server, a key or a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import wandb_workspaces.reports.v2.interface as wr
import wandb_workspaces.workspaces.interface as ws
from wandb_workspaces.reports.v2 import internal

from gradsweep.store.atomic import write_json
from gradsweep.tracking.wandb.dashboard.contents import Contents, Place
from gradsweep.tracking.wandb.dashboard.report import report
from gradsweep.tracking.wandb.dashboard.workspace import workspace


def workspace_spec(view: ws.Workspace) -> dict[str, Any]:
    """Exactly what `save` sends."""
    return _plain(view._to_model().spec)


def report_spec(document: wr.Report) -> dict[str, Any]:
    """Return what `save` sends but for the project's number in run sets, which the server knows."""
    model = document._to_model()
    project = internal.Project(name=document.project, entity_name=document.entity)
    for block in model.spec.blocks:
        if isinstance(block, internal.PanelGrid):
            for run_set in block.metadata.run_sets:
                run_set.project = project
    return _plain(model.spec)


def write_specs(shown: Contents, place: Place, folder: Path) -> list[Path]:
    """`workspace.json` and `report.json`; raises StoreError when they cannot be written."""
    specs = {
        "workspace": workspace_spec(workspace(shown, place)),
        "report": report_spec(report(shown, place)),
    }
    named = {"entity": place.entity, "project": place.project, "displayName": place.name}
    paths = []
    for name, spec in specs.items():
        paths.append(folder / f"{name}.json")
        write_json(paths[-1], named | {"spec": spec})
    return paths


def _plain(spec: Any) -> dict[str, Any]:
    plain = json.loads(spec.model_dump_json(by_alias=True, exclude_none=True))
    assert isinstance(plain, dict)
    return plain
