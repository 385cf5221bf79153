"""What the W&B client wrote down of a run: the `.wandb` transaction logs of its folders.

`<store.root>/wandb/` has one folder per start of a point, a segment of its run:
`offline-run-<time>-<run id>` of an offline start, `run-<time>-<run id>` of an online one. Its log
has a 7-byte header and then 32 KiB blocks in LevelDB's log format: each chunk is crc32 (4 bytes),
length (2), type (1: full, 2: first, 3: middle, 4: last), payload; a payload, put together, is one
protobuf `Record`. The client's own reader is not part of its wheel any more.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

_HEADER = struct.Struct("<4sHB")
_CHUNK = struct.Struct("<IHB")
_BLOCK_SIZE = 32 * 1024
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


@dataclass(frozen=True)
class Segment:
    """The folder of one start of a point."""

    folder: Path
    run_id: str
    offline: bool

    @property
    def log(self) -> Path:
        return self.folder / f"run-{self.run_id}.wandb"

    @property
    def marker(self) -> Path:
        """There once everything is on a server, which it may name; `wandb sync` then skips it."""
        return self.folder / f"run-{self.run_id}.wandb.synced"


def segments(root: Path, run_id: str | None = None) -> list[Segment]:
    """Segments below a results folder in the order of their starts, of all runs or of one."""
    # A second start in the same second gets a folder with a suffix: the log has the id.
    logs = (root / "wandb").glob(f"*run-*/run-{run_id or '*'}.wandb")
    starts = [
        Segment(log.parent, log.stem.removeprefix("run-"), log.parent.name.startswith("offline-"))
        for log in logs
    ]
    return sorted(starts, key=lambda segment: segment.folder.name.removeprefix("offline-"))


def logged(segment: Segment, key: str) -> set[int]:
    """The values of `key` in the history rows of a segment, whole ones only."""
    values = set()
    for record in records(segment.log):
        if record.WhichOneof("record_type") == "history":
            row = public_items(record.history.item)
            values |= {int(row[key])} if key in row else set()
    return values


def records(log: Path) -> Iterator[Any]:
    """All whole `Record` messages of a log; nothing where there is none, or not one of W&B."""
    for payload in _payloads(log.read_bytes() if log.exists() else b""):
        record = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
        record.ParseFromString(payload)
        yield record


def public_items(items: Any) -> dict[str, Any]:
    """Name -> value of history or summary items, without W&B's own, which begin with `_`."""
    values = {item.key or ".".join(item.nested_key): item.value_json for item in items}
    return {name: json.loads(value) for name, value in values.items() if name[:1] != "_"}


def _payloads(log: bytes) -> Iterator[bytes]:
    """Payloads of all whole records; a torn one at the end, left by a kill, is not one."""
    if len(log) < _HEADER.size or _HEADER.unpack_from(log)[:2] != (b":W&B", 0xBEE1):
        return
    position, parts = _HEADER.size, b""
    while position + _CHUNK.size <= len(log):
        left_in_block = _BLOCK_SIZE - position % _BLOCK_SIZE
        if left_in_block < _CHUNK.size:
            position += left_in_block
            continue
        _crc, length, kind = _CHUNK.unpack_from(log, position)
        start, end = position + _CHUNK.size, position + _CHUNK.size + length
        if end > len(log):
            return
        parts = log[start:end] if kind in (_FULL, _FIRST) else parts + log[start:end]
        if kind in (_FULL, _LAST):
            yield parts
        position = end
