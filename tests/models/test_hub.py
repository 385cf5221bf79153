"""The hub as a source: every refusal, and no route at all, is one line that says what to do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from gradsweep.config import ModelConfig, ModelSource
from gradsweep.errors import ModelError
from gradsweep.models import load_model


def hub_config(hub_id: str, **source: Any) -> ModelConfig:
    return ModelConfig(name="theirs", source=ModelSource(hub_id=hub_id, **source))


def use_endpoint(monkeypatch: pytest.MonkeyPatch, cache: Path, endpoint: str) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))


REFUSALS = {
    "gated": (403, "GatedRepo"),
    "absent": (401, "RepoNotFound"),
    "revision": (404, "RevisionNotFound"),
}


class RefusingHub(BaseHTTPRequestHandler):
    """Answers as the hub does; the owner in the path chooses the error."""

    def do_GET(self) -> None:
        owner = self.path.replace("/api/models", "").split("/")[1]
        status, code = REFUSALS.get(owner, (200, ""))
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Keep stderr clean."""


@pytest.fixture
def refusing_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    server = HTTPServer(("127.0.0.1", 0), RefusingHub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    use_endpoint(monkeypatch, tmp_path, f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("hub_id", "expected"),
    [
        ("gated/model", "gated/model is gated: .*hf auth login"),
        ("absent/model", "no public model at .*absent/model"),
        ("revision/model", "has no model.source.revision=v9"),
    ],
)
def test_refusal_of_the_hub_says_what_to_do(refusing_hub: None, hub_id: str, expected: str) -> None:
    with pytest.raises(ModelError, match=f"model=theirs: .*{expected}") as caught:
        load_model(hub_config(hub_id, revision="v9"), "cpu")
    assert "model.source.kind=folder" in str(caught.value)


@pytest.mark.parametrize("offline", [True, False])
def test_hub_out_of_reach_fails_at_once_and_names_other_sources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, offline: bool
) -> None:
    use_endpoint(monkeypatch, tmp_path, "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    with pytest.raises(ModelError, match=r"127\.0\.0\.1:9 cannot be reached") as caught:
        load_model(hub_config("owner/model", install="pip install theirs"), "cpu")
    assert waits == [], "it does not ask again and again"
    assert "`pip install theirs`" in str(caught.value)
    assert str(tmp_path) in str(caught.value)
