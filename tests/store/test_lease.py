"""One live writer per point; a dead one never blocks."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gradsweep.errors import StoreError
from gradsweep.store import lease
from gradsweep.store.lease import EXPIRY_SECONDS, hold_lease, holder

HOLD = """
import sys, time
from pathlib import Path
from gradsweep.store.lease import hold_lease
with hold_lease(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "point" / "RUNNING"


@pytest.fixture
def other_process(path: Path):  # type: ignore[no-untyped-def]
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def foreign(path: Path, age: float) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps({"host": "another-host", "pid": 7, "since": "yesterday"}))
    then = time.time() - age
    os.utime(path, (then, then))


def test_a_live_process_is_named_and_refused(path: Path, other_process: subprocess.Popen) -> None:  # type: ignore[type-arg]
    refusal = rf"process {other_process.pid} on .*store\.root"
    with pytest.raises(StoreError, match=refusal), hold_lease(path):
        pass
    record = holder(path)
    assert record is not None
    assert (record["pid"], record["host"]) == (other_process.pid, socket.gethostname())


def test_a_killed_process_is_taken_over_at_once(
    path: Path, other_process: subprocess.Popen
) -> None:  # type: ignore[type-arg]
    other_process.send_signal(signal.SIGKILL)
    other_process.wait()
    assert path.exists()
    assert holder(path) is None
    with hold_lease(path):
        record = holder(path)
        assert record is not None
        assert record["pid"] == os.getpid()
    assert not path.exists()


def test_another_host_is_alive_while_its_heartbeat_is_young(path: Path) -> None:
    foreign(path, age=EXPIRY_SECONDS / 2)
    assert holder(path) is not None
    refusal = "process 7 on another-host since yesterday"
    with pytest.raises(StoreError, match=refusal), hold_lease(path):
        pass
    assert json.loads(path.read_text())["host"] == "another-host"


def test_another_host_without_heartbeat_is_dead(path: Path) -> None:
    foreign(path, age=EXPIRY_SECONDS + 1)
    assert holder(path) is None
    with hold_lease(path):
        assert json.loads(path.read_text())["host"] == socket.gethostname()


def test_the_holder_keeps_its_heartbeat_young(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.05)
    with hold_lease(path):
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 5
        while path.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert time.time() - path.stat().st_mtime < 5


def test_a_file_cut_off_by_a_crash_does_not_block(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"host": "another')
    assert holder(path) is None
    with hold_lease(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()
