"""`doctor` names every point that is damaged, and checks the others all the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.stored_points import store_point

from gradsweep.cli import main
from gradsweep.records import Axes
from gradsweep.store import PointPaths, SweepPaths, point_folders
from gradsweep.store.atomic import write_json
from gradsweep.store.description import describe
from gradsweep.store.record import read_config

Captured = pytest.CaptureFixture[str]
Damage = Callable[[PointPaths], object]

pytestmark = pytest.mark.usefixtures("wide_terminal")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for point_id, cot, level in (("abcd", "none", 1.0), ("good", "detailed", 2.0)):
        store_point(tmp_path / "r", point_id, Axes("m", "d", cot, "correct"), level)
    store_point(
        tmp_path / "r", "half", Axes("m", "d", "simplified", "correct"), 1.5, ends="stopped"
    )
    _plan(tmp_path / "r")
    return tmp_path / "r"


def _plan(results: Path) -> None:
    """A sweep of these points, which knows their names, too."""
    planned = []
    for paths in point_folders(results):
        record = read_config(paths)
        described = {"axes": record["axes"], "description": describe(record).record()}
        planned.append({"point_id": paths.point_id, "overrides": [], **described})
    manifest = {"name": "mine", "written": "", "points": planned, "command": ["gradsweep"]}
    write_json(SweepPaths(results, "mine").manifest, manifest)


def cut(name: str) -> Damage:
    def half(paths: PointPaths) -> None:
        file = getattr(paths, name)
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    return half


def gone(name: str) -> Damage:
    return lambda paths: getattr(paths, name).unlink()


def anothers(name: str) -> Damage:
    """The file of another point in the place of its own."""
    return lambda paths: shutil.copy(
        getattr(PointPaths(paths.results, "good"), name), getattr(paths, name)
    )


def empty(name: str) -> Damage:
    return lambda paths: getattr(paths, name).write_bytes(b"")


def without_checksums(damage: Damage) -> Damage:
    """A point whose DONE names none."""

    def both(paths: PointPaths) -> None:
        paths.done.write_text("{}")
        damage(paths)

    return both


DAMAGES = {
    **{f"cut {name}": cut(name) for name in ("rows", "samples", "summary", "config")},
    **{f"gone {name}": gone(name) for name in ("rows", "samples", "summary", "config")},
    **{f"another's {name}": anothers(name) for name in ("rows", "samples", "config")},
    **{f"empty {name}": empty(name) for name in ("done", "rows", "config")},
    **{f"unchecked {name}": without_checksums(cut(name)) for name in ("rows", "samples")},
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_point_is_one_problem_and_the_others_are_checked(
    results: Path, damage: Damage, capsys: Captured
) -> None:
    damage(PointPaths(results, "abcd"))
    assert main(["doctor", str(results)]) == 1
    shown = capsys.readouterr()
    assert "error" not in shown.err
    problems = [line for line in shown.out.splitlines() if line.startswith("problem  files")]
    assert len(problems) == 1, shown.out
    assert str(PointPaths(results, "abcd").folder) in problems[0]
    assert "3 points" in shown.out
    assert main(["doctor", "good", str(results)]) in (0, 1)
    shown = capsys.readouterr()
    assert "error" not in shown.err
    assert "problem  files" not in shown.out


def test_a_damaged_part_is_one_problem(results: Path, capsys: Captured) -> None:
    (part,) = PointPaths(results, "half").parts.glob("rows-*.parquet")
    part.write_bytes(b"PAR1")
    assert main(["doctor", str(results)]) == 1
    shown = capsys.readouterr()
    assert f"{part} is damaged" in shown.out
    assert "3 points" in shown.out


def test_a_sibling_that_cannot_be_read_is_said_beside_what_can(
    results: Path, capsys: Captured
) -> None:
    gone("rows")(PointPaths(results, "abcd"))
    main(["doctor", "good", str(results)])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "conditions" in line]
    assert "none correct cannot be read (abcd)" in line


@pytest.mark.parametrize("damage", [gone("config"), cut("config")])
def test_a_point_whose_record_is_damaged_is_found_by_its_id(
    results: Path, damage: Damage, capsys: Captured
) -> None:
    damage(PointPaths(results, "abcd"))
    assert main(["doctor", "ab", str(results)]) == 1
    assert "problem" in (shown := capsys.readouterr().out)
    assert "config.yaml is" in shown
    assert main(["doctor", "ab", str(results), "--load"]) == 1
    assert "config.yaml is" in capsys.readouterr().err


def test_all_points_may_be_damaged(tmp_path: Path, capsys: Captured) -> None:
    for name in ("one", "two"):
        paths = store_point(tmp_path, name, Axes("m", "d", "none", "correct"), 1.0)
        paths.config.write_text("hello")
    assert main(["doctor", str(tmp_path)]) == 1
    assert capsys.readouterr().out.count("problem  files") == 2


def test_a_copy_beside_a_point_does_not_make_its_id_ambiguous(
    results: Path, capsys: Captured
) -> None:
    folder = PointPaths(results, "good").folder
    shutil.copytree(folder, folder.with_name("good.bak"))
    main(["doctor", "good", str(results)])
    shown = capsys.readouterr()
    assert "error" not in shown.err
    assert "problem  files" not in shown.out
    assert main(["doctor", str(results)]) == 1
    assert "good.bak is no point of its own" in capsys.readouterr().out
