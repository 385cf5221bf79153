"""What a point leaves in W&B, read back from the transaction log of the real client."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import wandb
from helpers.wandb_log import read_run

from gradsweep.config import Config
from gradsweep.identity import science
from gradsweep.records import METRICS, SampleResult, SampleStatus
from gradsweep.store import PointPaths
from gradsweep.store.frames import rows_frame, samples_frame
from gradsweep.tracking import make_tracker
from gradsweep.tracking.wandb.tracker import WandbTracker

VERSIONS = {"gradsweep": "0.1.0", "torch": "2.13.0"}
MakeConfig = Callable[..., Config]
RowsOf = Callable[[list[SampleResult]], pl.DataFrame]
Finish = Callable[..., PointPaths]


def start(config: Config) -> WandbTracker:
    tracker = make_tracker(config, "point123", "sweep-a", VERSIONS)
    assert isinstance(tracker, WandbTracker)
    return tracker


def fail(tracker: WandbTracker, reason: str) -> None:
    tracker.fail(reason)
    tracker.wait()


def folders(config: Config) -> list[Path]:
    """The recorded runs, once the client's helper process has written them out and ended."""
    wandb.teardown()
    return sorted((config.results / "wandb").glob("offline-run-*"))


def means_by_projection(rows: pl.DataFrame, prefix: str) -> dict[str, float]:
    means = rows.group_by("projection").agg(pl.col(METRICS).cast(pl.Float64).mean())
    return {
        f"{prefix}_{metric}_{line['projection']}": line[metric]
        for line in means.iter_rows(named=True)
        for metric in METRICS
    }


@pytest.fixture
def finished(
    make_config: MakeConfig,
    results: list[SampleResult],
    rows_of: RowsOf,
    finish: Finish,
) -> SimpleNamespace:
    """A whole point, logged and read back."""
    config, rows = make_config(), rows_of(results)
    tracker = start(config)
    for result in results:
        tracker.log_sample(result)
    rows_file = finish(tracker, results, {"mad_nuclear_norm_q": 0.25}).rows
    (folder,) = folders(config)
    log = read_run(folder)
    return SimpleNamespace(config=config, rows=rows, rows_file=rows_file, folder=folder, log=log)


def test_a_finished_point_reads_back_as_it_was_given(
    finished: SimpleNamespace, results: list[SampleResult]
) -> None:
    log, rows = finished.log, finished.rows

    samples = [line for line in log.history if "sample" in line]
    assert len(samples) == len(results)
    for line, result in zip(samples, results, strict=True):
        means = means_by_projection(rows.filter(sample_id=result.sample_id), "s")
        assert line == pytest.approx({"sample": result.index, "s_loss": result.loss} | means)

    layers = [line for line in log.history if "layer" in line]
    assert [line["layer"] for line in layers] == [0, 1, 2]
    for line in layers:
        means = means_by_projection(rows.filter(layer=line["layer"]), "layer")
        assert line == pytest.approx({"layer": line["layer"]} | means)

    assert log.summary["mad_nuclear_norm_q"] == 0.25
    assert (log.id, log.group, log.project, log.resume) == ("point123", "sweep-a", "tests", True)
    assert log.name == "tiny · arithmetic · detailed · correct"
    axes = {"model": "tiny", "dataset": "arithmetic", "cot": "detailed", "correctness": "correct"}
    tags = {**axes, "gradsweep": "0.1.0", "torch": "2.13.0"}
    assert log.tags == [f"{name}={value}" for name, value in tags.items()]
    assert {axis: log.config[axis] for axis in axes} == axes
    assert log.config["versions"] == VERSIONS
    assert log.config["science"] == science(finished.config)
    assert log.exit_code == 0


def test_charts_have_the_right_x_axis(finished: SimpleNamespace) -> None:
    axes = finished.log.axes
    assert axes["s_*"] == "sample"
    assert {axes[f"layer_{metric}_*"] for metric in METRICS} == {"layer"}
    assert not any("layer_stats".startswith(name.rstrip("*")) for name in axes if "*" in name)


def test_layer_table_holds_the_statistics_over_samples(finished: SimpleNamespace) -> None:
    (table_file,) = (finished.folder / "files" / "media" / "table").glob("layer_stats*.json")
    table = json.loads(table_file.read_text())
    lines = pl.DataFrame(table["data"], schema=table["columns"], orient="row")
    assert len(lines) == 3 * 4 * len(METRICS)
    given = finished.rows.filter(layer=1, projection="v")["nuclear_norm"]
    (line,) = lines.filter(layer=1, projection="v", metric="nuclear_norm").to_dicts()
    assert line["count"] == 4
    assert line["mean"] == pytest.approx(given.mean())
    assert line["p10"] == pytest.approx(given.quantile(0.1, "linear"))
    assert line["p50"] == pytest.approx(given.median())
    assert line["p90"] == pytest.approx(given.quantile(0.9, "linear"))


