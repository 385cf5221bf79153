"""A point as a W&B run: id = point id, group = sweep, tags = axes; contents in `wandb_schema`.

Files: `<store.root>/wandb/`, one folder per start of a point. An offline folder, and an online one
whose upload was cut short, is uploaded by `wandb sync <folder>`. The rows artifact is logged by
reference to the point's own file, so upload before results are moved.

A resumed point starts again under the same id: online W&B continues the run, offline a further
folder appears, and `wandb sync` joins them in order. Each start logs only the samples it computed.
A sample that was stored just before a kill may be missing from the live history; the layer rows,
summary, table and artifact come from all stored rows and are complete.

W&B never stops or holds up extraction: a fault is reported once as a warning and the tracker
turns itself off. A server that dies mid-way costs at most `INIT_SECONDS` at a point's start, or
`FINISH_SECONDS` and some 20 s of the client's own retries for artifacts at its end.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import wandb

from gradsweep.config import Config, WandbMode
from gradsweep.identity import science
from gradsweep.records import METRICS, SampleResult
from gradsweep.tracking import wandb_mode, wandb_schema

INIT_SECONDS = 15.0
"""How long W&B may take to open an online run."""
FINISH_SECONDS = 60.0
"""How long W&B may take to upload what is left when a point ends."""
QUIET = {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
"""Read before settings of a run apply: no messages, and no reports of the client's own errors."""
MAX_TAG_LENGTH = 64
"""W&B refuses longer tags."""

_LOG = logging.getLogger(__name__)


class WandbTracker:
    """Tracks one point in W&B, online or offline (`wandb_mode.choose_mode`)."""

    def __init__(
        self, config: Config, point_id: str, sweep: str | None, versions: Mapping[str, str]
    ) -> None:
        self.description = "W&B is off"
        self._root = config.results.resolve()
        self._point_id = point_id
        self._run: wandb.Run | None = None
        arguments = _run_arguments(config, point_id, sweep, versions)
        mode = self._choose_mode(config.tracking.mode)
        if mode.name != "disabled":
            self._start(mode, arguments)

    def log_sample(self, result: SampleResult) -> None:
        """Add a sample to the live curves; one without rows (bad input) is not shown."""
        run = self._run
        if run is None or not result.rows:
            return
        values = wandb_schema.sample_values(result)
        with self._reported("logging a sample"):
            run.log(values)

    def finish(self, rows: pl.DataFrame, rows_file: Path, summary: Mapping[str, float]) -> None:
        """Log layer curves, summary, table and rows, and wait for the uploads, within limits."""
        run = self._run
        if run is None:
            return
        stats = wandb_schema.layer_stats(rows)
        layers = wandb_schema.layer_values(stats)
        with self._reported("finishing"):
            try:
                for values in layers:
                    run.log(values)
                # A failure of an earlier start is over.
                run.summary.update({**summary, "failure": ""})
                self._log_files(run, stats, rows_file)
            finally:  # else the process waits for the server when it exits
                run.finish()
        self._run = None

    def fail(self, reason: str) -> None:
        """Mark the run as failed, with the reason in its summary."""
        run = self._run
        if run is None:
            return
        with self._reported("closing the run"):
            run.summary["failure"] = reason
            run.finish(exit_code=1)
        self._run = None

    def _log_files(self, run: wandb.Run, stats: pl.DataFrame, rows_file: Path) -> None:
        # wandb stages artifacts in the user's home, and a later sync drops them silently when they
        # are gone from there: stage them beside the run.
        with _default_environment({"WANDB_DATA_DIR": str(self._root / "wandb")}):
            run.log({"layer_stats": _table(stats)})
            run.log_artifact(_rows_artifact(self._point_id, rows_file))

    def _choose_mode(self, configured: WandbMode) -> wandb_mode.Mode:
        mode = wandb_mode.Mode("disabled", "its settings cannot be used")
        with self._reported("reading its settings"), _default_environment(QUIET):
            mode = wandb_mode.choose_mode(configured)
        self.description = f"W&B is off ({mode.reason})"
        return mode

    def _start(self, mode: wandb_mode.Mode, arguments: dict[str, Any]) -> None:
        with self._reported(f"starting {mode.name}"), _default_environment(QUIET):
            run = wandb.init(**arguments, mode=mode.name, dir=self._root, settings=_settings())
            run.define_metric("sample", hidden=True, summary="none")
            run.define_metric("s_*", step_metric="sample", summary="mean")
            run.define_metric("layer", hidden=True, summary="none")
            for metric in METRICS:  # `layer_*` would catch the table `layer_stats` too
                run.define_metric(f"layer_{metric}_*", step_metric="layer", summary="none")
            self._run = run
            place = run.project_url or f"`wandb sync {self._root}/wandb/offline-run-*` uploads it"
            self.description = f"W&B is {mode.name} ({mode.reason}); {place}"

    @contextmanager
    def _reported(self, action: str) -> Iterator[None]:
        """Turn a fault of the client in the block into one warning and a tracker that is off.

        The client raises `wandb.Error`, `OSError` when its helper process is gone, `TimeoutError`,
        pydantic's `ValidationError`, and private classes whose only base is `Exception`. Blocks
        therefore hold calls of the client and nothing that computes values of our own.
        """
        try:
            yield
        except Exception as error:
            recorded = (
                f"; `wandb sync {self._run.sync_dir}` uploads what it has" if self._run else ""
            )
            self._run = None
            self.description = f"W&B is off ({action} failed)"
            _LOG.warning(
                "W&B failed while %s (%s: %s) and is off for point %s from here on%s. "
                "Nothing is lost: all results are kept in %s.",
                *(action, type(error).__name__, " ".join(str(error).split())),
                *(self._point_id, recorded, self._root),
            )


def _run_arguments(
    config: Config, point_id: str, sweep: str | None, versions: Mapping[str, str]
) -> dict[str, Any]:
    """What names and describes a run: arguments of `wandb.init`."""
    axes = asdict(config.axes)
    return {
        "project": config.tracking.project,
        "entity": config.tracking.entity,
        "id": point_id,
        "resume": "allow",
        "name": str(config.axes),
        "group": sweep,
        "job_type": "extract",
        "tags": [f"{axis}={option}"[:MAX_TAG_LENGTH] for axis, option in axes.items()],
        "config": axes | {"science": science(config), "versions": dict(versions)},
        # Another run of this process is not ours to return or to finish.
        "reinit": "create_new",
    }


def _settings() -> wandb.Settings:
    """A client that prints nothing, asks nothing, and uploads no code, git state or system load."""
    return wandb.Settings(
        silent=True,
        quiet=True,
        console="off",
        save_code=False,
        disable_code=True,
        disable_git=True,
        x_disable_stats=True,
        # Seconds between flushes: how much live history a kill can cost.
        x_transaction_log_flush_interval=1.0,
        init_timeout=INIT_SECONDS,
        finish_timeout=FINISH_SECONDS,
        finish_timeout_raises=True,
    )


def _table(stats: pl.DataFrame) -> wandb.Table:
    return wandb.Table(columns=[*stats.columns], data=[list(line) for line in stats.iter_rows()])


def _rows_artifact(point_id: str, rows_file: Path) -> wandb.Artifact:
    artifact = wandb.Artifact(f"rows-{point_id}", type="rows")
    # Immutable: logged in place instead of through a copy.
    artifact.add_file(str(rows_file.resolve()), name="rows.parquet", policy="immutable")
    return artifact


@contextmanager
def _default_environment(defaults: Mapping[str, str]) -> Iterator[None]:
    """Environment variables inside the block, except those that the user has set."""
    added = {name: value for name, value in defaults.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
