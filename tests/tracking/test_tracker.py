"""Choosing a tracker."""

from __future__ import annotations

import subprocess
import sys
import threading
import types
from pathlib import Path

import pytest
from helpers.places import REPOSITORY
from omegaconf import OmegaConf

from gradsweep.config import Config, DatasetConfig, DatasetKind, ModelConfig, TrackingConfig
from gradsweep.config.run import tracker_kinds
from gradsweep.errors import ConfigError
from gradsweep.tracking import NoTracker, make_tracker, uploads_left
from gradsweep.tracking.tracker import THREAD_PREFIX

OPTIONS = sorted((REPOSITORY / "conf" / "tracking").glob("*.yaml"))

UNTRACKED_POINT = """
import sys
from pathlib import Path
from gradsweep.config import Config, DatasetConfig, DatasetKind, ModelConfig, ModelSource
from gradsweep.records import SampleResult, SampleStatus
from gradsweep.tracking import make_tracker

config = Config(
    model=ModelConfig(name="tiny", source=ModelSource(hub_id="someone/tiny")),
    dataset=DatasetConfig(name="arithmetic", kind=DatasetKind.arithmetic),
)
tracker = make_tracker(config, "point123", None, {})
tracker.log_sample(SampleResult("s", "q", 0, SampleStatus.OK))
tracker.resume(None, None)
tracker.finish(None, None, Path("rows.parquet"), {})
tracker.fail("no effect")
print(tracker.description)
sys.exit(sorted({"wandb", "torch"} & set(sys.modules)) or 0)
"""


def test_an_untracked_point_never_imports_wandb() -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNTRACKED_POINT], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "not tracked (tracking=none)\n"


@pytest.mark.parametrize("option", OPTIONS, ids=lambda path: path.stem)
def test_every_option_composes_and_explains_itself(option: Path) -> None:
    composed = OmegaConf.merge(OmegaConf.structured(TrackingConfig), OmegaConf.load(option))
    assert OmegaConf.to_object(composed).kind == option.stem
    first_line = option.read_text().splitlines()[0]
    assert first_line.startswith("# ")
    assert first_line.endswith(".")


def test_every_tracker_kind_is_an_option() -> None:
    assert {path.stem for path in OPTIONS} == set(tracker_kinds())


def test_an_unknown_tracker_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"tracking.kind=aim: allowed are none, wandb"):
        TrackingConfig(kind="aim")


def test_a_tracker_is_a_folder_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    class Toy(NoTracker):
        description = "toy"

    folder = types.ModuleType("gradsweep.tracking.toy.tracker")
    folder.start_tracker = lambda config, point_id, sweep, versions: Toy()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gradsweep.tracking.toy", types.ModuleType("toy"))
    monkeypatch.setitem(sys.modules, folder.__name__, folder)
    monkeypatch.setattr("gradsweep.config.run.tracker_kinds", lambda: ["none", "toy"])
    config = Config(
        model=ModelConfig(name="tiny"),
        dataset=DatasetConfig(name="arithmetic", kind=DatasetKind.arithmetic),
        tracking=TrackingConfig(kind="toy"),
    )
    assert make_tracker(config, "point", None, {}).description == "toy"


def test_who_waits_for_uploads_is_told_how_many_are_left() -> None:
    done = threading.Event()
    uploading = threading.Thread(target=done.wait, name=f"{THREAD_PREFIX}point")
    uploading.start()
    try:
        assert uploads_left(0.05) == 1
    finally:
        done.set()
    assert uploads_left(60) == 0
