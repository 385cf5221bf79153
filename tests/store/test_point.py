"""Nothing is lost and nothing is there twice, whatever moment a writer dies at."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradsweep.errors import ConfigError, DataError, ModelError, StoreError
from gradsweep.records import SampleResult, SampleStatus, SpectrumRow
from gradsweep.store import (
    PointPaths,
    PointState,
    atomic,
    load_rows,
    load_samples_table,
    point_state,
)
from gradsweep.store.point import open_point
from gradsweep.store.state import point_statuses

CONFIG = {
    "axes": {"model": "m", "dataset": "d", "cot": "none", "correctness": "correct"},
    "science": {},
    "config": {},
}


def result(index: int, n_layers: int = 2) -> SampleResult:
    rows = tuple(
        SpectrumRow(layer, name, 1.0 + index, 1, 1, 1, 1, 1, 1, 1, 1, 0, True, "svd")
        for layer in range(n_layers)
        for name in "qk"
    )
    return SampleResult(f"s{index}", f"q{index}", index, SampleStatus.OK, loss=0.5, rows=rows)


@pytest.fixture
def paths(tmp_path: Path) -> PointPaths:
    return PointPaths(tmp_path / "results", "abc")


def complete(paths: PointPaths, indices: range) -> None:
    with open_point(paths, CONFIG) as store:
        for i in indices:
            store.append([result(i)])
        store.finish({"n": len(indices)})


def test_a_finished_point_reads_back_in_sample_order(paths: PointPaths) -> None:
    with open_point(paths, CONFIG) as store:
        store.append([result(2), result(0)])
        store.append([result(1)])
        assert point_state(paths) is PointState.RUNNING
        store.finish({})
    assert point_state(paths) is PointState.DONE
    rows = load_rows(paths.results)
    assert rows["sample_id"].to_list() == [f"s{i}" for i in range(3) for _ in range(4)]
    assert rows["projection"].to_list()[:4] == ["q", "k", "q", "k"]
    assert rows["nuclear_norm"].to_list()[::4] == [1.0, 2.0, 3.0]
    assert rows.select("model", "dataset", "cot", "correctness").unique().row(0) == tuple(
        CONFIG["axes"].values()
    )
    assert not paths.parts.exists()
    assert not paths.running.exists()


def test_running_points_can_be_read(paths: PointPaths) -> None:
    with open_point(paths, CONFIG) as store:
        store.append([result(0)])
        assert len(load_rows(paths.results)) == 4
        assert load_samples_table(paths.results)["loss"].to_list() == [0.5]


@pytest.mark.parametrize("finished", [True, False])
def test_files_from_before_a_column_was_there_still_read(finished: bool, paths: PointPaths) -> None:
    """And a point that was stopped then goes on with today's columns."""
    with open_point(paths, CONFIG) as store:
        store.append([result(0)])
        (part,) = paths.parts.glob("rows-*.parquet")
        pl.read_parquet(part).drop("cosine_partner", "cosine_next_layer").write_parquet(part)
    with open_point(paths, CONFIG) as store:
        store.append([result(1)])
        if finished:
            store.finish({})
            pl.read_parquet(paths.rows).drop("cosine_partner").write_parquet(paths.rows)
            paths.done.write_text("{}")  # its checksums are of another file
    rows = load_rows(paths.results)
    assert rows["nuclear_norm"].to_list()[::4] == [1.0, 2.0]
    assert rows["cosine_partner"].null_count() == (8 if finished else 4)


