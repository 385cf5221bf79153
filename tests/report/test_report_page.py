"""`report` and `report --watch` as a user meets their page: states, texts, and the end."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gradsweep import compose, extract
from gradsweep.cli import main
from gradsweep.data import load_samples
from gradsweep.errors import ConfigError, DataError
from gradsweep.report.watch import watch_report
from gradsweep.store import PointPaths, SweepPaths
from gradsweep.store.atomic import write_json, write_text
from gradsweep.store.selection import selection

Captured = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("wide_terminal")


@pytest.fixture
def overrides(saved_model: Path) -> list[str]:
    model = ["model=folder", f"model.source.path={saved_model}", "model.name=tiny"]
    return [*model, "n_samples=2", "gradients.projections=[q]", "tracking=none"]


def page_data(name: str = "all") -> dict[str, Any]:
    text = Path(f"results/reports/{name}/index.html").read_text(encoding="utf-8")
    found = re.search(r'id="data">(.*?)</script>', text, re.S)
    assert found is not None
    content = json.loads(found[1])
    assert isinstance(content, dict)
    return content


def plan_two() -> None:
    """A sweep of no and detailed CoT, of which nothing has run."""
    points = []
    for cot in ("none", "detailed"):
        axes = {"model": "tiny", "dataset": "arithmetic", "cot": cot, "correctness": "correct"}
        points.append({"point_id": cot, "axes": axes})
    sweep = {"name": "night", "command": ["gradsweep"], "written": "today", "excluded": []}
    paths = SweepPaths(Path("results"), "night")
    write_json(paths.manifest, sweep | {"points": points})


@pytest.mark.long
def test_the_page_has_points_with_the_texts_of_their_outliers(
    overrides: list[str], capsys: Captured
) -> None:
    config = compose(*overrides, "cot=detailed")
    point = extract(config, show_progress=False)
    assert main(["report"]) == 0
    assert "page     results/reports/all/index.html" in capsys.readouterr().out.splitlines()
    (shown,) = page_data()["points"]
    assert (shown["id"], shown["state"], shown["stored"]) == (point.paths.point_id, "done", 2)
    texts = {(sample.prompt, sample.response) for sample in load_samples(config).samples}
    assert {(one["prompt"], one["response"]) for one in shown["outliers"]} == texts
    assert shown["without_text"] == ""


@pytest.mark.long
def test_data_that_changed_give_no_texts(overrides: list[str]) -> None:
    point = extract(compose(*overrides, "cot=detailed"), show_progress=False)
    config = point.paths.config.read_text(encoding="utf-8")
    write_text(point.paths.config, config.replace("seed: 0", "seed: 5"))
    assert main(["report"]) == 0
    outliers = page_data()["points"][0]["outliers"]
    assert len(outliers) == 2
    assert not any("response" in one for one in outliers)


@pytest.mark.long
def test_points_that_failed_or_have_not_started_are_there(overrides: list[str]) -> None:
    done = extract(compose(*overrides, "cot=detailed"), show_progress=False)
    record = done.paths.config.read_text(encoding="utf-8")
    failed = PointPaths(Path("results"), "f" * 16)
    record = record.replace("detailed", "simplified").replace(done.paths.point_id, failed.point_id)
    write_text(failed.config, record)
    write_json(failed.failed, {"message": "the disk was full"})
    plan_two()
    assert main(["report"]) == 0
    states = {one["axes"]["cot"]: one["state"] for one in page_data()["points"]}
    assert states["simplified"] == "failed"
    assert states["none"] == "new"
    notes = [one["note"] for one in page_data()["points"]]
    assert "the disk was full" in notes


@pytest.mark.long
def test_watching_ends_with_the_whole_report_when_all_is_done(overrides: list[str]) -> None:
    done = extract(compose(*overrides, "cot=detailed"), show_progress=False)
    watch_report(selection([]), ["nuclear_norm"], wait=never)
    assert page_data()["refresh"] is None
    assert Path("results/reports/all/findings.md").exists()
    assert page_data()["points"][0]["id"] == done.paths.point_id


@pytest.mark.long
def test_watching_follows_a_sweep_from_before_its_first_sample(overrides: list[str]) -> None:
    plan_two()
    seen: list[tuple[int, int, float]] = []

    def wait(seconds: float) -> None:
        data = page_data()
        seen.append((len(data["points"]), len(data["curves"].get("nuclear_norm", [])), seconds))
        assert data["refresh"] == seconds
        if len(seen) == 1:
            extract(compose(*overrides, "cot=detailed"), show_progress=False)
        else:
            raise KeyboardInterrupt

    watch_report(selection([]), ["nuclear_norm"], seconds=3.0, wait=wait)
    # Two planned points and no curve; then one more point with its curve.
    assert seen == [(2, 0, 3.0), (3, 1, 3.0)]
    assert page_data()["refresh"] is None


def test_watching_what_will_never_come_is_an_error(overrides: list[str]) -> None:
    with pytest.raises(DataError, match="no results"):
        watch_report(selection([]), ["nuclear_norm"], wait=never)
    extract(compose(*overrides, "cot=detailed"), show_progress=False)
    with pytest.raises(ConfigError, match="cot=simplified"):
        watch_report(selection(["cot=simplified"]), ["nuclear_norm"], wait=never)


@pytest.mark.parametrize("seconds", ["0", "nan", "soon"])
def test_a_wrong_pause_is_refused(seconds: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main(["report", "--watch", seconds])
    assert "--watch" in capsys.readouterr().err


def never(seconds: float) -> None:
    raise AssertionError("there is nothing to wait for")
