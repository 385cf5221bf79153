"""GraphQL operations of saved workspaces and reports, as `wandb-workspaces` sends them."""

from __future__ import annotations

import uuid
from typing import Any

from wandb_receiver.operations import Answer, Operations, Variables
from wandb_receiver.runs import opaque

_FIELDS = ("id", "type", "name", "displayName", "description", "spec", "project")


class ViewOperations(Operations):
    """Workspaces and reports are views: `type` is `project-view` or `runs`."""

    def __init__(self, url: str, entity: str) -> None:
        super().__init__(url, entity)
        self.views: dict[str, dict[str, Any]] = {}
        """View id -> its fields; `spec` is JSON text."""
        self.absent: set[str] = set()
        """Projects that are not there; any other name is one."""

    def do_UpsertView2(self, v: Variables) -> Answer:
        identity = v.get("id") or opaque("View", uuid.uuid4())
        inserted = identity not in self.views
        project = {"id": opaque("Project", v.get("projectName")), "name": v.get("projectName")}
        project["entityName"] = v.get("entityName")
        given = {name: v[name] for name in _FIELDS if v.get(name) is not None}
        view = self.views.get(identity, {}) | given | {"id": identity}
        view |= {"project": project, "updatedAt": "2000-01-01T00:00:00"}
        self.views[identity] = view | {"createdAt": "2000-01-01T00:00:00"}
        return {"upsertView": {"view": self.views[identity], "inserted": inserted}}

    do_upsertView = do_UpsertView2

    def do_View(self, v: Variables) -> Answer:
        found = [
            {"node": view}
            for view in self.views.values()
            if view["project"]["name"] == v["name"] and view["name"] == v["viewName"]
        ]
        return {"project": {"allViews": {"edges": found}}}

    def do_SpecificReport(self, v: Variables) -> Answer:
        return {"view": self.views.get(v["reportId"])}

    def do_deleteView(self, v: Variables) -> Answer:
        gone = self.views.pop(v["id"], None)
        answer = {
            "success": gone is not None,
            "pendingDrafts": 0,
            "__typename": "DeleteViewPayload",
        }
        return {"deleteView": answer}

    def do_ProjectInternalId(self, v: Variables) -> Answer:
        name = v["projectName"]
        if name in self.absent:
            return {"project": None}
        return {"project": {"id": opaque("Project", name), "internalId": opaque("Internal", name)}}
