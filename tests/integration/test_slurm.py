"""Grids on a real SLURM; `make test-slurm` brings one up on this machine, runs this and stops it.

Every test runs the command line as a user does, and then trusts the result files only.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
from helpers.patience import wait_until
from helpers.slurm_grid import NEEDS_SLURM, Grid, said_by, squeue

from gradsweep.store import PointPaths, PointState, load_samples_table, point_folders

pytestmark = NEEDS_SLURM

ON_SLURM = (
    "hydra/launcher=submitit_slurm",
    "hydra.launcher.timeout_min=5",
    "hydra.launcher.mem_gb=1",
    # A whole node for each element, so that a grid really spreads over several.
    "+hydra.launcher.additional_parameters.exclusive=true",
)
SMALL_GRID = ("cot=none,simplified", "correctness=correct,irrelevant", "n_samples=4")
N_LONG = 800
LONG_GRID = ("cot=none,simplified", f"n_samples={N_LONG}", "gradients.batch_tokens=1")
"""About 15 s for each point, with a part for every sample: time to interrupt it half-way."""
HALF_WAY = 20
"""Stored samples after which a point of LONG_GRID is interrupted; SLURM kills it some 5 s later."""


@dataclass
class Sweep(Grid):
    """A grid of the tiny model, on SLURM or on this machine, whose command waits for its jobs."""

    commands: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *more: str) -> subprocess.Popen[str]:
        self.commands.append(super().start(*more))
        return self.commands[-1]

    def said(self, expect: int = 0) -> str:
        """Wait for the command started last; what it said."""
        return said_by(self.commands[-1], expect)

    def elements(self) -> dict[str, tuple[str, ...]]:
        """SLURM's ids ("12_0") of all that its commands have submitted; their points are not told
        by this launcher."""
        folders = self.results.glob("hydra/*/.submitit/*_*")
        return {folder.name: () for folder in folders if folder.is_dir()}


def nodes_of(sweep: Sweep) -> set[str]:
    """The nodes that its elements ran on, as SLURM remembers them."""
    ran = squeue("%N", "--states=all")
    return {ran[element] for element in sweep.elements()}


@pytest.fixture(scope="module", autouse=True)
def cluster() -> None:
    """Fail clearly where SLURM is installed and does not answer."""
    answer = subprocess.run(["sinfo", "--noheader"], capture_output=True, text=True, timeout=60)
    if answer.returncode:
        pytest.fail(f"SLURM does not answer: launchers/dev_cluster/cluster.sh up\n{answer.stderr}")


@pytest.fixture(scope="module")
def make_sweep(
    saved_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Sweep]]:
    """Sweeps of the tiny model; their commands and jobs end with this module, come what may."""
    tiny = ("model=folder", f"model.source.path={saved_model}", "model.name=tiny", "tracking=none")
    made: list[Sweep] = []

    def make(*overrides: str) -> Sweep:
        made.append(Sweep(tmp_path_factory.mktemp("sweep") / "results", (*tiny, *overrides)))
        return made[-1]

    yield make
    for command in (command for sweep in made for command in sweep.commands):
        command.kill()
        command.wait()
    if left := {e for sweep in made for e in sweep.elements()} & set(squeue()):
        subprocess.run(["scancel", *left], check=True)


@pytest.fixture(scope="module")
def small(make_sweep: Callable[..., Sweep]) -> Sweep:
    """The small grid after one run on SLURM."""
    sweep = make_sweep(*SMALL_GRID, *ON_SLURM)
    sweep.run()
    return sweep


@pytest.fixture(scope="module")
def undisturbed(make_sweep: Callable[..., Sweep]) -> Sweep:
    """The long grid on this machine; it runs beside SLURM's and has to be waited for."""
    sweep = make_sweep(*LONG_GRID)
    sweep.start()
    return sweep


def test_a_grid_runs_on_several_nodes_and_equals_a_local_run(
    small: Sweep, make_sweep: Callable[..., Sweep]
) -> None:
    assert small.states() == [PointState.DONE] * 4
    assert len(nodes_of(small)) > 1
    local = make_sweep(*SMALL_GRID)
    local.run()
    small.assert_same_results(local)


def test_the_same_command_again_computes_nothing(small: Sweep) -> None:
    def written() -> dict[Path, int]:
        files = (small.results / "points").rglob("*")
        return {path: path.stat().st_mtime_ns for path in files}

    before = written()
    assert "4 points, 4 done, 0 to run" in small.run()
    assert written() == before


def test_a_requeued_and_a_cancelled_element_go_on_where_they_were(
    make_sweep: Callable[..., Sweep], undisturbed: Sweep
) -> None:
    sweep = make_sweep(*LONG_GRID, *ON_SLURM)
    sweep.start()
    wait_until(
        lambda: len(half_way(sweep)) == 2, f"{HALF_WAY} stored samples of both points", pause=0.05
    )
    # The command looks at its elements in order: it waits for the first before it misses the last.
    (first, requeued), (last, cancelled) = sorted(map(element_of, half_way(sweep)))
    subprocess.run(["scontrol", "requeue", first], check=True)
    subprocess.run(["scancel", last], check=True)
    stored = pl.concat([stored_after_the_kill(sweep, i) for i in (requeued, cancelled)])

    assert "run the same command again to go on" in sweep.said(expect=1)
    assert sweep.state(requeued) is PointState.DONE
    assert sweep.state(cancelled) is PointState.STOPPED

    assert "2 points, 1 done, 1 to run" in sweep.run()
    assert sweep.states() == [PointState.DONE] * 2
    undisturbed.said()
    sweep.assert_same_results(undisturbed)
    # Nor was a stored sample measured again: a second measurement takes another time.
    both = stored.join(load_samples_table(sweep.results), on=["point_id", "sample_id"])
    assert len(both) == len(stored)
    assert both["seconds"].to_list() == both["seconds_right"].to_list()


def half_way(sweep: Sweep) -> list[PointPaths]:
    """Its points with enough stored samples to lose."""
    points = point_folders(sweep.results)
    return [p for p in points if len(list(p.parts.glob("samples-*"))) >= HALF_WAY]


def element_of(point: PointPaths) -> tuple[str, str]:
    """The array element ("12_0") that works on a point, and the point's id."""
    # Its raw job id would not do: that of an array's last element stands for the whole array.
    elements = {job: element for element, job in squeue("%A").items()}
    return elements[json.loads(point.running.read_text())["job"]], point.point_id


def stored_after_the_kill(sweep: Sweep, point_id: str) -> pl.DataFrame:
    """The samples that a point had on disk when SLURM had ended its job."""
    wait_until(
        lambda: sweep.state(point_id) is not PointState.RUNNING, "the end of the job", pause=0.05
    )
    assert sweep.state(point_id) is PointState.STOPPED, "over before SLURM ended it: raise N_LONG"
    stored = load_samples_table(sweep.results, [point_id])
    assert HALF_WAY <= len(stored) < N_LONG, "nearly over: raise N_LONG"
    return stored.select("point_id", "sample_id", "seconds")
