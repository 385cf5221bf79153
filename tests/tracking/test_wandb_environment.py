"""W&B's variables: those that count, those that must not, and that the docs list each of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import wandb
from helpers.tracked_points import wait_for_uploads
from wandb_receiver import Receiver

from gradsweep import compose
from gradsweep.config import Config, WandbMode
from gradsweep.errors import ConfigError, TrackingError
from gradsweep.records import SampleResult
from gradsweep.tracking import make_tracker
from gradsweep.tracking.wandb.environment import DEFAULTS, SET_ASIDE
from gradsweep.tracking.wandb.mode import MODE_VARIABLE, OFF_VARIABLE, choose_mode, upload_mode
from gradsweep.tracking.wandb.run_log import segments

KEY = "1234567890abcdef1234567890abcdef12345678"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "tracking.md"

LEFTOVERS = {
    "WANDB_RUN_ID": "another-run",
    "WANDB_RESUME": "must",
    "WANDB_SWEEP_ID": "agents-sweep",
    "WANDB_LAUNCH": "true",
    "WANDB_FORK_FROM": "another-run?_step=3",
    "WANDB_DIR": "/dev/null/nowhere",
    "WANDB_DATA_DIR": "/dev/null/nowhere",
    "WANDB_NAME": "another name",
}


def test_the_docs_list_every_variable_that_counts_or_does_not() -> None:
    listed = set(re.findall(r"`(WANDB_\w+)`", DOCS.read_text(encoding="utf-8")))
    assert {*DEFAULTS, *SET_ASIDE, MODE_VARIABLE, OFF_VARIABLE} <= listed


@pytest.mark.parametrize(
    ("variable", "mode"),
    [("dryrun", "offline"), ("Offline ", "offline"), ("shared", "online"), ("run", "online")],
)
def test_wandbs_other_modes_are_understood(
    variable: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", variable)
    assert choose_mode(WandbMode.auto).name == mode


@pytest.mark.parametrize(
    ("variables", "mode", "reason"),
    [
        ({"WANDB_DISABLED": "true"}, "disabled", "WANDB_DISABLED=true"),
        ({"WANDB_RUN_ID": ""}, "offline", "no API key"),
        (
            {"WANDB_API_KEY": KEY, "HTTPS_PROXY": "proxy:abc", "WANDB_BASE_URL": "https://w.test"},
            "offline",
            "HTTPS_PROXY is no address as http://host:port",
        ),
    ],
)
def test_what_cannot_be_used_is_said_and_ends_nothing(
    variables: dict[str, str], mode: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    chosen = choose_mode(WandbMode.auto)
    assert chosen.name == mode
    assert re.search(reason, chosen.reason)


@pytest.mark.parametrize(
    ("variable", "value"), [("WANDB_MODE", "onlin"), ("WANDB_BASE_URL", "nonsense")]
)
def test_settings_that_cannot_be_used_are_said_once_for_all_points(
    variable: str,
    value: str,
    make_config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(variable, value)
    for point in ("point123", "point456"):
        tracker = make_tracker(make_config(WandbMode.auto), point, "a-sweep", {})
        assert tracker.description == "W&B is off (its settings cannot be used)"
    (record,) = [r for r in caplog.records if r.name.startswith("gradsweep")]
    assert value in record.message
    assert f"sync {make_config().results} --rebuild" in record.message
    with pytest.raises(TrackingError, match=value):
        upload_mode()


@pytest.mark.long
@pytest.mark.parametrize("online", [False, True])
@pytest.mark.parametrize("session", ["new", "the program's own"])
def test_one_point_is_one_run_whatever_an_agent_or_a_launcher_left(
    online: bool,
    session: str,
    make_config: Callable[..., Config],
    results: list[SampleResult],
    finish: Callable[..., object],
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (LEFTOVERS | (receiver.environment if online else {})).items():
        monkeypatch.setenv(name, value)
    if session == "the program's own":
        monkeypatch.delenv("WANDB_FORK_FROM")  # which the client refuses beside a run id
        assert wandb.setup().settings.sweep_id == "agents-sweep"
    config = make_config(WandbMode.online if online else WandbMode.offline)
    for _ in range(2):  # a second start goes on in the same run
        finish(make_tracker(config, "point123", "a-sweep", {}), results, {})
    wait_for_uploads()
    assert {segment.run_id for segment in segments(config.results)} == {"point123"}
    if online:
        run = receiver.run("point123")
        assert len([row for row in run.history if "sample" in row]) == len(results)
    if session == "the program's own":
        assert wandb.setup().settings.sweep_id == "agents-sweep"


def test_project_and_entity_come_from_the_environment_where_nothing_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert compose().tracking.project == "gradsweep"
    monkeypatch.setenv("WANDB_PROJECT", "their-project")
    monkeypatch.setenv("WANDB_ENTITY", "their-team")
    tracking = compose().tracking
    assert (tracking.project, tracking.entity) == ("their-project", "their-team")
    assert compose("tracking.project=mine").tracking.project == "mine"
    monkeypatch.setenv("WANDB_PROJECT", "")
    assert compose().tracking.project == "gradsweep"


@pytest.mark.parametrize("project", ["a/b", "what?", "x" * 129])
def test_a_project_that_wandb_would_refuse_is_refused_before_anything_runs(project: str) -> None:
    with pytest.raises(ConfigError, match=r"tracking\.project.*at most 128 characters"):
        compose(f"tracking.project={project}")
    with pytest.raises(ConfigError, match="would not be read"):
        compose("tracking.project=mine", "tracking=none")
