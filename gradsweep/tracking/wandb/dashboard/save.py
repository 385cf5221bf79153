"""Saving to a W&B server: made the first time, changed in place afterwards.

What was saved is remembered in `<results>/wandb/dashboards.json`, by server, project and name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import wandb
import wandb_workspaces.reports.v2.interface as wr
from wandb_workspaces._graphql import execute_graphql
from wandb_workspaces.reports.v2 import gql

from gradsweep.errors import TrackingError
from gradsweep.store.atomic import write_json
from gradsweep.tracking.wandb.dashboard.contents import Contents, Place
from gradsweep.tracking.wandb.dashboard.report import report
from gradsweep.tracking.wandb.dashboard.workspace import workspace
from gradsweep.tracking.wandb.mode import upload_mode

REMEDY = "--dry-run writes the JSON without a server"


@dataclass(frozen=True)
class Saved:
    """A view of the server: a workspace or a report."""

    id: str
    name: str
    """In addresses; empty for a report, whose address has the id."""
    url: str


def record_file(results: Path) -> Path:
    return results / "wandb" / "dashboards.json"


def save(shown: Contents, place: Place, results: Path) -> Iterator[tuple[str, Saved, bool]]:
    """Save both; after each: "workspace" or "report", what it is now, whether it is new.

    A view that somebody has deleted on the server is made again. By-hand changes of a view are
    overwritten.

    Raises:
        TrackingError: no key, no route, no such project, or the server refuses.
    """
    server = _require_server()
    with _readable("opening W&B"):
        api = wandb.Api()
        place = replace(place, entity=place.entity or api.default_entity or "")
        query = {"projectName": place.project, "entityName": place.entity}
        project = execute_graphql(api, gql.projectInternalId, query).get("project")
    if not project:
        raise TrackingError(
            f"{server} has no project {place.entity}/{place.project}: upload runs first "
            "(python -m gradsweep sync), or name it with --project and --entity"
        )
    record = _Record(record_file(results), f"{server}/{place.entity}/{place.project} {place.name}")
    yield "workspace", *_save_workspace(api, shown, place, record)
    yield "report", *_save_report(api, shown, place, record)


class _Record:
    """What was saved earlier under one name."""

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._all: dict[str, dict[str, Any]] = (
            json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        )

    def get(self, api: wandb.Api, kind: str) -> Saved | None:
        """The view that was saved; None when there is none, or when it is gone from the server."""
        known = self._all.get(self._key, {}).get(kind)
        if known is None:
            return None
        with _readable(f"looking for the {kind} {known['url']}"):
            view = execute_graphql(api, gql.view_report, {"reportId": known["id"]}).get("view")
        return Saved(**known) if view else None

    def put(self, kind: str, saved: Saved) -> None:
        self._all.setdefault(self._key, {})[kind] = asdict(saved)
        write_json(self._path, self._all)


def _save_workspace(
    api: wandb.Api, shown: Contents, place: Place, record: _Record
) -> tuple[Saved, bool]:
    view = workspace(shown, place)
    if known := record.get(api, "workspace"):
        view._internal_id, view._internal_name = known.id, known.name
    with _readable("saving the workspace"):
        view.save()
        saved = Saved(view._internal_id, view._internal_name, view.url)
    record.put("workspace", saved)
    return saved, known is None


def _save_report(
    api: wandb.Api, shown: Contents, place: Place, record: _Record
) -> tuple[Saved, bool]:
    document = report(shown, place)
    for block in document.blocks:
        if isinstance(block, wr.PanelGrid):
            for run_set in block.runsets:
                run_set.entity, run_set.project = place.entity, place.project
    if known := record.get(api, "report"):
        document.id = known.id
    with _readable("saving the report"):
        document.save()
        saved = Saved(document.id, "", document.url)
    record.put("report", saved)
    return saved, known is None


def _require_server() -> str:
    """Address of the server; no request is tried where none can succeed."""
    mode = upload_mode()
    if mode.name != "online":
        raise TrackingError(f"a dashboard is saved on a W&B server: {mode.reason}. {REMEDY}")
    # What was saved is told by our own lines.
    return str(wandb.setup(settings=wandb.Settings(silent=True)).settings.base_url)


@contextmanager
def _readable(action: str) -> Iterator[None]:
    """Turn any fault of the client in the block into a TrackingError.

    The client raises classes whose only base is `Exception`, so blocks hold calls of the client
    and nothing that computes values of our own.
    """
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())
        raise TrackingError(
            f"W&B failed while {action} ({type(error).__name__}: {reason}). {REMEDY}"
        ) from error
