"""A point that is killed, interrupted or already being written: nothing is lost or done twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.agreement import assert_rows_agree
from helpers.patience import PATIENCE_SECONDS, wait_until
from polars.testing import assert_frame_equal

from gradsweep import compose
from gradsweep.cli.point import run_point
from gradsweep.errors import StoreError
from gradsweep.extraction import PointResult
from gradsweep.identity import point_id
from gradsweep.store import (
    PointPaths,
    PointState,
    load_rows,
    load_samples_table,
    point_state,
)

Point = Callable[..., PointResult]


KILLED = """
import sys, threading
from gradsweep import compose, extract
stored = 0

def last_moment():
    global stored
    stored += 1
    return stored == 12 and threading.Event().wait()  # to be killed there at the latest

extract(compose(*sys.argv[1:]), stop=last_moment)
"""


@pytest.mark.long
def test_kill_9_in_the_middle_then_again_equals_an_undisturbed_run(
    run: Point, overrides: list[str], tmp_path: Path
) -> None:
    """Really killed, at a moment of the machine's choosing, with samples stored and others not."""
    slow = [*overrides, "n_samples=16", "gradients.batch_tokens=1"]
    command = [sys.executable, "-c", KILLED, *slow]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    paths = PointPaths(tmp_path / "results", _point_id(slow))
    wait_until(lambda: n_parts(paths) >= 5, "five samples are stored", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stored = len(list(paths.parts.glob("samples-*.parquet")))
    assert 5 <= stored <= 12
    assert point_state(paths) is PointState.STOPPED

    seen: list[int] = []
    import gradsweep.engine.passes as module

    measure = module.Engine.measure

    def counting(self, batch):  # type: ignore[no-untyped-def]
        seen.append(len(batch.input_ids))
        return measure(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.Engine, "measure", counting)
        resumed = run(*slow[len(overrides) :])
    assert sum(seen) == 16 - stored
    undisturbed = run(*slow[len(overrides) :], f"store.root={tmp_path / 'undisturbed'}")
    assert_rows_agree(resumed.rows(), undisturbed.rows())
    assert_frame_equal(resumed.samples().drop("seconds"), undisturbed.samples().drop("seconds"))


def n_parts(paths: PointPaths) -> int:
    """Batches that are stored, or about to be."""
    return len(list(paths.parts.glob("samples-*")))


def _point_id(overrides: list[str]) -> str:
    return point_id(compose(*overrides))


def test_a_folder_that_another_live_process_writes_is_refused(
    run: Point, overrides: list[str], tmp_path: Path
) -> None:
    paths = PointPaths(tmp_path / "results", _point_id(overrides))
    hold = (
        "import sys; from pathlib import Path\n"
        "from gradsweep.store.lease import hold_lease\n"
        "with hold_lease(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(paths.running)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        try:
            with pytest.raises(StoreError, match=f"process {other.pid}"):
                run()
        finally:
            other.kill()
    assert not list(paths.folder.glob("FAILED*")), (
        "the point of another process is not ours to fail"
    )
    assert len(run().samples()) == 6


INTERRUPTED = """
import runpy, signal, sys, threading
from gradsweep.store.point import PointStore
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
append = PointStore.append

def then_wait(store, results):
    append(store, results)
    if len(list(store.paths.parts.glob("samples-*"))) == 2:
        threading.Event().wait()

PointStore.append = then_wait
runpy.run_module("gradsweep", run_name="__main__", alter_sys=True)
"""


@pytest.mark.long
def test_an_interrupted_terminal_keeps_what_is_stored(overrides: list[str], tmp_path: Path) -> None:
    slow = [*overrides, "gradients.batch_tokens=1", "gradients.workers=1"]
    paths = PointPaths(tmp_path / "results", _point_id(slow))
    command = [sys.executable, "-c", INTERRUPTED, *slow]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "200"}
    )
    wait_until(lambda: n_parts(paths) >= 2, "two samples are stored", process)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130, stderr
    assert "the same command goes on from there" in stderr
    assert point_state(paths) is not PointState.RUNNING
    assert n_parts(paths) == 2


@pytest.mark.long
def test_a_point_with_cosines_goes_on_where_it_was_stopped(
    run: Point, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in its third batch, on two workers; cosines are a sample's own."""
    import gradsweep.engine.passes as module

    options = ["gradients.similarities=true", "gradients.top_k=2", "gradients.batch_tokens=1"]
    measure, calls = module.Engine.measure, 0

    def stopping(self, batch):  # type: ignore[no-untyped-def]
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return measure(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(module.Engine, "measure", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(*options, "gradients.workers=1")
    stored = len(load_samples_table(tmp_path / "results"))
    assert 0 < stored < 6
    resumed = run(*options, "gradients.workers=2")
    undisturbed = run(*options, f"store.root={tmp_path / 'undisturbed'}")
    assert_rows_agree(resumed.rows(), undisturbed.rows())
    rows = resumed.rows()
    assert rows.filter(layer=0)["cosine_next_layer"].is_finite().all()
    assert rows.filter(layer=1)["cosine_next_layer"].is_nan().all()
    assert rows["cosine_partner"].is_finite().all()
    assert set(rows["singular_values"].list.len()) == {2}


def test_what_an_interrupt_leaves_beside_a_point_that_is_done_goes_with_the_next_run(
    run: Point, overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*folder: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("gradsweep.store.point.shutil.rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run()
    config = compose(*overrides)
    paths = PointPaths(config.results, point_id(config))
    assert point_state(paths) is PointState.DONE
    assert n_parts(paths)
    rows = load_rows(config.results)
    for again in (lambda: run_point(config), run):  # of the command line, and in Python
        paths.parts.mkdir(exist_ok=True)
        again()
        assert not paths.parts.exists()
    assert_frame_equal(load_rows(config.results), rows)
