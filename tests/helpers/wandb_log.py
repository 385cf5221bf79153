"""What the W&B client recorded, read back from the log of a run's folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradsweep.tracking.wandb.run_log import public_items, records


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
    for record in records(log):
        _apply(record, run)
    return run


def _apply(record: Any, run: LoggedRun) -> None:
    kind = record.WhichOneof("record_type")
    if kind == "run":
        header = record.run
        run.id, run.name, run.project = header.run_id, header.display_name, header.project
        run.group, run.tags, run.resume = header.run_group, list(header.tags), header.resume
        run.config |= public_items(header.config.update)
    elif kind == "history":
        run.history.append(public_items(record.history.item))
    elif kind == "summary":
        run.summary |= public_items(record.summary.update)
    elif kind == "metric":
        name = record.metric.name or record.metric.glob_name
        run.axes[name] = record.metric.step_metric
    elif kind == "artifact":
        contents = record.artifact.manifest.contents
        run.artifacts[record.artifact.name] = {e.path: Path(e.local_path) for e in contents}
    elif kind == "exit":
        run.exit_code = record.exit.exit_code