@pytest.mark.parametrize("fatal_write", range(1, 12))
def test_dying_at_any_write_loses_and_doubles_nothing(
    fatal_write: int, paths: PointPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Die just before the n-th rename of a run of three samples; then run it again."""

    class PowerCut(BaseException):
        pass

    unlink = Path.unlink
    replace, done = os.replace, 0

    def replace_until_the_cut(source: Path, target: Path) -> None:
        nonlocal done
        done += 1
        if done == fatal_write:
            # Nothing runs after a power cut, tidying up included.
            monkeypatch.setattr(Path, "unlink", lambda *args, **kwargs: None)
            raise PowerCut
        replace(source, target)

    def run() -> None:
        with open_point(paths, CONFIG) as store:
            for i in range(3):
                if f"s{i}" not in store.stored_ids:
                    store.append([result(i)])
            store.finish({})

    monkeypatch.setattr(atomic.os, "replace", replace_until_the_cut)
    with pytest.raises(PowerCut):
        run()
    monkeypatch.setattr(atomic.os, "replace", replace)
    monkeypatch.setattr(Path, "unlink", unlink)
    if point_state(paths) is not PointState.DONE:
        run()
    assert not list(paths.folder.rglob("*.tmp"))
    undisturbed = PointPaths(tmp_path / "undisturbed", "abc")
    complete(undisturbed, range(3))
    assert_frame_equal(pl.read_parquet(paths.rows), pl.read_parquet(undisturbed.rows))
    assert_frame_equal(pl.read_parquet(paths.samples), pl.read_parquet(undisturbed.samples))


def test_resuming_knows_what_is_stored(paths: PointPaths) -> None:
    with pytest.raises(RuntimeError, match="boom"), open_point(paths, CONFIG) as store:
        store.append([result(0)])
        raise RuntimeError("boom")
    assert point_state(paths) is PointState.FAILED
    failure = json.loads(paths.failed.read_text())
    assert (failure["error"], failure["message"]) == ("RuntimeError", "boom")
    assert "raise RuntimeError" in "".join(failure["traceback"])
    with open_point(paths, CONFIG) as store:
        assert store.stored_ids == {"s0"}
        assert point_state(paths) is PointState.RUNNING
        store.append([result(1)])
        store.finish({})
    assert point_state(paths) is PointState.DONE
    assert not paths.failed.exists()
    assert len(load_rows(paths.results)) == 8


@pytest.mark.parametrize("mistake", [ModelError, DataError, ConfigError])
def test_a_mistake_before_the_first_sample_leaves_nothing(
    paths: PointPaths, mistake: type[Exception]
) -> None:
    with pytest.raises(mistake), open_point(paths, CONFIG):
        raise mistake("there is no such model")
    assert not list((paths.results / "points").iterdir())
    with pytest.raises(mistake), open_point(paths, CONFIG, keep_failure=True):
        raise mistake("there is no such model")
    assert point_state(paths) is PointState.FAILED, "of a job, files alone tell"


def test_a_mistake_after_a_sample_keeps_what_is_stored(paths: PointPaths) -> None:
    with pytest.raises(DataError), open_point(paths, CONFIG) as store:
        store.append([result(0)])
        raise DataError("the file has changed")
    assert point_state(paths) is PointState.FAILED
    assert len(load_samples_table(paths.results)) == 1


def test_bad_samples_are_kept_with_their_reason(paths: PointPaths) -> None:
    bad = SampleResult("s1", "q1", 1, SampleStatus.EMPTY_RESPONSE, "the response is empty")
    with open_point(paths, CONFIG) as store:
        store.append([bad, result(0)])
        store.finish({})
    table = load_samples_table(paths.results)
    assert table["status"].to_list() == ["ok", "empty_response"]
    assert table["reason"].to_list() == ["", "the response is empty"]
    assert set(load_rows(paths.results)["sample_id"]) == {"s0"}
    (status,) = point_statuses(paths.results)
    assert (status.n_stored, status.n_bad, status.state) == (2, 1, PointState.DONE)


def test_disk_full_keeps_what_was_stored_and_says_what_to_do(
    paths: PointPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes = Path.write_bytes

    def full_for_tables(self: Path, content: bytes) -> int:
        if "parquet" in self.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(self, content)

    with (
        pytest.raises(StoreError, match=r"no space left.*store\.root"),
        open_point(paths, CONFIG) as store,
    ):
        store.append([result(0)])
        monkeypatch.setattr(Path, "write_bytes", full_for_tables)
        store.append([result(1)])
    monkeypatch.undo()
    assert point_state(paths) is PointState.FAILED
    assert not list(paths.folder.rglob("*.tmp"))
    with open_point(paths, CONFIG) as store:
        assert store.stored_ids == {"s0"}


@pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/bin/mount"), reason="mounts a disk")
def test_a_really_full_disk(tmp_path: Path) -> None:
    mounted = tmp_path / "small"
    mounted.mkdir()
    if os.system(f"mount -t tmpfs -o size=256k gradsweep-test {mounted} 2>/dev/null"):
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        paths = PointPaths(mounted, "abc")
        with pytest.raises(StoreError, match="no space left"), open_point(paths, CONFIG) as store:
            for i in range(200):
                store.append([result(i, n_layers=40)])
        stored = load_samples_table(mounted)["sample_id"].to_list()
        assert 0 < len(stored) < 200
        rows = load_rows(mounted)
        assert rows["sample_id"].unique(maintain_order=True).to_list() == stored
        assert len(rows) == len(stored) * 80
    finally:
        os.system(f"umount {mounted}")


def test_a_folder_without_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no results in"):
        load_rows(tmp_path)
    with pytest.raises(DataError, match=r"store\.root"):
        point_statuses(tmp_path)


def test_an_unwritable_folder_names_the_field(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where the folder should be")
    with (
        pytest.raises(StoreError, match=r"store\.root"),
        open_point(PointPaths(tmp_path / "results", "abc"), CONFIG),
    ):
        pass


def test_points_that_share_their_axes_are_told_apart(tmp_path: Path) -> None:
    for name, science in (("p0", {"seed": 0}), ("p1", {"seed": 1}), ("p2", {"n_samples": 3})):
        with open_point(PointPaths(tmp_path, name), CONFIG | {"science": science}) as store:
            store.append([result(0)])
            store.finish({})
    rows = load_rows(tmp_path).select("point_id", "series", "seed").unique().sort("point_id")
    assert rows.rows() == [("p0", "", 0), ("p1", "", 1), ("p2", "n_samples=3", 0)]
    assert load_rows(tmp_path, ["p2"])["series"].unique().to_list() == ["n_samples=3"]
