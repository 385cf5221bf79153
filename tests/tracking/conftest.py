"""W&B tests use the real client, never the network, and nothing of the developer's own set-up."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import polars as pl
import pytest
from wandb_receiver import Receiver

from gradsweep.config import (
    Config,
    CotConfig,
    CotLevel,
    DatasetConfig,
    DatasetKind,
    ModelConfig,
    ModelSource,
    StoreConfig,
    TrackingConfig,
    WandbMode,
)
from gradsweep.identity import point_record
from gradsweep.records import METRICS, PROJECTIONS, SampleResult, SampleStatus, SpectrumRow
from gradsweep.store import PointPaths
from gradsweep.store.frames import rows_frame
from gradsweep.store.point import open_point
from gradsweep.tracking.wandb.tracker import WandbTracker

N_LAYERS = 3


@pytest.fixture(autouse=True)
def fresh_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without a key, settings files, proxies or a wandb session."""
    import wandb

    for name in list(os.environ):
        if name.startswith("WANDB_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NETRC", str(home / ".netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(home / "config"))
    monkeypatch.chdir(tmp_path)
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture
def connected(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Receiver:
    """The server of this machine, where the client's environment leads."""
    for name, value in receiver.environment.items():
        monkeypatch.setenv(name, value)
    return receiver


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., Config]:
    """A point tracked by W&B, with results in `tmp_path/results`."""

    def make(mode: WandbMode = WandbMode.offline) -> Config:
        return Config(
            model=ModelConfig(name="tiny", source=ModelSource(hub_id="someone/tiny")),
            dataset=DatasetConfig(name="arithmetic", kind=DatasetKind.arithmetic),
            cot=CotConfig(CotLevel.detailed),
            store=StoreConfig(root=str(tmp_path / "results")),
            tracking=TrackingConfig(kind="wandb", project="tests", mode=mode),
        )

    return make


@pytest.fixture
def results() -> list[SampleResult]:
    """Four samples with random metrics in every layer and projection."""
    return [_result(index, random.Random(index)) for index in range(4)]


def _result(index: int, rng: random.Random) -> SampleResult:
    def row(layer: int, projection: str) -> SpectrumRow:
        metrics = {metric: rng.uniform(0.1, 10) for metric in METRICS}
        metrics["rank"] = rng.randint(1, 50)
        return SpectrumRow(  # type: ignore[arg-type]
            layer, projection, **metrics, checksum_error=0.0, finite=True, solver="svd"
        )

    rows = tuple(row(layer, name) for layer in range(N_LAYERS) for name in PROJECTIONS)
    return SampleResult(
        *(f"sample{index}", f"question{index}", index, SampleStatus.OK),
        loss=rng.uniform(0, 5),
        rows=rows,
    )


@pytest.fixture
def rows_of() -> Callable[[list[SampleResult]], pl.DataFrame]:
    """The rows of samples as the store gives them."""
    return rows_frame


@pytest.fixture
def store(make_config: Callable[..., Config]) -> Callable[..., PointPaths]:
    """Stores samples as the point `point123`; DONE when a summary is given."""

    def stored(
        results: list[SampleResult], summary: Mapping[str, float] | None = None
    ) -> PointPaths:
        config = make_config()
        paths = PointPaths(config.results, "point123")
        with open_point(paths, point_record(config) | {"point_id": "point123"}) as point:
            point.append([r for r in results if r.sample_id not in point.stored_ids])
            if summary is not None:
                point.finish({"metrics": dict(summary)})
        return paths

    return stored


@pytest.fixture
def finish(store: Callable[..., PointPaths]) -> Callable[..., PointPaths]:
    """Stores a point as DONE and ends its tracking, uploads included."""

    def end(
        tracker: WandbTracker, results: list[SampleResult], summary: Mapping[str, float]
    ) -> PointPaths:
        paths = store(results, summary)
        samples, rows = pl.read_parquet(paths.samples), pl.read_parquet(paths.rows)
        tracker.finish(samples, rows, paths.rows, summary)
        tracker.wait()
        return paths

    return end
