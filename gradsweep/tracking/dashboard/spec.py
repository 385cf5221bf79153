"""Workspace and report as the JSON that W&B stores, without a server, a key or a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces.reports.v2 import internal

from gradsweep.store.atomic import write_json


def workspace_spec(view: ws.Workspace) -> dict[str, Any]:
    """Exactly what `save` sends."""
    return _plain(view._to_model().spec)


def report_spec(document: wr.Report) -> dict[str, Any]:
    """What `save` sends but for the number of the project in run sets, which the server knows."""
    model = document._to_model()
    project = internal.Project(name=document.project, entity_name=document.entity)
    for block in model.spec.blocks:
        if isinstance(block, internal.PanelGrid):
            for run_set in block.metadata.run_sets:
                run_set.project = project
    return _plain(model.spec)


def write_specs(view: ws.Workspace, document: wr.Report, folder: Path) -> list[Path]:
    """`workspace.json` and `report.json`; raises StoreError when they cannot be written."""
    named = {"entity": view.entity, "project": view.project, "displayName": view.name}
    written = []
    for name, spec in (("workspace", workspace_spec(view)), ("report", report_spec(document))):
        path = folder / f"{name}.json"
        write_json(path, named | {"spec": spec})
        written.append(path)
    return written


def _plain(spec: Any) -> dict[str, Any]:
    found = json.loads(spec.model_dump_json(by_alias=True, exclude_none=True))
    assert isinstance(found, dict)
    return found
