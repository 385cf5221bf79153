"""The four verbs on real jobs of the local launcher, as a person types them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.patience import PATIENCE_SECONDS, wait_until
from helpers.places import REPOSITORY

from gradsweep.jobs.status.lines import State
from gradsweep.jobs.status.observer import Observer


class Shell:
    """A folder in which gradsweep is typed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ours = (REPOSITORY, REPOSITORY / "launchers")
        paths = [*map(str, ours), os.environ.get("PYTHONPATH", "")]
        self.environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "200",
        }

    def __call__(self, *words: str, expect: int = 0) -> str:
        """What is said on stdout and stderr."""
        done = subprocess.run(
            [sys.executable, "-m", "gradsweep", *words],
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == expect, done.stdout
        return done.stdout

    def states(self) -> list[str]:
        observer = Observer(self.folder / "results")
        return [line.state.value for line in observer.look(observer.ask()).lines]

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        try:
            wait_until(condition, what, pause=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self('status')}") from None


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def grid(model: Path, *more: str) -> list[str]:
    tiny = ["model=folder", f"model.source.path={model}", "tracking=none"]
    slow = ["gradients.batch_tokens=1", "gradients.workers=1"]
    local = ["hydra/launcher=local", "hydra.launcher.points_per_job=3"]
    return ["-m", *tiny, *slow, *local, *more]


@pytest.mark.long
def test_a_sweep_with_a_failure_and_a_killed_job_is_understood_and_completed(
    shell: Shell, saved_model: Path
) -> None:
    lengths = "model.max_length=2,1023,1024"  # 2 tokens leave no response
    shell(*grid(saved_model, lengths, "n_samples=200"))
    shell.wait(
        lambda: "failed" in shell.states() and "running" in shell.states(),
        "a point has failed and one runs",
    )
    observer = Observer(shell.folder / "results")
    (job,) = observer.look(observer.ask()).tasks
    os.kill(int(job.job_id), signal.SIGKILL)
    shell.wait(lambda: "running" not in shell.states(), "the end of the killed job")

    shown = shell("status")
    assert "1 failed" in shown
    assert "DataError: none of the 200 samples could be measured" in shown
    (failed,) = observer.look(observer.ask()).of(State.FAILED)
    told = shell("logs", failed.point_id[:8])
    assert told.count("none of the 200 samples could be measured") == 1
    assert "max_length=1024" not in told

    assert "submitted 1 of" in shell("retry", "--failed")
    assert "submitted" in shell("retry", "--missing")
    watched = shell("status", "--watch", "1")
    assert "1 failed, 2 done" in watched
    assert sorted(shell.states()) == ["done", "done", "failed"]
    assert "nothing to submit" in shell("retry", "--missing")


@pytest.mark.long
def test_cancelling_keeps_what_is_stored_and_retry_goes_on_there(
    shell: Shell, saved_model: Path
) -> None:
    shell(*grid(saved_model, "seed=0,1", "n_samples=3000"))
    shell.wait(lambda: _stored(shell) > 3, "four samples are stored")
    shell("cancel", expect=1)
    said = shell("cancel", "seed=0")
    assert "goes on" in said
    shell.wait(lambda: shell.states() == ["stopped", "running"], "one of the two points runs")
    assert "ended" in shell("cancel", "--all")
    shell.wait(lambda: "running" not in shell.states(), "the end of all jobs")
    kept = _stored(shell)
    assert kept > 3
    shell("retry")
    shell.wait(lambda: _stored(shell) > kept, "a sample more is stored")
    shell("cancel", "--all")
    shell.wait(lambda: "running" not in shell.states(), "the end of all jobs")


def _stored(shell: Shell) -> int:
    observer = Observer(shell.folder / "results")
    return sum(line.n_stored for line in observer.look(observer.ask()).lines)


@pytest.mark.parametrize("verb", ["status", "logs", "retry", "cancel"])
def test_help_teaches_and_nothing_imports_torch(shell: Shell, verb: str) -> None:
    code = (
        "import sys; from gradsweep.cli import main\n"
        f"try: main(['{verb}', '--help'])\nexcept SystemExit: pass\n"
        f"import gradsweep.jobs.{'status.observer' if verb == 'status' else verb}\n"
        "import gradsweep.jobs.status.table\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=shell.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 15
