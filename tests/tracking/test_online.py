"""Whole points through extraction and the real client to a server, which may fail or go away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import wandb
from helpers.patience import wait_until
from helpers.tiny_point import tiny_point
from helpers.tracked_points import (
    assert_holds,
    indices,
    wait_for_uploads,
)
from polars.testing import assert_frame_equal
from wandb_receiver import Receiver

from gradsweep import compose, extract
from gradsweep.cli.verbs import run_verb
from gradsweep.identity import point_id
from gradsweep.store import PointPaths, PointState, point_state
from gradsweep.tracking.wandb.run_log import logged, segments

pytestmark = pytest.mark.usefixtures("connected")

MANY = ("n_samples=24", "gradients.batch_tokens=1")
"""To be killed in the middle, one sample at a time."""

EXTRACT = """
import sys, threading
import torch
torch.set_num_threads(1)
from gradsweep import compose, extract
stored = 0

def last_moment():
    global stored
    stored += 1
    return stored == 20 and threading.Event().wait()  # to be killed there at the latest

extract(compose(*sys.argv[1:]), show_progress=False, stop=last_moment)
"""


@pytest.fixture
def overrides(saved_model: Path, tmp_path: Path) -> list[str]:
    more = "model.max_length=400", "n_samples=6", "sweep=sweep-a"
    return tiny_point(saved_model, tmp_path / "results", *more)


@pytest.fixture
def run(overrides: list[str], receiver: Receiver) -> Callable[..., PointPaths]:
    """Runs a point with online tracking, uploads included."""

    def run_point(*more: str) -> PointPaths:
        paths = extract(compose(*overrides, *more), show_progress=False).paths
        wait_for_uploads()
        return paths

    return run_point


def received(receiver: Receiver, paths: PointPaths) -> None:
    run = receiver.run(paths.point_id)
    assert_holds(run, paths, receiver.artifact(f"rows-{paths.point_id}"))
    assert receiver.unsupported == []


@pytest.mark.long
@pytest.mark.parametrize("status", [None, 500, 429])
def test_a_point_arrives_as_it_is_stored(
    status: int | None, run: Callable[..., PointPaths], receiver: Receiver
) -> None:
    if status:
        receiver.faults.fail_every, receiver.faults.status = 3, status
    received(receiver, run())


@pytest.mark.long
def test_the_second_of_two_partners_gets_their_rd(
    run: Callable[..., PointPaths], receiver: Receiver
) -> None:
    from gradsweep.analysis import relative_difference, relative_difference_means
    from gradsweep.analysis.sample_metrics import sample_rows
    from gradsweep.store import load_rows, load_samples_table

    first, second = run("correctness=irrelevant"), run("correctness=correct")
    assert not [name for name in receiver.run(first.point_id).summary if name[:3] == "rd_"]
    differences = relative_difference(load_rows(first.results))
    means = relative_difference_means(differences)
    expected = {
        f"rd_nuclear_norm_{p}": rd
        for p, rd in means.select("projection", "relative_difference").iter_rows()
    }
    summary = receiver.run(second.point_id).summary
    assert {name: summary[name] for name in expected} == pytest.approx(expected)
    assert len([name for name in summary if name[:3] == "rd_"]) == 4 * 9 + 1
    (loss,) = relative_difference(sample_rows(load_samples_table(first.results)), "loss")[
        "relative_difference"
    ]
    assert summary["rd_loss"] == pytest.approx(loss)
    curves = {
        (row["layer"], name): value
        for row in receiver.run(second.point_id).history
        for name, value in row.items()
        if name.startswith("layer_rd_nuclear_norm_")
    }
    assert curves == pytest.approx(
        {
            (layer, f"layer_rd_nuclear_norm_{p}"): rd
            for layer, p, rd in differences.select(
                "layer", "projection", "relative_difference"
            ).iter_rows()
        }
    )


@pytest.mark.long
def test_a_crash_of_the_client_changes_no_number(
    overrides: list[str], run: Callable[..., PointPaths], tmp_path: Path
) -> None:
    """Its helper process is killed when half of the samples are stored."""
    from gradsweep.store import load_rows

    killed: list[int] = []

    def clients() -> list[psutil.Process]:
        return [p for p in psutil.Process().children(recursive=True) if "wandb" in p.name()]

    def crash() -> bool:
        """Asked after each stored batch."""
        if not killed:
            cores = wait_until(clients, "the client has started")
            killed.extend(core.pid for core in cores)
            for core in cores:
                core.kill()
        return False

    one_by_one = [*overrides, "gradients.batch_tokens=1", "gradients.workers=1"]
    config = compose(*one_by_one, "n_samples=10")
    paths = extract(config, show_progress=False, stop=crash).paths
    assert killed
    wait_for_uploads()
    other = f"store.root={tmp_path / 'other'}"
    untracked = extract(
        compose(*one_by_one, "n_samples=10", "tracking=none", other), show_progress=False
    )
    assert_frame_equal(load_rows(paths.results), untracked.rows())
    with suppress(OSError):  # the first call after the crash finds the connection gone
        wandb.teardown()


def kill_in_the_middle(overrides: list[str], stored: int) -> PointPaths:
    """Extraction in a process of its own, killed once so many samples are on disk."""
    config = compose(*overrides)
    paths = PointPaths(config.results, point_id(config))
    environment = os.environ | {"WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1"}
    command = [sys.executable, "-c", EXTRACT, *overrides, "gradients.workers=1"]
    process = subprocess.Popen(command, env=environment)

    def are_stored() -> bool:
        return len(list(paths.parts.glob("samples-*"))) >= stored

    wait_until(are_stored, f"{stored} samples are stored", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert point_state(paths) is PointState.STOPPED
    return paths


@pytest.mark.long
@pytest.mark.parametrize("mode", ["auto", "offline"])
def test_killed_and_resumed_each_sample_is_there_once(
    mode: str, overrides: list[str], run: Callable[..., PointPaths], receiver: Receiver
) -> None:
    more = [*MANY, f"tracking.mode={mode}"]
    paths = kill_in_the_middle([*overrides, *more], 8)
    wandb.teardown()
    run(*more)
    if mode == "offline":
        assert receiver.runs == []
        found = [logged(segment, "sample") for segment in segments(paths.results)]
        assert len(found) == 2
        assert sum(map(len, found)) == len(set.union(*found)) == 24
        assert run_verb("sync", [str(paths.results)]) == 0
    received(receiver, paths)


@pytest.mark.long
def test_a_server_that_goes_away_costs_neither_time_nor_results(
    run: Callable[..., PointPaths],
    overrides: list[str],
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from gradsweep.tracking.wandb import run as wandb_run

    monkeypatch.setattr(wandb_run, "FINISH_SECONDS", 2.0)
    receiver.faults.refuse_after = 2  # it knows the run and not one row
    paths = run()
    assert point_state(paths) is PointState.DONE
    (warning,) = [r for r in caplog.records if r.name.startswith("gradsweep.tracking")]
    assert "python -m gradsweep sync" in warning.message
    assert len(indices(receiver.run(paths.point_id))) < 6


def test_a_full_quota_costs_one_warning_and_no_results(
    run: Callable[..., PointPaths], receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.faults.quota_full = True
    assert point_state(run()) is PointState.DONE
    (warning,) = [r for r in caplog.records if r.name.startswith("gradsweep.tracking")]
    assert "quota" in warning.message
