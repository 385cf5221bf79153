"""Workspace and report on a server, through the real client: what arrives, and what comes again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
import wandb_workspaces.reports.v2.interface as wr
import wandb_workspaces.workspaces.interface as ws
from helpers.stored_points import store_point
from helpers.tracked_points import wait_for_uploads
from wandb_receiver import Receiver

from gradsweep import compose, extract
from gradsweep.cli import main
from gradsweep.records import AXES, Axes

Captured = pytest.CaptureFixture[str]
PLACE = ("--project", "tests", "--entity", "local")


@pytest.fixture
def results_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for number, correctness in enumerate(("correct", "irrelevant")):
        axes = Axes("tiny", "arithmetic", "detailed", correctness)
        store_point(folder, f"point{number}", axes, 1.0)
    return folder


def only(found: list[dict[str, Any]]) -> dict[str, Any]:
    assert len(found) == 1
    return found[0]


@pytest.mark.long
def test_both_are_saved_and_their_addresses_told(
    connected: Receiver, results_folder: Path, capsys: Captured
) -> None:
    assert main(["dashboard", str(results_folder), *PLACE]) == 0
    shown, errors = capsys.readouterr()
    view = ws.Workspace.from_url(address(shown, "workspace"))
    assert (view.name, view.project, view.entity) == ("gradsweep", "tests", "local")
    assert "Overview" in [section.name for section in view.sections]
    assert any(isinstance(p, wr.ParallelCoordinatesPlot) for p in view.sections[0].panels)
    told = [axis for axis in AXES if axis != "objective"]  # the study's alone needs no column
    assert view.runset_settings.pinned_columns[1:5] == [f"config:{axis}.value" for axis in told]
    document = wr.Report.from_url(address(shown, "report"))
    grids = [block for block in document.blocks if isinstance(block, wr.PanelGrid)]
    assert {(run_set.entity, run_set.project) for grid in grids for run_set in grid.runsets} == {
        ("local", "tests")
    }
    assert errors == ""
    assert connected.unsupported == []


def address(shown: str, kind: str) -> str:
    (line,) = [line for line in shown.splitlines() if line.startswith(kind)]
    return line.split()[1]


@pytest.mark.long
def test_everything_that_a_dashboard_refers_to_is_what_a_run_logs(
    connected: Receiver, results_folder: Path, saved_model: Path, tmp_path: Path
) -> None:
    """A real pair of points: the second one has RD, too."""
    tiny = ["model=folder", f"model.source.path={saved_model}", "n_samples=2"]
    root = f"store.root={tmp_path / 'pair'}"
    for correctness in ("irrelevant", "correct"):
        point = extract(
            compose(*tiny, root, "cot=simplified", f"correctness={correctness}"),
            show_progress=False,
        )
    wait_for_uploads()
    run = connected.run(point.paths.point_id)
    logged = {f"summary:{name}" for name in run.summary} | {f"config:{name}" for name in run.values}
    curves = {(x, name) for row in run.history for x in ("layer", "sample") if x in row
              for name in row}  # fmt: skip
    assert main(["dashboard", str(results_folder), *PLACE]) == 0
    for kind in ("project-view", "runs"):
        spec = only(connected.views(kind))["spec"]
        refers = list(referred(spec))
        assert len(refers) > 40
        for x, name in refers:
            assert (x, name) in curves if x else name in logged, (x, name)
        assert set(refers) >= {("layer", f"layer_rd_nuclear_norm_{p}") for p in "qkvo"}


def referred(spec: Any) -> Iterator[tuple[str, str]]:
    """Every key of a run in a spec: with its x axis in line plots, else after its section."""
    if isinstance(spec, list):
        for part in spec:
            yield from referred(part)
    if not isinstance(spec, dict):
        return
    if spec.get("viewType") == "Run History Line Plot":
        yield from ((spec["config"]["xAxis"], name) for name in spec["config"]["metrics"])
    elif spec.get("viewType") == "Bar Chart":
        yield from (("", f"summary:{name}") for name in spec["config"]["metrics"])
    if by := spec.get("groupBy"):
        yield "", f"config:{by.removesuffix('.value')}"
    columns = [*spec.get("columnOrder", []), spec.get("accessor", "run:")]
    keys = [*spec.get("grouping", []), spec.get("key", {})]
    names = columns + [f"{key['section']}:{key['name']}" for key in keys if key]
    yield from (("", n.removesuffix(".value")) for n in names if not n.startswith("run:"))
    for part in spec.values():
        yield from referred(part)


def test_a_second_time_changes_both_in_place(
    connected: Receiver, results_folder: Path, capsys: Captured
) -> None:
    command = ["dashboard", str(results_folder), *PLACE]
    assert main(command) == 0
    before = {kind: only(connected.views(kind)) for kind in ("project-view", "runs")}
    first = capsys.readouterr().out
    assert main(command) == 0
    again = {kind: only(connected.views(kind)) for kind in ("project-view", "runs")}
    assert capsys.readouterr().out == first.replace("made", "brought up to date")
    assert {kind: view["spec"] for kind, view in again.items()} == {
        kind: view["spec"] for kind, view in before.items()
    }
    store_point(results_folder, "new", Axes("newcomer", "arithmetic", "none", "correct"), 1.0)
    assert main(command) == 0
    for kind, view in before.items():
        now = only(connected.views(kind))
        assert now["id"] == view["id"]
        assert "newcomer" in json.dumps(now["spec"])
        assert "newcomer" not in json.dumps(view["spec"])


@pytest.mark.long
def test_names_and_projects_have_dashboards_of_their_own(
    connected: Receiver, results_folder: Path
) -> None:
    for more in ([], ["--name", "mine"], ["--project", "b"], ["correctness=correct"]):
        assert main(["dashboard", str(results_folder), *PLACE, *more]) == 0
    assert sorted(view["displayName"] for view in connected.views("project-view")) == [
        *("gradsweep", "gradsweep", "gradsweep correctness:correct", "mine")
    ]


def test_what_was_deleted_is_made_again(connected: Receiver, results_folder: Path) -> None:
    command = ["dashboard", str(results_folder), *PLACE]
    assert main(command) == 0
    connected.state.views.clear()
    assert main(command) == 0
    assert main(command) == 0
    assert only(connected.views("project-view"))["displayName"] == "gradsweep"
    assert only(connected.views("runs"))["displayName"] == "gradsweep"


def test_a_dry_run_writes_what_is_saved_without_a_server(
    connected: Receiver,
    results_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    with monkeypatch.context() as offline:
        for name in connected.environment:
            offline.delenv(name)
        offline.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
        assert main(["dashboard", str(results_folder), *PLACE, "--dry-run"]) == 0
        assert main(["dashboard", str(results_folder), *PLACE, "--dry-run", "elsewhere"]) == 0
    assert connected.requests == []
    folder = results_folder / "reports" / "all" / "wandb"
    assert f"report     {folder}/report.json" in capsys.readouterr().out.splitlines()
    wandb.teardown()
    assert main(["dashboard", str(results_folder), *PLACE]) == 0
    for name, kind in (("workspace", "project-view"), ("report", "runs")):
        written = json.loads((folder / f"{name}.json").read_text())
        assert written == json.loads((tmp_path / "elsewhere" / f"{name}.json").read_text())
        saved = only(connected.views(kind))
        assert written["displayName"] == saved["displayName"]
        assert written["spec"] == without_project_numbers(saved["spec"])


def without_project_numbers(spec: dict[str, Any]) -> dict[str, Any]:
    """Only the server knows them."""
    for block in spec.get("blocks", []):
        for run_set in block.get("metadata", {}).get("runSets", []):
            assert run_set["project"].pop("id")
    return spec


def test_without_a_key_it_says_what_to_do(results_folder: Path, capsys: Captured) -> None:
    assert main(["dashboard", str(results_folder)]) == 1
    told = capsys.readouterr().err
    assert "no API key" in told
    assert "wandb login" in told
    assert "--dry-run" in told


def test_without_a_route_it_says_what_to_do(
    results_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert main(["dashboard", str(results_folder)]) == 1
    told = capsys.readouterr().err
    assert "http://127.0.0.1:9 cannot be reached" in told
    assert "--dry-run" in told


def test_a_project_that_is_not_there_is_said(
    connected: Receiver, results_folder: Path, capsys: Captured
) -> None:
    connected.state.absent.add("tests")
    assert main(["dashboard", str(results_folder), *PLACE]) == 1
    told = capsys.readouterr().err
    assert "no project local/tests" in told
    assert "python -m gradsweep sync" in told
    assert connected.views("project-view") == []


def test_a_refusal_is_one_line_and_what_was_saved_is_remembered(
    connected: Receiver, results_folder: Path, capsys: Captured
) -> None:
    command = ["dashboard", str(results_folder), *PLACE]
    connected.faults.quota_full = True
    assert main(command) == 1
    told = capsys.readouterr().err
    assert "W&B failed while saving the workspace" in told
    assert "quota" in told
    connected.faults.quota_full = False
    assert main(command) == 0
    assert "made" in capsys.readouterr().out


@pytest.mark.long
def test_torch_is_not_needed(results_folder: Path) -> None:
    code = (
        "import sys; from gradsweep.cli import main; "
        f"assert main(['dashboard', {str(results_folder)!r}, '--dry-run']) == 0; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
