"""A broken W&B costs one warning, never the point."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import wandb
from helpers.patience import wait_until
from helpers.wandb_log import read_run
from wandb.sdk.mailbox import HandleAbandonedError

from gradsweep.config import Config, WandbMode
from gradsweep.records import SampleResult
from gradsweep.store import PointPaths
from gradsweep.store.frames import rows_frame, samples_frame
from gradsweep.tracking import make_tracker
from gradsweep.tracking.wandb.run_log import logged, segments
from gradsweep.tracking.wandb.tracker import WandbTracker

MakeConfig = Callable[..., Config]
Finish = Callable[..., PointPaths]


def start(config: Config) -> WandbTracker:
    tracker = make_tracker(config, "point123", None, {})
    assert isinstance(tracker, WandbTracker)
    return tracker


def log_and_end(tracker: WandbTracker, results: list[SampleResult]) -> None:
    for result in results:
        tracker.log_sample(result)
    tracker.fail("end of test")
    tracker.wait()


def only_warning(caplog: pytest.LogCaptureFixture, config: Config) -> str:
    """The one message a user sees: it must say what is still safe."""
    (record,) = [r for r in caplog.records if r.name.startswith("gradsweep")]
    assert record.levelno == logging.WARNING
    assert f"all results are kept in {config.results}" in record.message
    return record.message


def kill_the_client() -> None:
    """`kill -9` of the helper process that writes and uploads, which is our child."""
    children = Path("/proc/self/task").glob("*/children")
    pids = {pid for path in children for pid in path.read_text().split()}
    killed = [pid for pid in pids if b"wandb-core" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert killed
    for pid in killed:
        os.kill(int(pid), signal.SIGKILL)
        os.waitpid(int(pid), 0)


def test_a_crashed_client_costs_one_warning_and_not_the_next_point(
    make_config: MakeConfig,
    results: list[SampleResult],
    finish: Finish,
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = make_config()
    tracker = start(config)
    tracker.log_sample(results[0])
    wait_until(
        lambda: any(logged(segment, "sample") for segment in segments(config.results)),
        "a sample in the run's log",
        pause=0.05,
    )
    kill_the_client()
    for result in results:
        tracker.log_sample(result)
    finish(tracker, results, {})
    tracker.fail("no effect")
    assert "python -m gradsweep sync" in only_warning(caplog, config)

    following = make_tracker(config, "point456", None, {})
    assert isinstance(following, WandbTracker)
    log_and_end(following, results)
    wandb.teardown()
    (segment,) = segments(config.results, "point456")
    assert logged(segment, "sample") == {0, 1, 2, 3}


@pytest.mark.parametrize("fault", [wandb.errors.CommError("no server"), HandleAbandonedError()])
def test_the_clients_own_exceptions_cost_one_warning(
    fault: Exception,
    make_config: MakeConfig,
    results: list[SampleResult],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_args: object, **_kwargs: object) -> None:
        raise fault

    config = make_config()
    monkeypatch.setattr(wandb.Run, "log", broken)
    log_and_end(start(config), results)
    assert type(fault).__name__ in only_warning(caplog, config)


def test_a_missing_rows_file_costs_one_warning_and_still_ends_the_run(
    make_config: MakeConfig,
    results: list[SampleResult],
    store: Callable[..., PointPaths],
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = make_config()
    store(results, {})
    tracker = start(config)
    frames = samples_frame(results), rows_frame(results)
    tracker.finish(*frames, config.results / "missing.parquet", {"n_samples": 4})
    tracker.wait()
    assert "missing.parquet" in only_warning(caplog, config)
    wandb.teardown()  # the client's helper process writes the rest out and ends
    (folder,) = (config.results / "wandb").glob("offline-run-*")
    log = read_run(folder)
    assert (log.exit_code, log.summary["n_samples"]) == (0, 4)


class Refusing(BaseHTTPRequestHandler):
    """A server that knows no one."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def refusing_server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_server_that_refuses_the_key_costs_one_warning(
    refusing_server: str,
    make_config: MakeConfig,
    results: list[SampleResult],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", refusing_server)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    config = make_config(WandbMode.auto)
    log_and_end(start(config), results)
    message = only_warning(caplog, config)
    assert "starting online" in message
    assert "401" in message


def test_unusable_settings_cost_one_warning(
    make_config: MakeConfig,
    results: list[SampleResult],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "not a url")
    config = make_config(WandbMode.auto)
    log_and_end(start(config), results)
    assert "base_url" in only_warning(caplog, config)


def test_an_unknown_wandb_mode_names_the_allowed_ones(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_MODE", "ofline")
    config = make_config(WandbMode.auto)
    start(config)
    message = only_warning(caplog, config)
    assert "ofline" in message
    assert "online, offline, disabled" in message
