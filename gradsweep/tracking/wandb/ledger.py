"""Which runs `sync` has uploaded where: `<store.root>/wandb/ledger.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from gradsweep.store.atomic import write_json
from gradsweep.times import timestamp

UPLOADING, UPLOADED = "uploading", "uploaded"


@dataclass(frozen=True)
class Entry:
    """What one run of a server has."""

    point_id: str
    state: str
    """`uploading` until the server has it all: of an upload that was killed, it stays so."""
    samples: int = 0
    """Stored samples that are uploaded."""
    complete: bool = False
    """Whether layer curves, summary, table and rows are there too."""
    segments: tuple[str, ...] = ()
    """Folders of the starts that are in it."""
    place: str = ""
    at: str = ""


def server_name(base_url: str, entity: str | None, project: str) -> str:
    """Tell destinations apart: the same run may be on several."""
    return f"{base_url.rstrip('/')}/{entity or '-'}/{project}"


class Ledger:
    """Entries of one server and project; on disk after every change."""

    def __init__(self, root: Path, server: str) -> None:
        self._path, self.server = root / "wandb" / "ledger.json", server
        self._all: dict[str, dict[str, Mapping[str, object]]] = (
            json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else {}
        )
        entries = self._all.get(server, {})
        self.entries = {run_id: Entry(**fields) for run_id, fields in entries.items()}
        """Run id -> what the server has of it."""

    def of_point(self, point_id: str) -> tuple[str, Entry | None]:
        """The point's newest run, which after `--rebuild` has another id than the point."""
        runs = [run_id for run_id, entry in self.entries.items() if entry.point_id == point_id]
        newest = max(runs, key=lambda run_id: (len(run_id), run_id), default=point_id)
        return newest, self.entries.get(newest)

    def write(self, run_id: str, entry: Entry) -> None:
        """Keep an entry; raises StoreError when the disk is full."""
        fields = asdict(entry) | {"at": timestamp()}
        self.entries[run_id] = Entry(**fields)
        self._all.setdefault(self.server, {})[run_id] = fields
        write_json(self._path, self._all)
