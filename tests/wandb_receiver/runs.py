"""What the server knows: runs, artifacts and saved views."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

HISTORY, SUMMARY = "wandb-history.jsonl", "wandb-summary.json"


def opaque(kind: str, *parts: object) -> str:
    """An id as W&B makes them."""
    return base64.b64encode(":".join([kind, *map(str, parts)]).encode()).decode()


@dataclass
class ReceivedRun:
    """One run. Files of lines are addressed by offset, so a repeated request changes nothing."""

    entity: str
    project: str
    name: str
    """Its id in addresses, the `id` of `wandb.init`."""
    display_name: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    """As the client sends it: `{key: {"value": …}}`, and `_wandb`."""
    summary: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    notes: str | None = None
    group: str | None = None
    job_type: str | None = None
    state: str = "running"
    """running, preempting, finished or failed."""
    exit_code: int | None = None
    lines: dict[str, list[str]] = field(default_factory=dict)
    """File of lines -> its lines."""
    files: dict[str, bytes] = field(default_factory=dict)
    """Uploaded file, with its folders -> its content."""

    @property
    def id(self) -> str:
        return opaque("Run", self.entity, self.project, self.name)

    @property
    def history(self) -> list[dict[str, Any]]:
        """Rows in the order of arrival, without W&B's own `_step`, `_runtime`, `_timestamp`."""
        return [
            {key: value for key, value in row.items() if not key.startswith("_")}
            for row in self.rows
        ]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines.get(HISTORY, [])]

    @property
    def values(self) -> dict[str, Any]:
        """The config as it was given."""
        return {key: item["value"] for key, item in self.config.items() if key != "_wandb"}

    def table(self, key: str) -> dict[str, Any]:
        """A logged table: `columns` and `data`."""
        path = self.summary[key]["path"]
        table: dict[str, Any] = json.loads(self.files[path])
        return table

    def stream(self, body: dict[str, Any]) -> None:
        """Take in one request of the run's file stream."""
        for name, sent in (body.get("files") or {}).items():
            content = sent.get("content", [])
            if name == SUMMARY:
                self.summary = json.loads(content[-1]) if content else self.summary
                continue
            lines, offset = self.lines.setdefault(name, []), sent.get("offset", 0)
            lines += [""] * (offset - len(lines))
            lines[offset : offset + len(content)] = content
        if body.get("preempting"):
            self.state = "preempting"
        if body.get("complete"):
            self.exit_code = body.get("exitcode")
            self.state = "failed" if self.exit_code else "finished"


@dataclass
class ReceivedArtifact:
    """One version of an artifact."""

    id: str
    name: str
    type: str
    digest: str
    run: str | None
    """The run that logged it."""
    state: str = "PENDING"
    """COMMITTED once everything is uploaded."""
    files: dict[str, bytes] = field(default_factory=dict)
