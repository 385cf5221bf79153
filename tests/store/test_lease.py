"""One live writer per point; a dead one never blocks."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers.patience import PATIENCE_SECONDS, wait_until

from gradsweep.errors import StoreError
from gradsweep.store import lease
from gradsweep.store.lease import EXPIRY_SECONDS, ahead, hold_lease, holder

HOLD = """
import sys
from pathlib import Path
from gradsweep.store.lease import hold_lease
with hold_lease(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "point" / "RUNNING"


@pytest.fixture
def other_process(path: Path):  # type: ignore[no-untyped-def]
    command = [sys.executable, "-c", HOLD, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
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


def test_another_hosts_clock_may_be_ahead_and_nobody_writes_beside_it(path: Path) -> None:
    """A lease that never gets old is said with what to remove, for those who can look."""
    foreign(path, age=-7200)
    record = holder(path)
    assert record is not None
    end = rf"if that process has ended, rm {path}: .*dated 2 h.* from now"
    with pytest.raises(StoreError, match=end), hold_lease(path):
        pass
    assert re.search(end, ahead(path, record))
    path.unlink()
    with hold_lease(path):
        pass


@pytest.mark.parametrize("age", [0, -EXPIRY_SECONDS / 2])
def test_clocks_that_differ_a_little_are_not_worth_a_word(path: Path, age: float) -> None:
    foreign(path, age)
    record = holder(path)
    assert record is not None
    assert ahead(path, record) == ""


def test_a_live_process_of_this_host_is_no_lease_to_be_removed(
    path: Path, other_process: subprocess.Popen
) -> None:  # type: ignore[type-arg]
    os.utime(path, (time.time() + 7200,) * 2)
    with pytest.raises(StoreError) as refused, hold_lease(path):
        pass
    assert " rm " not in str(refused.value)


def test_another_host_without_heartbeat_is_dead(path: Path) -> None:
    foreign(path, age=EXPIRY_SECONDS + 1)
    assert holder(path) is None
    with hold_lease(path):
        assert json.loads(path.read_text())["host"] == socket.gethostname()


def test_the_holder_keeps_its_heartbeat_young(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.05)
    with hold_lease(path):
        os.utime(path, (0, 0))
        wait_until(lambda: path.stat().st_mtime > 0, "a heartbeat")


def test_a_file_cut_off_by_a_crash_does_not_block(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"host": "another')
    assert holder(path) is None
    with hold_lease(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


RACE = """
import fcntl, os, socket, sys, time
from pathlib import Path
from gradsweep.errors import PointBusyError
from gradsweep.store.lease import hold_lease

def no_locks(*_):
    raise OSError(38, "Function not implemented")

fcntl.flock = no_locks
socket.gethostname = lambda: f"host-{os.getpid()}"
path, log = Path(sys.argv[1]), open(sys.argv[2], "a")
rounds = 0
while rounds < 5:
    try:
        with hold_lease(path):
            print("in", file=log, flush=True)
            time.sleep(0.002)
            print("out", file=log, flush=True)
            rounds += 1
    except PointBusyError:
        time.sleep(0.0005)
"""


@pytest.mark.long
def test_hosts_without_common_locks_never_hold_it_together(path: Path, tmp_path: Path) -> None:
    """A dead lease lies there, and all of them see that at the same time."""
    foreign(path, age=EXPIRY_SECONDS + 1)
    log = tmp_path / "log"
    command = [sys.executable, "-c", RACE, str(path), str(log)]
    processes = [subprocess.Popen(command) for _ in range(5)]
    assert [process.wait(PATIENCE_SECONDS) for process in processes] == [0] * 5
    assert log.read_text().split() == ["in", "out"] * 25
    assert not list(path.parent.iterdir()), "nothing is left behind"


def test_without_locks_the_heartbeat_decides_on_the_same_host_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(lease.fcntl, "flock", no_locks)
    with hold_lease(path) as first:
        assert holder(path) is not None
        with pytest.raises(StoreError, match="is being written"), hold_lease(path):
            pass
        os.utime(path, (0, 0))
        with hold_lease(path), pytest.raises(StoreError, match="taken over"):
            first.check()


def test_who_has_lost_it_leaves_it_to_who_has_it(
    path: Path, other_process: subprocess.Popen
) -> None:  # type: ignore[type-arg]
    """Also when it ends: the lease that is there is not its own."""
    other_process.kill()
    other_process.wait()
    with hold_lease(path) as first:
        path.unlink()
        with hold_lease(path) as second:
            first.release()
            first.beat()
            second.check()
            with pytest.raises(StoreError, match="taken over"):
                first.check()


def test_an_interrupt_leaves_no_lease_behind_whenever_it_comes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a point that was stopped would be told as one whose process ended without a word."""
    link = os.link

    def interrupted_link(source: Path, target: Path) -> None:
        link(source, target)
        raise KeyboardInterrupt

    def interrupted_start(thread: threading.Thread) -> None:
        assert path.exists()
        raise KeyboardInterrupt

    for where, what in ((os, interrupted_link), (threading.Thread, interrupted_start)):
        with monkeypatch.context() as patched:
            patched.setattr(where, "link" if where is os else "start", what)
            with pytest.raises(KeyboardInterrupt), hold_lease(path):
                raise AssertionError("the block does not run")
        assert list(path.parent.iterdir()) == []
    with hold_lease(path):
        assert path.exists()