def test_files_that_a_later_sync_needs_lie_in_the_results(finished: SimpleNamespace) -> None:
    root = finished.config.results
    artifacts = finished.log.artifacts
    assert artifacts["rows-point123"] == {"rows.parquet": finished.rows_file}
    staged = [path for contents in artifacts.values() for path in contents.values()]
    assert len(staged) == 2
    assert all(path.is_file() and path.is_relative_to(root) for path in staged)
    assert "WANDB_DATA_DIR" not in os.environ


def test_a_resumed_point_adds_a_folder_with_only_the_new_samples(
    make_config: MakeConfig,
    results: list[SampleResult],
    rows_of: RowsOf,
    finish: Finish,
) -> None:
    config, rows = make_config(), rows_of(results)
    first = start(config)
    for result in results[:2]:
        first.log_sample(result)
    fail(first, "preempted after 2 samples")
    second = start(config)
    second.resume(samples_frame(results[:2]), rows_frame(results[:2]))
    for result in results[2:]:
        second.log_sample(result)
    finish(second, results, {})

    logs = sorted(map(read_run, folders(config)), key=lambda log: len(log.history))
    assert [log.id for log in logs] == ["point123", "point123"]
    assert [log.exit_code for log in logs] == [1, 0]
    assert [log.summary["failure"] for log in logs] == ["preempted after 2 samples", ""]
    samples = [[line["sample"] for line in log.history if "sample" in line] for log in logs]
    assert samples == [[0, 1], [2, 3]]
    last_layer = next(line for line in logs[1].history if line.get("layer") == 2)
    of_all_samples = means_by_projection(rows.filter(layer=2), "layer")
    assert last_layer == pytest.approx({"layer": 2} | of_all_samples)


def test_samples_that_nobody_logged_are_logged_at_the_end(
    make_config: MakeConfig, results: list[SampleResult], finish: Finish
) -> None:
    """Measured by other processes, or stored just before a kill."""
    config = make_config()
    tracker = start(config)
    tracker.log_sample(results[2])
    finish(tracker, results, {})
    (folder,) = folders(config)
    history = read_run(folder).history
    assert [line["sample"] for line in history if "sample" in line] == [2, 0, 1, 3]


def test_a_point_can_do_without_rows_per_sample(
    make_config: MakeConfig, results: list[SampleResult], finish: Finish
) -> None:
    config = make_config()
    config.tracking.samples = False
    tracker = start(config)
    tracker.log_sample(results[0])
    finish(tracker, results, {"mad_nuclear_norm_q": 0.25})
    (folder,) = folders(config)
    log = read_run(folder)
    assert not [line for line in log.history if "sample" in line]
    assert [line["layer"] for line in log.history if "layer" in line] == [0, 1, 2]
    assert log.summary["mad_nuclear_norm_q"] == 0.25


def test_a_sample_without_rows_is_not_shown(
    make_config: MakeConfig, results: list[SampleResult]
) -> None:
    config = make_config()
    tracker = start(config)
    bad = replace(results[0], status=SampleStatus.NON_FINITE_LOSS, rows=(), reason="loss is nan")
    tracker.log_sample(bad)
    tracker.log_sample(results[1])
    fail(tracker, "end of test")
    (folder,) = folders(config)
    assert [line["sample"] for line in read_run(folder).history] == [1]


def test_a_point_without_any_rows_can_finish(make_config: MakeConfig, finish: Finish) -> None:
    config = make_config()
    finish(start(config), [], {"n_samples": 0})
    (folder,) = folders(config)
    log = read_run(folder)
    assert (log.exit_code, log.summary["n_samples"]) == (0, 0)


def test_another_run_of_the_process_is_left_alone(
    make_config: MakeConfig, tmp_path: Path, results: list[SampleResult]
) -> None:
    own = wandb.init(mode="offline", project="own", dir=str(tmp_path))
    config = make_config()
    tracker = start(config)
    tracker.log_sample(results[0])
    fail(tracker, "end of test")
    assert wandb.run is own
    own.log({"loss": 1.0})
    own.finish()
    wandb.teardown()
    log = read_run(Path(own.settings.sync_dir))
    assert (log.project, log.history) == ("own", [{"loss": 1.0}])


def test_nothing_is_printed(
    make_config: MakeConfig,
    results: list[SampleResult],
    finish: Finish,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    settings = tmp_path / "home" / "config" / "settings"
    settings.parent.mkdir()
    settings.write_text("[default]\nentity = someone\n")
    config = make_config()
    tracker = start(config)
    tracker.log_sample(results[0])
    finish(tracker, results, {})
    assert capfd.readouterr() == ("", "")
    assert f"python -m gradsweep sync {config.results}" in tracker.description
