"""The server that the other tests rely on, with the real client."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import wandb
from wandb_receiver import Receiver

pytestmark = pytest.mark.usefixtures("connected")


def log_run(tmp_path: Path, rows: range) -> None:
    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
    run = wandb.init(
        project="own",
        id="run1",
        resume="allow",
        group="g",
        tags=["t"],
        config={"a": 1},
        dir=str(tmp_path),
        settings=settings,
    )
    for row in rows:
        run.log({"row": row})
    run.summary["total"] = rows.stop
    run.log({"numbers": wandb.Table(columns=["n"], data=[[1], [2]])})
    artifact = wandb.Artifact("text", type="text")
    with artifact.new_file("a.txt") as file:
        file.write("content")
    run.log_artifact(artifact)
    run.finish()


@pytest.mark.parametrize(
    "fault", [None, *(pytest.param(fault, marks=pytest.mark.long) for fault in (500, 429))]
)
def test_a_run_reads_back_as_it_was_logged(
    fault: int | None, receiver: Receiver, tmp_path: Path
) -> None:
    if fault:
        receiver.faults.fail_every, receiver.faults.status = 3, fault
    log_run(tmp_path, range(3))
    log_run(tmp_path, range(3, 5))
    run = receiver.run("run1")
    assert [row["row"] for row in run.history if "row" in row] == [0, 1, 2, 3, 4]
    assert (run.summary["total"], run.state, run.exit_code) == (5, "finished", 0)
    assert (run.group, run.tags, run.values) == ("g", ["t"], {"a": 1})
    assert run.table("numbers")["data"] == [[1], [2]]
    assert receiver.artifact("text") == {"a.txt": b"content"}
    assert receiver.unsupported == []


def test_saved_views_read_back(receiver: Receiver) -> None:
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    panel = wr.LinePlot(x="layer", y=["layer_nuclear_norm_q"])
    section = ws.Section(name="curves", panels=[panel])
    workspace = ws.Workspace(entity="local", project="own", name="mine", sections=[section])
    workspace.save()
    workspace.save()
    wr.Report(project="own", entity="local", title="told", blocks=[wr.H1("a")]).save()
    (view,) = receiver.views("project-view")
    assert view["displayName"] == "mine"
    assert "layer_nuclear_norm_q" in json.dumps(view["spec"])
    (report,) = receiver.views("runs")
    assert report["displayName"] == "told"
    assert ws.Workspace.from_url(workspace.url).sections[0].name == "curves"
    assert receiver.unsupported == []
