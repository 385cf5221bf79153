"""Whether a W&B run holds exactly what is stored of its point."""

from __future__ import annotations

import json
import threading

import polars as pl
import pytest
from wandb_receiver import ReceivedRun

from gradsweep.analysis import curves
from gradsweep.records import AXES, METRICS, axis_words
from gradsweep.store import PointPaths, load_rows, load_samples_table
from gradsweep.store.record import read_config
from gradsweep.tracking.tracker import THREAD_PREFIX
from gradsweep.tracking.wandb.description import TAGGED_VERSIONS
from helpers.patience import PATIENCE_SECONDS


def wait_for_uploads() -> None:
    """What the end of a process does: tracked points upload in threads of their own."""
    for thread in threading.enumerate():
        if thread.name.startswith(THREAD_PREFIX):
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive(), "a tracker of this process was never ended"


def indices(run: ReceivedRun) -> list[int]:
    """The samples of a run's history, in the order of arrival."""
    return [row["sample"] for row in run.history if "sample" in row]


def assert_holds(run: ReceivedRun, paths: PointPaths, artifact: dict[str, bytes]) -> None:
    """Each sample and each layer once, with the stored numbers; summary, table and rows."""
    rows = load_rows(paths.results, [paths.point_id])
    samples = load_samples_table(paths.results, [paths.point_id])
    assert sorted(indices(run)) == samples.filter(status="ok")["index"].sort().to_list()
    for line in (row for row in run.history if "sample" in row):
        (stored,) = samples.filter(index=line["sample"]).to_dicts()
        of_sample = rows.filter(sample_id=stored["sample_id"])
        expected = {"sample": stored["index"], "s_loss": stored["loss"]}
        assert line == pytest.approx(expected | _means(of_sample, "s"))
    layers = [row for row in run.history if "layer" in row]
    assert [line.pop("layer") for line in layers] == list(range(rows["layer"].max() + 1))
    for metric in _measured(rows):
        curve = curves(rows, metric, resamples=0)
        for layer, line in enumerate(layers):
            of_layer = dict(curve.filter(layer=layer).select("projection", "mean").iter_rows())
            seen = {p: line[f"layer_{metric}_{p}"] for p in of_layer}
            assert seen == pytest.approx(of_layer)
    summary = json.loads(paths.summary.read_text())["metrics"]
    assert {name: run.summary[name] for name in summary} == pytest.approx(summary)
    assert (run.summary["failure"], run.state) == ("", "finished")
    assert len(run.table("layer_stats")["data"]) == len(layers) * 4 * len(_measured(rows))
    assert artifact == {"rows.parquet": paths.rows.read_bytes()}
    _assert_described(run, paths)


def _assert_described(run: ReceivedRun, paths: PointPaths) -> None:
    record = read_config(paths)
    assert {axis: run.values[axis] for axis in AXES} == record["axes"]
    assert run.values["science"] == record["science"]
    assert run.values["versions"] == record["versions"]
    told = {axis: value for axis, value in record["axes"].items() if axis_words({axis: value})}
    named = told | {name: record["versions"][name] for name in TAGGED_VERSIONS}
    assert sorted(run.tags) == sorted(f"{name}={value}" for name, value in named.items())
    assert run.group == record["config"]["sweep"]


def _measured(rows: pl.DataFrame) -> list[str]:
    """Metrics that have values: cosines are measured only when asked for."""
    return [metric for metric in METRICS if rows[metric].cast(pl.Float64).is_finite().any()]


def _means(rows: pl.DataFrame, prefix: str) -> dict[str, float]:
    means = rows.group_by("projection").agg(pl.col(_measured(rows)).cast(pl.Float64).mean())
    return {
        f"{prefix}_{metric}_{line['projection']}": line[metric]
        for line in means.iter_rows(named=True)
        for metric in _measured(rows)
    }
