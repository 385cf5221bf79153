"""`model.placement=fsdp`: ranks that share a model's weights give what one process gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.agreement import assert_rows_agree
from helpers.ranks import Measuring, on_ranks
from helpers.tiny_point import tiny_point
from polars.testing import assert_frame_equal

from gradsweep import compose, extract
from gradsweep.extraction import PointResult
from gradsweep.identity import point_id
from gradsweep.plan.estimate import read_costs
from gradsweep.store import PointPaths, PointState, point_state
from gradsweep.store.point import read_parts

pytestmark = pytest.mark.long


@pytest.fixture
def overrides(saved_model: Path, tmp_path: Path) -> list[str]:
    """Samples of unequal length, in several batches."""
    more = "tracking=none", "n_samples=9", "gradients.batch_tokens=256", "gradients.workers=1"
    return tiny_point(saved_model, tmp_path / "results", *more)


def measured(
    overrides: list[str], folder: Path, count: int = 2, fault: str = ""
) -> tuple[list[str], PointResult]:
    """What became of each rank, and what they have stored."""
    told = on_ranks(count, Measuring(tuple(overrides), fault), folder)
    config = compose(*overrides)
    return told, PointResult(config.axes, PointPaths(config.results, point_id(config)))


def whole(overrides: list[str], folder: Path) -> PointResult:
    return extract(compose(*overrides, f"store.root={folder}"), show_progress=False)


def assert_identical(ours: PointResult, theirs: PointResult) -> None:
    assert point_state(ours.paths) is PointState.DONE
    assert_frame_equal(ours.rows(), theirs.rows(), check_exact=True)
    assert_frame_equal(ours.samples().drop("seconds"), theirs.samples().drop("seconds"))
    assert not list(ours.paths.folder.glob("RUNNING*"))


@pytest.mark.parametrize(
    ("count", "more"),
    [
        (2, ["gradients.heads=true", "gradients.similarities=true"]),
        (4, ["n_samples=3", "gradients.checkpointing=true"]),
    ],
)
def test_rows_are_those_of_one_process_to_the_last_bit(
    count: int, more: list[str], overrides: list[str], tmp_path: Path
) -> None:
    """With more ranks than samples, too: those without work run along."""
    told, point = measured([*overrides, *more], tmp_path, count)
    expected = whole([*overrides, *more], tmp_path / "other")
    assert told == [expected.paths.point_id] * count
    assert_identical(point, expected)
    ranks = [read_costs(p.paths.results)[0].ranks for p in (point, expected)]
    assert ranks == [count, 1], "plans tell what so many processes take"


def test_a_killed_rank_ends_all_and_the_point_goes_on_in_one_process(
    overrides: list[str], tmp_path: Path
) -> None:
    slow = [*overrides, "gradients.batch_tokens=1"]
    (first, second), point = measured(slow, tmp_path, fault="killed")
    assert second == "ended -9"
    assert first.startswith("RankLostError: one of the processes")
    assert "run the same command again" in first
    assert 2 <= len(read_parts(point.paths, "samples")) < 9
    assert_identical(extract(compose(*slow), show_progress=False), whole(slow, tmp_path / "other"))


def test_what_ends_one_rank_ends_all_with_its_words(overrides: list[str], tmp_path: Path) -> None:
    told, point = measured([*overrides, "gradients.batch_tokens=1"], tmp_path, fault="full")
    assert told == [
        "RankFailedError: rank 1 of 2: the disk is full",
        "StoreError: the disk is full",
    ]
    assert point_state(point.paths) is PointState.FAILED


def test_ranks_stop_together_and_go_on_together(overrides: list[str], tmp_path: Path) -> None:
    slow = [*overrides, "gradients.batch_tokens=1"]
    told, point = measured(slow, tmp_path, fault="stopped")
    assert told == ["StopRequested: stopped between two batches"] * 2
    assert point_state(point.paths) is PointState.STOPPED
    measured(slow, tmp_path)
    assert_identical(point, whole(slow, tmp_path / "other"))


def test_where_memory_runs_out_on_one_rank_its_batch_is_cut_and_nothing_is_lost(
    overrides: list[str], tmp_path: Path
) -> None:
    """In the middle of a backward pass, while the other rank waits to gather weights."""
    large = [*overrides, "gradients.batch_tokens=1024"]
    told, point = measured(large, tmp_path, fault="short")
    assert told == [point.paths.point_id] * 2
    assert set(point.samples()["status"]) == {"ok"}
    assert_rows_agree(point.rows(), whole(large, tmp_path / "other").rows())
