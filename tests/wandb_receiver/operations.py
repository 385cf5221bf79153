"""GraphQL operations of runs and artifacts, by name, as `wandb` 0.31 sends them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from wandb_receiver.runs import HISTORY, ReceivedArtifact, ReceivedRun, opaque

Variables = dict[str, Any]
Answer = dict[str, Any]


class Operations:
    """Answers from, and changes of, what the server knows."""

    def __init__(self, url: str, entity: str) -> None:
        self.url, self.entity = url, entity
        self.runs: dict[tuple[str, str, str], ReceivedRun] = {}
        self.artifacts: dict[str, ReceivedArtifact] = {}

    def answer(self, operation: str, variables: Variables) -> Answer | None:
        """None for an operation that is not known here."""
        method: Callable[[Variables], Answer] | None = getattr(self, f"do_{operation}", None)
        return method(variables) if method else None

    def run(self, entity: str | None, project: str | None, name: str) -> ReceivedRun:
        """The run, made when it is new."""
        key = (entity or self.entity, project or "uncategorized", name)
        return self.runs.setdefault(key, ReceivedRun(*key, display_name=name))

    def find(self, entity: str | None, project: str | None, name: str) -> ReceivedRun | None:
        return self.runs.get((entity or self.entity, project or "uncategorized", name))

    # -- who and what is there

    def do_Viewer(self, _: Variables) -> Answer:
        team = {"node": {"name": self.entity}}
        named = {"entity": self.entity, "username": self.entity, "email": "none@localhost"}
        return {
            "viewer": {"id": opaque("User", 1), "flags": "{}", "teams": {"edges": [team]}} | named
        }

    do_GetDefaultEntity = do_Viewer
    do_GetViewer = do_Viewer

    def do_ServerFeaturesQuery(self, _: Variables) -> Answer:
        return {"serverInfo": {"features": []}}

    def do_ServerInfo(self, _: Variables) -> Answer:
        versions = {"cliVersionInfo": {"max_cli_version": "0.99.0"}, "latestLocalVersionInfo": None}
        return {"serverInfo": versions}

    def do_OrganizationCoreWeaveOrganizationID(self, _: Variables) -> Answer:
        return {"entity": {"organization": None}}

    def do_GetProjects(self, v: Variables) -> Answer:
        names = sorted({project for entity, project, _ in self.runs if entity == v.get("entity")})
        nodes = [
            {"__typename": "Project", "id": opaque("Project", name), "name": name}
            | {"entityName": v.get("entity"), "createdAt": "2000-01-01T00:00:00Z"}
            | {"isBenchmark": False, "user": None}
            for name in names
        ]
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        return {"models": {"pageInfo": page, "edges": [{"node": node} for node in nodes]}}

    def do_CreateProject(self, v: Variables) -> Answer:
        given = v.get("input", v)
        name, entity = given["name"], given.get("entityName") or self.entity
        project = {"id": opaque("Project", entity, name), "name": name, "entityName": entity}
        return {"result": {"project": project, "model": project, "inserted": True}}

    # -- runs

    def do_RunResumeStatus(self, v: Variables) -> Answer:
        run = self.find(v.get("entity"), v.get("project"), v["name"])
        project = self._project(v.get("entity"), v.get("project"))
        return {"model": project | {"bucket": self._bucket(run) if run else None}}

    def do_UpsertBucket(self, v: Variables) -> Answer:
        known = {run.id: run for run in self.runs.values()}
        run = known.get(v.get("id") or "") or self.find(
            v.get("entity"), v.get("project"), v["name"]
        )
        inserted = run is None
        run = run or self.run(v.get("entity"), v.get("project"), v["name"])
        run.config = json.loads(v["config"]) if v.get("config") else run.config
        run.summary = json.loads(v["summaryMetrics"]) if v.get("summaryMetrics") else run.summary
        names = {"displayName": "display_name", "groupName": "group", "jobType": "job_type"}
        for variable, attribute in (names | {"tags": "tags", "notes": "notes"}).items():
            if v.get(variable) is not None:
                setattr(run, attribute, v[variable])
        run.state = "running"
        return {"upsertBucket": {"bucket": self._bucket(run), "inserted": inserted}}

    def do_Run(self, v: Variables) -> Answer:
        run = self.find(v["entity"], v["project"], v["name"])
        return {"project": {"run": self._read(run) if run else None}}

    def do_RunHistoryKeys(self, v: Variables) -> Answer:
        run = self.run(v["entity"], v["project"], v["name"])
        return {"project": {"run": {"historyKeys": self._read(run)["historyKeys"]}}}

    def do_RunParquetHistory(self, v: Variables) -> Answer:
        run = self.run(v["entity"], v["project"], v["runName"])
        return {"project": {"run": {"parquetHistory": {"liveData": run.rows, "parquetUrls": []}}}}

    def do_SampledHistoryPage(self, v: Variables) -> Answer:
        run = self.run(v["entity"], v["project"], v["run"])
        spec = json.loads(v["spec"])
        steps = range(spec.get("minStep", 0), spec.get("maxStep", 2**62) + 1)
        found = [
            {key: row[key] for key in spec["keys"]}
            for row in run.rows
            if row["_step"] in steps and all(key in row for key in spec["keys"])
        ]
        return {"project": {"run": {"sampledHistory": [found]}}}

    def do_RunStoppedStatus(self, _: Variables) -> Answer:
        return {"project": {"run": {"stopped": False}}}

    def do_CreateRunFiles(self, v: Variables) -> Answer:
        run = self.run(v.get("entity"), v.get("project"), v["run"])
        place = ("run", run.entity, run.project, run.name)
        files = [{"name": name, "uploadUrl": self._upload(*place, name)} for name in v["files"]]
        return {"createRunFiles": {"runID": run.id, "uploadHeaders": [], "files": files}}

    def do_MarkRunFilesUploaded(self, _: Variables) -> Answer:
        return {"markRunFilesUploaded": {"success": True}}

    # -- artifacts; logged tables are artifacts too

    def do_CreateArtifact(self, v: Variables) -> Answer:
        given = v.get("input", v)
        collections = given.get("artifactCollectionNames") or ["unnamed"]
        name = given.get("artifactCollectionName") or collections[0]
        same = (name, given["artifactTypeName"], given["digest"])
        for known in self.artifacts.values():  # the same content is the same version
            if known.state == "COMMITTED" and (known.name, known.type, known.digest) == same:
                return self._created(known)
        artifact = ReceivedArtifact(opaque("Artifact", uuid.uuid4()), *same, given.get("runName"))
        self.artifacts[artifact.id] = artifact
        return self._created(artifact)

    def do_CreateArtifactManifest(self, v: Variables) -> Answer:
        given = v.get("input", v)
        upload = self._upload("artifact", given["artifactID"], "/" + given["name"])
        names = {"id": opaque("File", given["artifactID"]), "displayName": given["name"]}
        file = names | {"name": given["name"], "uploadUrl": upload, "uploadHeaders": []}
        manifest = {"id": opaque("Manifest", given["artifactID"]), "file": file}
        return {"createArtifactManifest": {"artifactManifest": manifest}}

    def do_CreateArtifactFiles(self, v: Variables) -> Answer:
        given = v.get("input", v)
        specs = given.get("artifactFiles") or given.get("artifactFileSpecs") or []
        nodes = [
            {"id": opaque("File", spec["artifactID"], spec["name"]), "name": spec["name"]}
            | {"displayName": spec["name"], "storagePath": spec["name"], "uploadHeaders": []}
            | {"uploadUrl": self._upload("artifact", spec["artifactID"], spec["name"])}
            | {"uploadMultipartUrls": None, "artifact": {"id": spec["artifactID"]}}
            for spec in specs
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def do_CommitArtifact(self, v: Variables) -> Answer:
        artifact = self.artifacts[v.get("input", v)["artifactID"]]
        artifact.state = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": artifact.id, "digest": artifact.digest}}}

    def do_UseArtifact(self, v: Variables) -> Answer:
        return {"useArtifact": {"artifact": {"id": v.get("artifactID")}}}

    def do_ArtifactType(self, _: Variables) -> Answer:
        return {"project": None}

    # -- parts of answers

    def _created(self, artifact: ReceivedArtifact) -> Answer:
        sequence = {"id": opaque("Sequence", artifact.name), "latestArtifact": None}
        answer = {"id": artifact.id, "state": artifact.state, "artifactSequence": sequence}
        return {"createArtifact": {"artifact": answer}}

    def _project(self, entity: str | None, project: str | None) -> Answer:
        entity = entity or self.entity
        owner = {"id": opaque("Entity", entity), "name": entity}
        return {"id": opaque("Project", entity, project), "name": project, "entity": owner}

    def _bucket(self, run: ReceivedRun) -> Answer:
        history = run.lines.get(HISTORY, [])
        events, log = (run.lines.get(n, []) for n in ("wandb-events.jsonl", "output.log"))
        telemetry = run.config.get("_wandb", {}).get("value", {}).get("t", {})
        return {
            "id": run.id,
            "name": run.name,
            "displayName": run.display_name,
            "description": None,
            "notes": run.notes,
            "tags": run.tags,
            "sweepName": None,
            "config": json.dumps(run.config),
            "summaryMetrics": json.dumps(run.summary),
            "wandbConfig": json.dumps({"t": telemetry}),
            "project": self._project(run.entity, run.project),
            "historyLineCount": len(history),
            "eventsLineCount": len(events),
            "logLineCount": len(log),
            "historyTail": json.dumps(history[-1:]),
            "eventsTail": json.dumps(events[-1:]),
            "stopped": False,
        }

    def _read(self, run: ReceivedRun) -> Answer:
        """A run as the public API reads it."""
        keys = {key for row in run.rows for key in row}
        return self._bucket(run) | {
            "projectId": "1",
            "state": run.state,
            "group": run.group,
            "jobType": run.job_type,
            "commit": None,
            "readOnly": False,
            "createdAt": "2000-01-01T00:00:00Z",
            "heartbeatAt": "2000-01-01T00:00:00Z",
            "systemMetrics": "{}",
            "user": {"name": run.entity, "username": run.entity},
            "historyKeys": {
                "lastStep": max((row["_step"] for row in run.rows), default=-1),
                "keys": {key: {"typeCounts": [{"type": "number"}]} for key in keys},
            },
        }

    def _upload(self, *parts: str) -> str:
        return f"{self.url}/upload/" + "/".join(quote(part, safe="") for part in parts)
