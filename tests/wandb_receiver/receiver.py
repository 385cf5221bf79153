"""The server: what tests start, and read back from."""

from __future__ import annotations

import json
import threading
from typing import Any

from typing_extensions import Self

from wandb_receiver.faults import Faults
from wandb_receiver.handler import make_server
from wandb_receiver.runs import ReceivedRun
from wandb_receiver.views import ViewOperations

ENTITY = "local"
RETRIED = ("FILE_STREAM", "FILE_TRANSFER", "GRAPHQL")


class Receiver:
    """A W&B server on a free port of 127.0.0.1 while its `with` block lasts; `stop` ends it early.

    Everything received is kept in memory.
    """

    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.lock = threading.RLock()
        self.requests: list[str] = []
        """Path of every request, with the operation of a GraphQL one, in order."""
        self.unsupported: list[str] = []
        """GraphQL queries that nothing here answers."""
        self._server = make_server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.state = ViewOperations(self.url, ENTITY)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that lead the client here: any key will do, and it tries again soon."""
        waits = (f"WANDB_X_{kind}_RETRY_WAIT_MAX_SECONDS" for kind in RETRIED)
        return {
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": "0" * 40,
            "WANDB_ERROR_REPORTING": "false",
        } | dict.fromkeys(waits, "1")

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    # -- what tests read

    @property
    def runs(self) -> list[ReceivedRun]:
        return list(self.state.runs.values())

    def run(self, name: str) -> ReceivedRun:
        """The run with this id; a failed look-up names those that are there."""
        found = [run for run in self.runs if run.name == name]
        assert len(found) == 1, f"{name} is not one of {[run.name for run in self.runs]}"
        return found[0]

    def artifact(self, name: str) -> dict[str, bytes]:
        """Contents of the artifact's committed version, by name inside it; there must be one."""
        versions = [
            artifact.files
            for artifact in self.state.artifacts.values()
            if (artifact.name, artifact.state) == (name, "COMMITTED")
        ]
        assert len(versions) == 1, f"{len(versions)} versions of {name}"
        return versions[0]

    def views(self, kind: str) -> list[dict[str, Any]]:
        """Saved views of a type (`project-view`, `runs`), their `spec` decoded."""
        views = [view for view in self.state.views.values() if view["type"] == kind]
        return [view | {"spec": json.loads(view["spec"])} for view in views]
