"""Every profile of conf/hydra/launcher composes to checked settings, and Hydra finds the plugin."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from helpers.places import REPOSITORY

from gradsweep.config.files import config_dir

PROFILES = sorted(path.stem for path in (config_dir() / "hydra" / "launcher").glob("*.yaml"))
ASK = """
import json, sys
from gradsweep.errors import ConfigError
from gradsweep.jobs.command import grid_launcher
found = {}
for name in sys.argv[1:]:
    chosen = grid_launcher([f"hydra/launcher={name}", "cot=none,detailed"], multirun=True)
    found[name] = type(chosen.scheduler.settings).__name__ if chosen else None
try:
    grid_launcher(["hydra/launcher=local"], multirun=False)
except ConfigError as error:
    found["without -m"] = str(error)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found() -> dict[str, str | None]:
    """What each launcher is, in a process that finds the plugin in this checkout."""
    path = os.pathsep.join([str(REPOSITORY / "launchers"), os.environ.get("PYTHONPATH", "")])
    answer = subprocess.run(
        [sys.executable, "-c", ASK, *PROFILES, "basic", "submitit_slurm", "submitit_local"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path.rstrip(os.pathsep)},
    )
    assert answer.returncode == 0, answer.stderr
    result: dict[str, str | None] = json.loads(answer.stdout)
    return result


def test_profiles_are_ours(found: dict[str, str | None]) -> None:
    kinds = {name: found[name] for name in PROFILES}
    assert kinds.pop("local") == "LocalSettings"
    assert set(kinds.values()) == {"SlurmSettings"}


def test_stock_launchers_are_left_to_hydra(found: dict[str, str | None]) -> None:
    assert [found[name] for name in ("basic", "submitit_slurm", "submitit_local")] == [None] * 3


def test_a_launcher_without_m_is_not_silently_ignored(found: dict[str, str | None]) -> None:
    assert "add -m" in str(found["without -m"])


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_says_what_it_is(profile: str) -> None:
    first = (config_dir() / "hydra" / "launcher" / f"{profile}.yaml").read_text().splitlines()[0]
    assert first.startswith("# ")
    assert len(first) > 20


def test_programs_that_only_start_hydra_do_not_import_what_is_heavy() -> None:
    """Hydra runs the plugin at every start, also of other programs in the same environment."""
    code = (
        "import sys; import hydra_plugins.gradsweep_launcher.config;"
        "sys.exit(str({'polars', 'torch', 'submitit', 'transformers'} & set(sys.modules) or ''))"
    )
    path = os.pathsep.join([str(REPOSITORY / "launchers"), os.environ.get("PYTHONPATH", "")])
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path.rstrip(os.pathsep)},
    )
    assert answer.stderr.strip() == ""
