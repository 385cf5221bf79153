"""The Hydra task: one point. Heavy imports wait until a point really has to be measured."""

from __future__ import annotations

import os
import time

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from gradsweep.cli.processes import end_at_once
from gradsweep.cli.time_left import TimeLeft
from gradsweep.config import Config
from gradsweep.config.composition import VERSION_BASE, register_configs, to_config
from gradsweep.config.files import config_dir
from gradsweep.errors import GradsweepError, RankLostError
from gradsweep.identity import point_id
from gradsweep.progress import console, show_error
from gradsweep.store import PointPaths, PointState
from gradsweep.store.metadata import read_manifest
from gradsweep.store.paths import SweepPaths
from gradsweep.store.point import settled

register_configs()


@hydra.main(config_path=str(config_dir()), config_name="config", version_base=VERSION_BASE)
def main(composed: DictConfig) -> str:
    """Run one point and return its state.

    In a multirun a point's failure is printed and left in its FAILED.json, and the next
    point goes on; the command's exit status and summary come from the files.
    """
    hydra_config = HydraConfig.get()
    multirun = hydra_config.mode is RunMode.MULTIRUN
    os.chdir(hydra_config.runtime.cwd)  # which hydra.job.chdir left: paths are meant from there
    try:
        run_point(to_config(composed))
    except RankLostError as error:
        end_at_once(error)
    except GradsweepError as error:
        if str(error) not in shown:
            show_error(str(error))
        shown.add(str(error))
        if not multirun:
            raise SystemExit(1) from None
        return PointState.FAILED.value
    return PointState.DONE.value


reasons: dict[str, str] = {}
"""point_id -> why it failed in this process: a point that never began has no file that tells."""
shown: set[str] = set()
"""What points of this command failed for: many may for one reason, and the end says how many."""


clocks: list[TimeLeft] = []
"""Of this command, when it runs several points in this process."""


def begin(clock: TimeLeft | None) -> None:
    """Begin another command in the same process."""
    reasons.clear()
    shown.clear()
    clocks[:] = [clock] if clock else []


def run_point(config: Config) -> None:
    """Measure the point unless its files say that it is done.

    Raises what `gradsweep.extract` raises.
    """
    paths = PointPaths(config.results, point_id(config))
    label = _label(config, paths.point_id)
    if settled(paths):
        console.print(f"{label}  done already")
        return
    # torch and transformers take seconds to import: not for a point that is done.
    from gradsweep.extraction import extract

    start = time.monotonic()
    try:
        extract(config, label=label)
    except GradsweepError as error:
        reasons[paths.point_id] = f"{type(error).__name__}: {error}"
        raise
    finally:
        for clock in clocks:
            if line := clock.over(paths.point_id, time.monotonic() - start):
                console.print(line, style="dim")


def _label(config: Config, identity: str) -> str:
    """ "[2/6] none · irrelevant" inside a sweep, all axes outside one."""
    sweep = SweepPaths(config.results, config.sweep) if config.sweep else None
    if sweep is None or not sweep.manifest.exists():
        return str(config.axes)
    points = read_manifest(sweep)["points"]
    numbered = {p["point_id"]: f"[{i}/{len(points)}] {p['label']}" for i, p in enumerate(points, 1)}
    # A point that joined after the manifest was written has no number.
    return numbered.get(identity, str(config.axes))
