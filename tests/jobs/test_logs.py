"""Of a job's log, what is about one point."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.submitted_grid import Cluster

from gradsweep.errors import DataError
from gradsweep.jobs.logs import PointLines, Tail, show_logs
from gradsweep.jobs.status.observer import Observer

ONE, TWO = "1" * 16, "2" * 16
LOG = f"""\
job 12_0 on n01, start 1
[1/2] {ONE} m · d
an old line
job 12_0 on n02, start 2
note: the code has changed
[1/2] {ONE} m · d
loading m
[1/2] {ONE} m · d  3/4
Traceback (most recent call last):
failed: [1/2] {ONE} m · d: RuntimeError: bad
[2/2] {TWO} m · d
[2/2] {TWO} m · d  done
"""


def tail(tmp_path: Path, text: str, point_id: str, everything: bool = False) -> Tail:
    file = tmp_path / "log"
    file.write_text(text)
    return Tail(file, PointLines(point_id, everything))


def test_the_latest_start_and_only_this_point(tmp_path: Path) -> None:
    assert tail(tmp_path, LOG, ONE).new(latest=True).splitlines() == LOG.splitlines()[3:10]
    two = tail(tmp_path, LOG, TWO).new(latest=True).splitlines()
    assert two == LOG.splitlines()[3:5] + LOG.splitlines()[10:]


def test_all_is_everything(tmp_path: Path) -> None:
    assert tail(tmp_path, LOG, ONE, everything=True).new() == LOG


def test_what_comes_is_told_once_in_whole_lines(tmp_path: Path) -> None:
    first, second = LOG[:80], LOG[80:]
    log = tail(tmp_path, first, ONE)
    shown = log.new()
    with log.path.open("a") as file:
        file.write(second[:7])
    shown += log.new()
    with log.path.open("a") as file:
        file.write(second[7:])
    shown += log.new()
    assert shown == tail(tmp_path, LOG, ONE).new()
    assert log.new() == ""


def shown_of(cluster: Cluster, number: int, **options: bool) -> str:
    shown: list[str] = []
    only = [cluster.points[number].point_id]
    show_logs(Observer(cluster.results, only=only), shown.append, **options)
    return "".join(shown)


def test_a_job_that_could_not_say_why_is_completed_from_the_points_files(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, _ = cluster.submit()
    cluster.began(paths, ended="2026-01-01T10:00:10+0000", outcome="ended")
    log = paths.log("12", 0)
    log.write_text(f"job 12_0 on n01, start 1\n[1/2] {cluster.points[0].point_id} m\n")
    cluster.fail(0, "bad luck")
    text = shown_of(cluster, 0)
    assert text.startswith("job 12_0")
    assert "Traceback (most recent call last)" in text
    assert "RuntimeError: bad luck" in text
    assert str(log) in capsys.readouterr().err.replace("\n", "")

    log.write_text(log.read_text() + text.split("\n", 2)[2])
    assert shown_of(cluster, 0).count("bad luck") == text.count("bad luck"), "said once"


def test_a_job_that_has_not_started_says_what_it_waits_for(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    _, submission = cluster.submit()
    squeue = cluster.results.parent / "bin" / "squeue"
    squeue.write_text(f"#!/bin/bash\necho '12_0|PENDING|{submission.job_name(0)}|Priority'\n")
    assert shown_of(cluster, 0) == ""
    assert "has not begun: job 12_0 is waiting (Priority)" in capsys.readouterr().err


def test_a_point_outside_of_jobs_has_only_its_failure(cluster: Cluster) -> None:
    cluster.stop(0)
    with pytest.raises(DataError, match="ran outside of jobs"):
        shown_of(cluster, 0)
    cluster.fail(0)
    assert "RuntimeError: a bad" in shown_of(cluster, 0)
    with pytest.raises(DataError, match="has not started"):
        shown_of(cluster, 1)


def test_following_ends_with_the_point(cluster: Cluster) -> None:
    paths, _ = cluster.submit()
    paths.log("12", 0).write_text("job 12_0 on n01, start 1\n")
    cluster.finish(0)
    assert shown_of(cluster, 0, follow=True) == "job 12_0 on n01, start 1\n"
