"""One live writer per point: a file lock on this host, a heartbeat for other hosts.

The kernel drops a lock when its process dies, however it dies, so a killed job's
point can be taken over at once on the same host. Locks do not reach every network
file system; a holder on another host is believed alive while its heartbeat is young.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from gradsweep.errors import PointBusyError
from gradsweep.store.atomic import readable_disk_errors

HEARTBEAT_SECONDS = 10.0
"""How often a holder touches its lease."""
EXPIRY_SECONDS = 90.0
"""Age of a heartbeat after which a holder on another host counts as dead."""


@contextmanager
def hold_lease(path: Path) -> Iterator[None]:
    """Hold `path` (a RUNNING file) while the block runs; removed at its end.

    Raises:
        PointBusyError: a live process holds it; the message names host, process and start.
    """
    handle = _acquire(path)
    stop = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, stop), name="lease", daemon=True)
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join()
        path.unlink(missing_ok=True)
        handle.close()


def holder(path: Path) -> dict[str, Any] | None:
    """Who holds this lease now, or None when nobody alive does."""
    try:
        with path.open("r+", encoding="utf-8") as handle:
            locked_elsewhere = not _try_lock(handle)
            record = _read(handle)
            fresh = time.time() - path.stat().st_mtime < EXPIRY_SECONDS
    except FileNotFoundError:
        return None
    on_this_host = record.get("host") == socket.gethostname()
    alive = locked_elsewhere or (fresh and bool(record) and not on_this_host)
    return record if alive else None


def _acquire(path: Path) -> TextIO:
    with readable_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+", encoding="utf-8")
    if not _lock(handle):
        record = _read(handle)
        handle.close()
        raise _held(path, record)
    # A holder that just ended has unlinked the file we opened: take the new one.
    if not path.exists() or os.fstat(handle.fileno()).st_ino != path.stat().st_ino:
        handle.close()
        return _acquire(path)
    _refuse_live_holder_elsewhere(path, handle)
    with readable_disk_errors(path):
        handle.seek(0)
        handle.truncate()
        json.dump(_self(), handle)
        handle.flush()
    return handle


def _refuse_live_holder_elsewhere(path: Path, handle: TextIO) -> None:
    record = _read(handle)
    age = time.time() - path.stat().st_mtime
    if record and record.get("host") != socket.gethostname() and age < EXPIRY_SECONDS:
        handle.close()
        raise _held(path, record)


def _self() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "job": os.environ.get("SLURM_JOB_ID"),
        "since": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _held(path: Path, record: dict[str, Any]) -> PointBusyError:
    return PointBusyError(
        f"{path.parent} is being written by process {record.get('pid', '?')} on "
        f"{record.get('host', '?')} since {record.get('since', '?')}: wait for it, stop it, "
        "or set store.root to another folder"
    )


def _lock(handle: TextIO) -> bool:
    """Try for half a second: somebody asking for the holder locks for an instant."""
    for _ in range(10):
        if _try_lock(handle):
            return True
        time.sleep(0.05)
    return False


def _try_lock(handle: TextIO) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(handle: TextIO) -> dict[str, Any]:
    """The holder's record; empty when it died between creating and writing the file."""
    handle.seek(0)
    text = handle.read()
    try:
        record = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return record if isinstance(record, dict) else {}


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_SECONDS):
        path.touch()
