"""A results folder that cannot be one is said before work is spent; one may have any name."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.stored_points import store_point

from gradsweep.cli import main
from gradsweep.errors import StoreError
from gradsweep.records import Axes
from gradsweep.store.place import require_possible, require_writable
from gradsweep.store.selection import selection


def test_a_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "results")
    assert list((tmp_path / "new" / "results").iterdir()) == []


def test_a_link_to_a_folder_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    require_writable(tmp_path / "link")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("file", r"store\.root=\S+file is a file"),
        ("file/below", r"store\.root=\S+ lies below \S+file, which is a file"),
        ("dead", r"the link \S+dead to \S+gone, which is not there"),
        ("dead/below", r"the link \S+dead to \S+gone, which is not there"),
    ],
)
def test_what_is_no_folder_is_named(place: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dead").symlink_to(tmp_path / "gone")
    with pytest.raises(StoreError, match=message):
        require_writable(tmp_path / place)
    if not place.startswith("dead"):
        with pytest.raises(StoreError, match=message):
            require_possible(tmp_path / place)


@pytest.mark.usefixtures("wide_terminal")
@pytest.mark.parametrize("root", ["file", "file/below", "x" * 300])
@pytest.mark.parametrize("verb", [[], ["plan"]])
def test_what_cannot_be_a_folder_is_one_error_that_names_the_field(
    verb: list[str], root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").touch()
    assert main([*verb, "tracking=none", f"store.root={root}"]) == 1
    assert capsys.readouterr().err.startswith(f"error: store.root={root} ")


@pytest.mark.usefixtures("wide_terminal")
def test_a_run_stops_before_anything_is_loaded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert main(["tracking=none", "store.root=file"]) == 1
    assert capsys.readouterr().err.startswith("error: store.root=file is a file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.long
@pytest.mark.usefixtures("wide_terminal")
def test_a_results_folder_may_look_like_a_filter(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    store_point(Path("lr=0.1"), "p1", Axes("small", "sums", "none", "correct"), 1.0)
    assert selection(["lr=0.1", "cot=none"]).results == Path("lr=0.1")
    assert selection(["cot=none"]).results == Path("results")
    for command in (["status", "lr=0.1"], ["report", "lr=0.1", "cot=none"], ["doctor", "lr=0.1"]):
        assert main(command) == 0, capsys.readouterr().err


@pytest.mark.usefixtures("wide_terminal")
def test_the_home_folder_is_read_where_a_verb_takes_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    store_point(tmp_path / "home/r", "p1", Axes("small", "sums", "none", "correct"), 1.0)
    assert selection(["~/r"]).results == tmp_path / "home/r"
    for command in (["status", "~/r"], ["doctor", "~/r"], ["compare", "p1", "p1", "~/r"]):
        assert main(command) == (command[0] == "compare")  # which is of one point with itself
