"""`sync`: what is stored reaches the server once, however often and from wherever it starts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest
import wandb
from helpers.tracked_points import assert_holds, indices
from wandb_receiver import Receiver

from gradsweep.cli.verbs import run_verb
from gradsweep.config import Config, WandbMode
from gradsweep.errors import TrackingError
from gradsweep.records import SampleResult
from gradsweep.store import PointPaths, load_rows, load_samples_table
from gradsweep.store.lease import hold_lease
from gradsweep.tracking import make_tracker
from gradsweep.tracking.wandb import sync
from gradsweep.tracking.wandb.follow import follow
from gradsweep.tracking.wandb.sync import Uploader
from gradsweep.tracking.wandb.tracker import WandbTracker

pytestmark = pytest.mark.usefixtures("connected")

POINT = "point123"
VERSIONS = {"gradsweep": "0.1.0"}
Track = Callable[..., WandbTracker]


@pytest.fixture
def track(make_config: Callable[..., Config]) -> Track:
    """A start of the point, offline unless told otherwise."""

    def start(mode: WandbMode = WandbMode.offline) -> WandbTracker:
        tracker = make_tracker(make_config(mode), POINT, None, VERSIONS)
        assert isinstance(tracker, WandbTracker)
        return tracker

    return start


@pytest.fixture
def done(
    track: Track, results: list[SampleResult], finish: Callable[..., PointPaths]
) -> PointPaths:
    """A point that was tracked offline and is DONE."""
    tracker = track()
    for result in results:
        tracker.log_sample(result)
    return finish(tracker, results, {"mad_nuclear_norm_q": 0.25})


def synced(paths: PointPaths, *more: str) -> int:
    return run_verb("sync", [str(paths.results), *more])


def test_an_offline_point_arrives_once_and_the_second_sync_sends_nothing(
    done: PointPaths, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert receiver.runs == []
    wandb.teardown()  # a process of its own
    assert synced(done) == 0
    printed = capsys.readouterr()
    assert f"uploaded  {POINT}" in printed.out
    assert "wandb:" not in printed.err
    assert_holds(receiver.run(POINT), done, receiver.artifact(f"rows-{POINT}"))
    sent = len(receiver.requests)
    assert synced(done) == 0
    assert len(receiver.requests) == sent
    assert "1 nothing new" in capsys.readouterr().out
    (server,) = json.loads((done.results / "wandb" / "ledger.json").read_text()).values()
    assert server[POINT]["state"] == "uploaded"
    (folder,) = (done.results / "wandb").glob("offline-run-*")
    assert server[POINT]["segments"] == [folder.name]
    assert (folder / f"run-{POINT}.wandb.synced").exists()  # `wandb sync` skips it too


def test_what_the_server_has_already_is_not_sent_again(
    done: PointPaths, receiver: Receiver
) -> None:
    """Samples only: as if the upload had been cut short, or somebody else had begun it."""
    with Uploader(done.results) as uploader:
        run = uploader.open(done, POINT)
        samples, rows = load_samples_table(done.results), load_rows(done.results)
        run.log_samples(samples.head(2), rows)
        run.fail("killed")
    assert sorted(indices(receiver.run(POINT))) == [0, 1]
    assert synced(done) == 0
    assert_holds(receiver.run(POINT), done, receiver.artifact(f"rows-{POINT}"))


@pytest.mark.long
def test_a_server_that_goes_away_in_the_middle_gets_the_rest_later(
    done: PointPaths, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradsweep.tracking.wandb.run.FINISH_SECONDS", 2.0)
    receiver.faults.refuse_after = 2
    assert synced(done) == 1
    ledger = json.loads((done.results / "wandb" / "ledger.json").read_text())
    assert [entry[POINT]["state"] for entry in ledger.values()] == ["uploading"]
    wandb.teardown()
    with Receiver() as back:
        monkeypatch.setenv("WANDB_BASE_URL", back.url)
        assert synced(done) == 0
        assert_holds(back.run(POINT), done, back.artifact(f"rows-{POINT}"))


@pytest.mark.long
def test_a_stopped_point_is_completed_by_a_later_sync(
    track: Track,
    results: list[SampleResult],
    store: Callable[..., PointPaths],
    finish: Callable[..., PointPaths],
    receiver: Receiver,
) -> None:
    tracker = track()
    paths = store(results[:2])
    tracker.fail("StopRequested: stopped between two batches")
    tracker.wait()
    assert synced(paths) == 0
    run = receiver.run(POINT)
    assert (sorted(indices(run)), run.state) == ([0, 1], "failed")
    assert run.summary["failure"] == "stopped before it was complete"
    finish(track(), results, {"mad_nuclear_norm_q": 0.25})
    assert synced(paths) == 0
    assert_holds(run, paths, receiver.artifact(f"rows-{POINT}"))


def test_a_running_point_is_left_alone(
    done: PointPaths, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    done.done.unlink()
    with hold_lease(done.running):
        assert synced(done) == 0
    assert "it is running" in capsys.readouterr().out
    assert receiver.runs == []


@pytest.mark.long
def test_an_online_point_needs_no_sync_unless_it_was_cut_short(
    track: Track,
    results: list[SampleResult],
    finish: Callable[..., PointPaths],
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths = finish(track(WandbMode.auto), results, {"mad_nuclear_norm_q": 0.25})
    sent = len(receiver.requests)
    assert synced(paths) == 0
    assert len(receiver.requests) == sent
    (marker,) = (paths.results / "wandb").glob("run-*/*.synced")
    marker.unlink()  # as if its upload had not come to its end
    assert synced(paths) == 0
    assert len(receiver.requests) == sent, "it may be uploading still"
    monkeypatch.setattr(sync, "QUIET_SECONDS", 0.0)
    assert synced(paths) == 0
    assert_holds(receiver.run(POINT), paths, receiver.artifact(f"rows-{POINT}"))


@pytest.mark.long
def test_rebuild_makes_a_clean_run_like_a_live_one(done: PointPaths, receiver: Receiver) -> None:
    assert synced(done) == 0
    assert synced(done, "--rebuild", POINT[:6]) == 0
    assert synced(done, "--rebuild") == 0
    assert [run.name for run in receiver.runs] == [POINT, f"{POINT}-r1", f"{POINT}-r2"]
    for run in receiver.runs:
        assert_holds(run, done, receiver.artifact(f"rows-{run.name}"))
        assert run.values["point_id"] == POINT
    assert synced(done) == 0
    assert len(receiver.runs) == 3


@pytest.mark.long
def test_live_follows_running_points_until_it_is_interrupted(
    track: Track,
    results: list[SampleResult],
    store: Callable[..., PointPaths],
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL", "1")
    tracker = track()
    paths = store(results[:2])
    # Another process has the point: in this one the client would refuse a second run of its name.
    tracker.fail("end of this process's part")
    tracker.wait()
    lease = ExitStack()
    lease.enter_context(hold_lease(paths.running))

    def wait(_seconds: float) -> None:
        time.sleep(0.2)
        if len(indices(receiver.run(POINT))) == 2:  # these came while it ran
            lease.close()
            store(results, {"mad_nuclear_norm_q": 0.25})

    seen = []
    with Uploader(paths.results) as uploader, pytest.raises(KeyboardInterrupt):
        for found in follow(uploader, None, wait):
            seen.append(found.done)
            if found.done == "uploaded":
                raise KeyboardInterrupt
    assert seen == ["following", "uploaded"]
    assert_holds(receiver.run(POINT), paths, receiver.artifact(f"rows-{POINT}"))


def test_project_and_entity_can_be_others(done: PointPaths, receiver: Receiver) -> None:
    assert synced(done) == 0
    assert synced(done, "--project", "other", "--entity", "team") == 0
    assert [(run.entity, run.project) for run in receiver.runs] == [
        ("local", "tests"),
        ("team", "other"),
    ]


def test_without_a_key_it_says_how_to_get_one(
    done: PointPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    wandb.teardown()
    with pytest.raises(TrackingError, match="wandb login"):
        synced(done)


def test_a_folder_without_tracked_points_says_so(
    results: list[SampleResult],
    store: Callable[..., PointPaths],
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths = store(results, {})
    assert synced(paths) == 0
    assert "no point here was tracked" in capsys.readouterr().out
