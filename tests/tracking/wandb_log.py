"""Reads what the W&B client recorded, from the `.wandb` transaction log of a run's folder.

The log has a 7-byte header and then 32 KiB blocks in LevelDB's log format: each chunk is
crc32 (4 bytes), length (2), type (1: full, 2: first, 3: middle, 4: last), payload; a payload, put
together, is one protobuf `Record`. The client's own reader is not part of its wheel any more.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

HEADER = struct.Struct("<4sHB")
CHUNK = struct.Struct("<IHB")
BLOCK_SIZE = 32 * 1024
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class LoggedRun:
    """One folder of a run: what one start of a point recorded."""

    id: str = ""
    name: str = ""
    project: str = ""
    group: str = ""
    tags: list[str] = field(default_factory=list)
    resume: bool = False
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    """Rows in the order of logging, without W&B's own `_step`, `_runtime`, `_timestamp`."""
    summary: dict[str, Any] = field(default_factory=dict)
    """Top-level scalars, without those whose names start with `_`."""
    axes: dict[str, str] = field(default_factory=dict)
    """Metric name or glob -> the metric on its x axis."""
    artifacts: dict[str, dict[str, Path]] = field(default_factory=dict)
    """Artifact name -> name inside it -> the local file that a sync would upload."""
    exit_code: int | None = None
    """None while the run is open."""


def read_run(folder: Path) -> LoggedRun:
    """Everything recorded in a run's folder, `<root>/wandb/offline-run-…`."""
    (log,) = folder.glob("run-*.wandb")
    run = LoggedRun()
    for payload in _payloads(log.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(payload)
        _apply(record, run)
    return run


def _apply(record: wandb_internal_pb2.Record, run: LoggedRun) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "run":
        header = record.run
        run.id, run.name, run.project = header.run_id, header.display_name, header.project
        run.group, run.tags, run.resume = header.run_group, list(header.tags), header.resume
        run.config |= _public(header.config.update)
    elif kind == "history":
        run.history.append(_public(record.history.item))
    elif kind == "summary":
        run.summary |= _public(record.summary.update)
    elif kind == "metric":
        name = record.metric.name or record.metric.glob_name
        run.axes[name] = record.metric.step_metric
    elif kind == "artifact":
        contents = record.artifact.manifest.contents
        run.artifacts[record.artifact.name] = {e.path: Path(e.local_path) for e in contents}
    elif kind == "exit":
        run.exit_code = record.exit.exit_code


def _public(items: Any) -> dict[str, Any]:
    values = {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
    return {name: value for name, value in values.items() if not name.startswith("_")}


def _payloads(log: bytes) -> Iterator[bytes]:
    """Payloads of all whole records; a torn one at the end, left by a kill, is not one."""
    identifier, magic, _version = HEADER.unpack_from(log)
    assert (identifier, magic) == (b":W&B", 0xBEE1), "not a W&B transaction log"
    position, parts = HEADER.size, b""
    while position + CHUNK.size <= len(log):
        left_in_block = BLOCK_SIZE - position % BLOCK_SIZE
        if left_in_block < CHUNK.size:
            position += left_in_block
            continue
        _crc, length, kind = CHUNK.unpack_from(log, position)
        start, end = position + CHUNK.size, position + CHUNK.size + length
        if end > len(log):
            return
        parts = log[start:end] if kind in (FULL, FIRST) else parts + log[start:end]
        if kind in (FULL, LAST):
            yield parts
        position = end
