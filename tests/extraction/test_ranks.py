"""`model.placement=fsdp`: ranks that share a model's weights give what one process gives."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from helpers.agreement import assert_rows_agree
from helpers.ranks import on_ranks
from helpers.tiny_point import tiny_point
from polars.testing import assert_frame_equal

from gradsweep import compose, extract
from gradsweep.engine.rows import RowSink
from gradsweep.errors import StoreError
from gradsweep.extraction import PointResult
from gradsweep.store import PointPaths, PointState, point_state
from gradsweep.store.point import PointStore, read_parts

FSDP = "model.placement=fsdp"


@pytest.fixture
def overrides(saved_model: Path, tmp_path: Path) -> list[str]:
    """Samples of unequal length, in several batches."""
    more = "tracking=none", "n_samples=9", "gradients.batch_tokens=256", "gradients.workers=1"
    return tiny_point(saved_model, tmp_path / "results", *more)


def measured(*overrides: str, **more: Any) -> str:
    return extract(compose(*overrides), show_progress=False, **more).paths.point_id


def whole(overrides: list[str], folder: Path) -> PointResult:
    return extract(compose(*overrides, f"store.root={folder}"), show_progress=False)


def shared(overrides: list[str]) -> PointResult:
    """What ranks have stored."""
    config = compose(*overrides)
    paths = PointPaths(config.results, measured_id(overrides))
    return PointResult(config.axes, paths)


def measured_id(overrides: list[str]) -> str:
    from gradsweep.identity import point_id

    return point_id(compose(*overrides, FSDP))


def assert_identical(ours: PointResult, theirs: PointResult) -> None:
    assert point_state(ours.paths) is PointState.DONE
    assert_frame_equal(ours.rows(), theirs.rows(), check_exact=True)
    assert_frame_equal(ours.samples().drop("seconds"), theirs.samples().drop("seconds"))
    assert not list(ours.paths.folder.glob("RUNNING*"))


@pytest.mark.parametrize(
    ("count", "more"),
    [
        (2, ["gradients.heads=true", "gradients.similarities=true"]),
        pytest.param(4, ["n_samples=3", "gradients.checkpointing=true"], marks=pytest.mark.long),
        pytest.param(2, ["gradients.by=step", "objective=sft"], marks=pytest.mark.long),
    ],
)
def test_rows_are_those_of_one_process_to_the_last_bit(
    count: int, more: list[str], overrides: list[str], tmp_path: Path
) -> None:
    """With more ranks than samples, too: those without work run along."""
    asked = [*overrides, *more]
    told = on_ranks(count, lambda rank: measured(*asked, FSDP), tmp_path)
    expected = whole(asked, tmp_path / "other")
    assert told == [expected.paths.point_id] * count, "placement is no part of what a point is"
    assert_identical(shared(asked), expected)


@pytest.mark.long
def test_a_killed_rank_ends_all_and_the_point_goes_on_in_one_process(
    overrides: list[str], tmp_path: Path
) -> None:
    slow = [*overrides, "gradients.batch_tokens=1"]

    def work(rank: int) -> str:
        stored: list[int] = []

        def die_in_the_middle() -> bool:
            stored.append(1)
            if rank == 1 and len(stored) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return False

        return measured(*slow, FSDP, stop=die_in_the_middle)

    first, second = on_ranks(2, work, tmp_path)
    assert second == "ended -9"
    assert first.startswith("RankLostError: one of the processes")
    assert "run the same command again" in first
    paths = shared(slow).paths
    assert 2 <= len(read_parts(paths, "samples")) < 9
    assert_identical(extract(compose(*slow), show_progress=False), whole(slow, tmp_path / "other"))


@pytest.mark.long
def test_what_ends_one_rank_ends_all_with_its_words(overrides: list[str], tmp_path: Path) -> None:
    slow = [*overrides, "gradients.batch_tokens=1"]

    def work(rank: int) -> str:
        append, stored = PointStore.append, []

        def until_full(store: PointStore, results: Any) -> None:
            stored.append(1)
            if rank == 1 and len(stored) == 2:
                raise StoreError("the disk is full")
            append(store, results)

        PointStore.append = until_full  # type: ignore[method-assign]  # of this process alone
        return measured(*slow, FSDP)

    assert on_ranks(2, work, tmp_path) == [
        "RankFailedError: rank 1 of 2: the disk is full",
        "StoreError: the disk is full",
    ]
    assert point_state(shared(slow).paths) is PointState.FAILED


@pytest.mark.long
def test_ranks_stop_together(overrides: list[str], tmp_path: Path) -> None:
    slow = [*overrides, "gradients.batch_tokens=1"]
    told = on_ranks(2, lambda rank: measured(*slow, FSDP, stop=lambda: rank == 1), tmp_path)
    assert told == ["StopRequested: stopped between two batches"] * 2
    assert point_state(shared(slow).paths) is PointState.STOPPED
    on_ranks(2, lambda rank: measured(*slow, FSDP), tmp_path)
    assert_identical(shared(slow), whole(slow, tmp_path / "other"))


@pytest.mark.long
def test_where_memory_runs_out_on_one_rank_its_batch_is_cut_and_nothing_is_lost(
    overrides: list[str], tmp_path: Path
) -> None:
    """In the middle of a backward pass, while the other rank waits to gather weights."""

    def work(rank: int) -> str:
        add_layer, failed = RowSink.add_layer, []

        def short_of_memory(sink: RowSink, layer: Any) -> None:
            if rank == 1 and len(sink.by_unit) > 1 and len(failed) < 2:
                failed.append(1)
                raise torch.OutOfMemoryError("planned")
            add_layer(sink, layer)

        RowSink.add_layer = short_of_memory  # type: ignore[method-assign]
        measured(*overrides, FSDP)
        return str(len(failed))

    assert on_ranks(2, work, tmp_path)[1] in ("1", "2")
    ours, expected = shared(overrides), whole(overrides, tmp_path / "other")
    assert set(ours.samples()["status"]) == {"ok"}
    assert_rows_agree(ours.rows(), expected.rows())


def test_one_rank_alone_is_a_group_too(overrides: list[str], tmp_path: Path) -> None:
    few = [*overrides, "n_samples=2"]
    (told,) = on_ranks(1, lambda rank: measured(*few, FSDP), tmp_path)
    assert told == shared(few).paths.point_id
    assert pl.read_parquet(shared(few).paths.rows).height == shared(few).rows().height
