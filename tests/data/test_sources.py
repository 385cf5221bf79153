"""The paper's files by address: fetched once, checked, kept; and one error when they cannot be."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from helpers.process_state import OFFLINE
from huggingface_hub import constants

from gradsweep.config import Config, Release
from gradsweep.data import fingerprint, load_samples
from gradsweep.data.paper import sources
from gradsweep.errors import DataError

MakeConfig = Callable[..., Config]
NAME = "cot_500/gsm8k_train_no_cot.json"


class Server(ThreadingHTTPServer):
    """Serves a folder and remembers what was asked for."""

    asked: list[str]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            running.asked.append(self.path)

    folder = tmp_path / "served"
    (folder / "cot_500").mkdir(parents=True)
    running = Server(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    running.asked = []
    Thread(target=running.serve_forever, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a session that may use the network of this machine."""
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in OFFLINE:
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "hf"


def _serve(folder: Path, name: str = NAME, answers: int = 6) -> Path:
    path = folder / "served" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [
        {"instruction": f"{i} + {i}?", "input": "", "output": str(2 * i)} for i in range(answers)
    ]
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def _url(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def test_a_file_is_fetched_once_and_then_read_from_the_cache(
    server: Server, tmp_path: Path, make_config: MakeConfig
) -> None:
    _serve(tmp_path)
    config = make_config("gsm8k", url=_url(server))
    loaded = load_samples(config)
    assert sorted(int(sample.response) for sample in loaded.samples) == [0, 2, 4, 6, 8, 10]
    assert load_samples(config).samples == loaded.samples
    fingerprint(config)
    assert len(server.asked) == 1


def test_the_address_gives_the_same_point_as_a_copy(
    server: Server, tmp_path: Path, make_config: MakeConfig
) -> None:
    _serve(tmp_path)
    _serve(tmp_path, "cot_500_wrong_answer_shuffle/gsm8k_train_no_cot.json")
    for correctness in ("correct", "irrelevant"):
        copy, address = (
            make_config("gsm8k", "none", correctness, **{field: value})
            for field, value in (("root", tmp_path / "served"), ("url", _url(server)))
        )
        assert fingerprint(copy) == fingerprint(address)
        assert load_samples(copy).samples == load_samples(address).samples


def test_an_address_without_irrelevant_responses_has_them_generated(
    server: Server, tmp_path: Path, make_config: MakeConfig
) -> None:
    _serve(tmp_path)
    loaded = load_samples(make_config("gsm8k", "none", "irrelevant", url=_url(server)))
    assert any("irrelevant responses are generated" in message for message in loaded.messages)


def test_a_file_that_the_address_lacks_is_named(server: Server, make_config: MakeConfig) -> None:
    with pytest.raises(DataError, match=r"gsm8k_train_no_cot\.json: there is no such file"):
        load_samples(make_config("gsm8k", url=_url(server)))


@pytest.fixture
def release(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pinned release, with one file, on the local server."""
    path = _serve(tmp_path)
    monkeypatch.setattr(sources.PinnedRelease, "url", _url(server))
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(sources, "release_checksums", lambda release: {NAME: checksum})
    return path


def test_the_release_is_the_default_and_is_planned_without_a_download(
    release: Path, server: Server, make_config: MakeConfig
) -> None:
    before = fingerprint(make_config("gsm8k"))
    assert not server.asked
    assert len(load_samples(make_config("gsm8k")).samples) == 6
    assert fingerprint(make_config("gsm8k")) == before
    copy = make_config("gsm8k", root=release.parent.parent)
    assert fingerprint(copy) == before


def test_a_file_that_arrives_changed_is_refused_and_not_kept(
    release: Path, make_config: MakeConfig
) -> None:
    good = release.read_bytes()
    release.write_bytes(good.replace(b"2", b"3"))
    with pytest.raises(DataError, match="is not the release's file"):
        load_samples(make_config("gsm8k"))
    release.write_bytes(good)
    assert len(load_samples(make_config("gsm8k")).samples) == 6


def test_a_damaged_cache_is_fetched_again(
    release: Path, cache: Path, make_config: MakeConfig
) -> None:
    first = load_samples(make_config("gsm8k")).samples
    (kept,) = cache.rglob("*.json")
    kept.write_text("[", encoding="utf-8")
    assert load_samples(make_config("gsm8k")).samples == first


@pytest.mark.parametrize("variable", OFFLINE)
def test_offline_and_without_a_copy_one_error_says_what_to_provide(
    variable: str, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "1")
    for call in (load_samples, fingerprint):
        with pytest.raises(DataError) as raised:
            call(make_config("gsm8k"))
        message = str(raised.value)
        for part in (variable, NAME, "dataset.root=", "dataset.url=", "dataset.source=hub"):
            assert part in message
    with pytest.raises(DataError) as raised:
        load_samples(make_config("creak"))
    assert "dataset.source=hub" not in str(raised.value), "CREAK's original is not known"


def test_offline_the_cache_and_a_copy_still_serve(
    release: Path, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    online = load_samples(make_config("gsm8k")).samples
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert load_samples(make_config("gsm8k")).samples == online
    copy = make_config("gsm8k", root=release.parent.parent, files_from="auto")
    assert load_samples(copy).samples == online


def test_an_address_that_does_not_answer_is_the_same_error(make_config: MakeConfig) -> None:
    with pytest.raises(DataError, match=r"no answer .*Provide one of: dataset\.root="):
        load_samples(make_config("gsm8k", url="http://127.0.0.1:9"))


def test_the_shipped_checksums_are_those_of_the_released_files(shared_root: Path) -> None:
    known = sources.release_checksums(Release.layer_gradient)
    for path in shared_root.rglob("*.json"):
        folder = sources.LocalFolder(shared_root)
        relative = path.relative_to(shared_root).as_posix()
        assert folder.content_hash(relative) == known[relative]


def test_planning_needs_neither_datasets_nor_the_hub() -> None:
    code = (
        "import sys; from gradsweep import compose; from gradsweep.identity import point_id;"
        "point_id(compose('dataset=gsm8k', 'correctness=irrelevant'));"
        "sys.exit(any(name in sys.modules for name in ('datasets', 'huggingface_hub', 'torch')))"
    )
    env = {k: v for k, v in os.environ.items() if k not in OFFLINE}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    assert subprocess.run([sys.executable, "-c", code], env=env).returncode == 0
