"""The W&B run of one point, open in the real client; contents in `wandb.schema`.

Every sample and layer is logged once, whatever happened before: a row that the run's history has
already is left out. What it has is asked of the server; offline, it is read from the logs of the
earlier starts, which a later `sync` or `wandb sync` uploads.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

import polars as pl
import wandb
from wandb.sdk.mailbox import MailboxClosedError

from gradsweep.records import METRICS
from gradsweep.store.frames import STEP_SCHEMA, own_metric_columns
from gradsweep.tracking.wandb import schema as wandb_schema
from gradsweep.tracking.wandb import training_schema
from gradsweep.tracking.wandb.description import RunDescription
from gradsweep.tracking.wandb.environment import (
    client_environment,
    environment_defaults,
    environment_without,
    own_run,
)
from gradsweep.tracking.wandb.ledger import server_name
from gradsweep.tracking.wandb.mode import require_route
from gradsweep.tracking.wandb.pair_difference import Difference
from gradsweep.tracking.wandb.run_log import logged, segments

INIT_SECONDS = 15.0
"""How long W&B may take to open an online run."""
FINISH_SECONDS = 60.0
"""How long W&B may take to upload what is left when a point ends."""
ASK_SECONDS = 10
"""How long W&B may take to say which rows a run has."""
_LOG = logging.getLogger(__name__)
_opening = threading.Lock()


class PointRun:
    """A run that is open. Methods raise whatever the client raises."""

    def __init__(
        self,
        description: RunDescription,
        root: Path,
        mode: Literal["online", "offline"],
        must_ask: bool = False,
    ) -> None:
        """Open it; its folder lies in `root`/wandb.

        `must_ask`: a server that does not say which rows it has is an error. Otherwise the local
        logs, which may be a second behind, have to do.
        """
        self._description, self._root, self._online = description, root, mode == "online"
        self._must_ask = must_ask
        self._run = _open(description, root, mode)
        self._has: dict[str, set[int]] = {}
        self._run.define_metric(wandb_schema.SAMPLE, hidden=True, summary="none")
        self._run.define_metric("s_*", step_metric=wandb_schema.SAMPLE, summary="mean")
        self._run.define_metric(wandb_schema.LAYER, hidden=True, summary="none")
        self._define_layers(METRICS)

    @property
    def folder(self) -> Path:
        return Path(self._run.settings.sync_dir)

    @property
    def place(self) -> str:
        """Where to look at it: its page, or its folder when it is offline."""
        return self._run.url or str(self.folder)

    def log_samples(self, samples: pl.DataFrame, rows: pl.DataFrame) -> int:
        """Add the samples that the run does not have; returns how many these are."""
        if not self._description.samples:
            return 0
        return self._log(wandb_schema.SAMPLE, wandb_schema.sample_values(samples, rows))

    def finish(
        self,
        samples: pl.DataFrame,
        rows: pl.DataFrame,
        rows_file: Path,
        summary: Mapping[str, float],
        rd: Difference,
    ) -> int:
        """Complete the run and wait for the uploads, within limits.

        Returns how many samples it did not have yet.
        """
        stats = wandb_schema.layer_stats(rows)
        try:
            self._define_layers(own_metric_columns(rows))
            added = self.log_samples(samples, rows)
            self._log(wandb_schema.LAYER, wandb_schema.layer_values(stats, rd.layers))
            # A failure of an earlier start is over.
            self._run.summary.update({**summary, **rd.scalars, wandb_schema.FAILURE: ""})
            self._log_files(stats, rows_file)
        finally:  # else the process waits for the server when it exits
            self._run.finish()
        if self._online:
            self._mark_uploaded()
        return added

    def log_steps(self, steps: pl.DataFrame) -> int:
        """Add the optimizer steps that the run does not have; returns how many these are."""
        self._define_steps()
        return self._log(training_schema.STEP, training_schema.step_values(steps))

    def finish_training(
        self,
        steps: pl.DataFrame,
        rows: pl.DataFrame,
        rows_file: Path,
        summary: Mapping[str, float],
    ) -> int:
        """Complete a training point's run, as `finish`; returns how many steps it did not have."""
        try:
            added = self.log_steps(steps)
            measured = training_schema.measured_values(rows)
            for name in sorted({name for line in measured for name in line}):
                if name != training_schema.MEASURED:
                    self._run.define_metric(name, step_metric=training_schema.MEASURED)
            self._log(training_schema.MEASURED, measured)
            self._run.summary.update({**summary, wandb_schema.FAILURE: ""})
            self._log_rows(rows_file)
        finally:
            self._run.finish()
        if self._online:
            self._mark_uploaded()
        return added

    def _define_steps(self) -> None:
        if training_schema.STEP in self._has:
            return
        for axis in (training_schema.STEP, training_schema.MEASURED):
            self._run.define_metric(axis, hidden=True, summary="none")
        for name in STEP_SCHEMA:
            self._run.define_metric(f"train_{name}", step_metric=training_schema.STEP)

    def fail(self, reason: str) -> None:
        """End a run that is not complete, with the reason in its summary."""
        self._run.summary[wandb_schema.FAILURE] = reason
        self._run.finish(exit_code=1)

    def _define_layers(self, metrics: Iterable[str]) -> None:
        """Give layer curves their x axis; `layer_*` would catch the table `layer_stats` too."""
        for metric in metrics:
            for name in (wandb_schema.curve_name, wandb_schema.rd_curve_name):
                self._run.define_metric(
                    name(metric, "*"), step_metric=wandb_schema.LAYER, summary="none"
                )

    def _log(self, key: str, lines: Iterable[Mapping[str, float]]) -> int:
        if key not in self._has:
            self._has[key] = self._history(key)
        new = [line for line in lines if line[key] not in self._has[key]]
        for line in new:
            self._run.log(dict(line))
            self._has[key].add(int(line[key]))
        return len(new)

    def _history(self, key: str) -> set[int]:
        """The values of `key` in rows that the run has."""
        if self._online and not self._run.resumed:
            return set()  # the server has never heard of it
        if self._online:
            try:
                return self._on_server(key)
            except Exception as error:  # the client's own classes share no other base
                if self._must_ask:
                    raise
                _LOG.warning("W&B did not say what it has (%s); going by local logs", error)
        earlier = segments(self._root, self._description.run_id)
        return {value for segment in earlier for value in logged(segment, key)}

    def _on_server(self, key: str) -> set[int]:
        path = f"{self._run.entity}/{self._run.project}/{self._description.run_id}"
        stored = wandb.Api(timeout=ASK_SECONDS).run(path)
        return {int(row[key]) for row in stored.scan_history(keys=[key], use_cache=False)}

    def _log_files(self, stats: pl.DataFrame, rows_file: Path) -> None:
        if self._online:  # files of a server that is gone would be tried for most of a minute
            require_route(self._run.settings.base_url)
        # wandb stages artifacts in the user's home, and a later sync drops them silently when they
        # are gone from there: stage them beside the run.
        stage = {"WANDB_DATA_DIR": str(self._root / "wandb")}
        with environment_without([*stage]), environment_defaults(stage):
            data = [list(line) for line in stats.iter_rows()]
            self._run.log({"layer_stats": wandb.Table(columns=[*stats.columns], data=data)})
        self._log_rows(rows_file)

    def _log_rows(self, rows_file: Path) -> None:
        if self._online:
            require_route(self._run.settings.base_url)
        stage = {"WANDB_DATA_DIR": str(self._root / "wandb")}
        with environment_without([*stage]), environment_defaults(stage):
            artifact = wandb.Artifact(f"rows-{self._description.run_id}", type="rows")
            # Immutable: logged in place instead of through a copy.
            artifact.add_file(str(rows_file.resolve()), name="rows.parquet", policy="immutable")
            self._run.log_artifact(artifact)

    def _mark_uploaded(self) -> None:
        names = (self._description.entity, self._description.project)
        for segment in segments(self._root, self._description.run_id):
            if segment.folder == self.folder:
                segment.marker.write_text(server_name(self._run.settings.base_url, *names))


def _open(description: RunDescription, root: Path, mode: Literal["online", "offline"]) -> wandb.Run:
    def start() -> wandb.Run:
        return wandb.init(**description.arguments(), mode=mode, dir=root, settings=_settings())

    with _opening, client_environment(), own_run():
        try:
            return start()
        except (OSError, MailboxClosedError):
            # The client's helper process has died, and the client never starts another one.
            with suppress(OSError):
                wandb.teardown()
            return start()


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
        # Else the name of a training job would be the id of every run.
        sagemaker_disable=True,
        init_timeout=INIT_SECONDS,
        finish_timeout=FINISH_SECONDS,
        finish_timeout_raises=True,
    )
