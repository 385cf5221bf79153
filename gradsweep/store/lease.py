"""One live writer: a file lock on this host, a heartbeat for other hosts.

The kernel drops a lock when its process dies, however it dies, so what a killed job held can be
taken over at once on the same host. Locks do not reach every network file system; a holder on
another host is believed alive while its heartbeat is young.

A lease is a file that comes into being whole, by a hard link, which only one of several processes
gets on any host. Who takes over a dead one moves it away first. So a holder that was only thought
dead (a frozen node that wakes up) finds another file in its place, and stops: `Lease.check`.

A heartbeat from the future is young, however far ahead it is: of a host whose clock is ahead, all
are, and to take over from one that lives would be two writers. It may be of a folder that was
copied, too, and then never get old: people, who can look whether the process is there, are told
what to remove (`ahead`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shlex
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from gradsweep.errors import PointBusyError
from gradsweep.store.atomic import readable_disk_errors
from gradsweep.times import duration_text, timestamp

HEARTBEAT_SECONDS = 10.0
"""How often a holder touches its lease."""
EXPIRY_SECONDS = 90.0
"""Age of a heartbeat after which a holder on another host counts as dead."""
ASIDE_SUFFIX = ".lease"
"""Suffix of a lease on its way in or out: there for an instant, unless its process is killed."""


@dataclass(frozen=True)
class Lease:
    """A lease that this process holds, or held."""

    path: Path
    inode: int

    def check(self) -> None:
        """Check, before writing what the lease protects, that it is still ours.

        Raises:
            PointBusyError: another process has taken over, believing this one dead.
        """
        if not self._is_ours():
            raise PointBusyError(
                f"{self.path.parent} was taken over by another process while this one did not "
                f"answer for {EXPIRY_SECONDS:.0f} s; what is stored is kept, and it goes on there"
            )

    def _is_ours(self) -> bool:
        try:
            return self.path.stat().st_ino == self.inode
        except FileNotFoundError:
            return False

    def beat(self) -> None:
        with contextlib.suppress(OSError):  # a file system away for a moment; check() tells
            if self._is_ours():
                os.utime(self.path)

    def release(self) -> None:
        if self._is_ours():
            self.path.unlink(missing_ok=True)


@contextmanager
def hold_lease(path: Path) -> Iterator[Lease]:
    """Hold `path` (a RUNNING file) while the block runs; removed at its end.

    Raises:
        PointBusyError: a live process holds it; the message names host, process and start.
    """
    handle, lease = _acquire(path)
    try:
        stop = threading.Event()
        beat = threading.Thread(target=_beat, args=(lease, stop), name="lease", daemon=True)
        beat.start()
        try:
            yield lease
        finally:
            stop.set()
            beat.join()
    finally:
        lease.release()
        handle.close()


def holder(path: Path) -> dict[str, Any] | None:
    """Read who holds this lease now; None when nobody alive does."""
    try:
        with path.open("r+", encoding="utf-8") as handle:
            return _read(handle) if _is_alive(handle, time.time()) else None
    except FileNotFoundError:
        return None
    except OSError as error:  # somebody else's results: the heartbeat has to do
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        record = json.loads(path.read_text(encoding="utf-8"))
        fresh = time.time() - path.stat().st_mtime < EXPIRY_SECONDS
        return record if fresh else None


def held(path: Path, record: dict[str, Any]) -> PointBusyError:
    """Make the refusal to whoever asks for what a live process has."""
    never = ahead(path, record)
    return PointBusyError(
        f"{path.parent} is being written by process {record.get('pid', '?')} on "
        f"{record.get('host', '?')} since {record.get('since', '?')}: wait for it, stop it, "
        f"or set store.root to another folder{never and '; '}{never}"
    )


def ahead(path: Path, record: Mapping[str, Any]) -> str:
    """Say how to end a lease of another host whose heartbeat is dated too far in the future.

    Empty of all others: those whose process has ended get old, or are known not to be locked.
    """
    if record.get("host") == socket.gethostname():
        return ""
    try:
        seconds = path.stat().st_mtime - time.time()
    except FileNotFoundError:
        return ""
    if seconds < EXPIRY_SECONDS:
        return ""
    return (
        f"if that process has ended, rm {shlex.quote(str(path))}: its last sign of life is dated "
        f"{duration_text(seconds)} from now (clocks that differ, or a copied folder) and counts "
        "until then"
    )


def _acquire(path: Path) -> tuple[TextIO, Lease]:
    with readable_disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = _aside(path)
        handle = aside.open("w+", encoding="utf-8")
        try:
            _try_lock(handle)
            json.dump(_self(), handle)
            handle.flush()
            state = os.fstat(handle.fileno())
            try:
                # The file server's clock, which also dates the heartbeats.
                while not _linked(aside, path):
                    _remove_dead(path, now=state.st_mtime)
            except BaseException:  # an interrupt may come when the lease lies there already
                Lease(path, state.st_ino).release()
                raise
        except BaseException:
            handle.close()
            raise
        finally:
            aside.unlink(missing_ok=True)
    return handle, Lease(path, state.st_ino)


def _linked(aside: Path, path: Path) -> bool:
    try:
        os.link(aside, path)
    except FileExistsError:
        return False
    return True


def _remove_dead(path: Path, now: float) -> None:
    """Move a dead holder's lease away; raises PointBusyError when the holder is alive."""
    try:
        handle = path.open("r+", encoding="utf-8")
    except FileNotFoundError:
        return
    with handle:
        if not _is_dead_for_a_while(handle, now):
            raise held(path, _read(handle))
        dead = os.fstat(handle.fileno()).st_ino
        gone = _aside(path)
        with contextlib.suppress(FileNotFoundError):  # somebody else was faster
            if path.stat().st_ino != dead:
                return
            os.rename(path, gone)
            if gone.stat().st_ino != dead:
                # Faster still: it has removed the dead one and put its own there. Give it back.
                with contextlib.suppress(FileExistsError):
                    os.link(gone, path)
            gone.unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{ASIDE_SUFFIX}")


def _is_dead_for_a_while(handle: TextIO, now: float) -> bool:
    """Try for half a second: somebody asking for the holder locks for an instant."""
    for _ in range(10):
        if not _is_alive(handle, now):
            return True
        time.sleep(0.05)
    return False


def _is_alive(handle: TextIO, now: float) -> bool:
    record = _read(handle)
    fresh = now - os.fstat(handle.fileno()).st_mtime < EXPIRY_SECONDS
    if record and record.get("host") != socket.gethostname():
        return fresh
    locked = _try_lock(handle)
    return fresh and bool(record) if locked is None else not locked


def _self() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "job": os.environ.get("SLURM_JOB_ID"),
        "node": os.environ.get("SLURMD_NODENAME"),
        "since": timestamp(),
    }


def _try_lock(handle: TextIO) -> bool | None:
    """Whether the lock was free and is ours now; None where the file system has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # Lustre mounted without flock
        return None
    return True


def _read(handle: TextIO) -> dict[str, Any]:
    """The holder's record; empty when a crash cut it off."""
    handle.seek(0)
    text = handle.read()
    try:
        record = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return record if isinstance(record, dict) else {}


def _beat(lease: Lease, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_SECONDS):
        lease.beat()
