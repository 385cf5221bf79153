"""A config.yaml that is gone, cut short or another's is said: no report is silently smaller."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from helpers.stored_points import store_point

from gradsweep import load_rows
from gradsweep.cli import main
from gradsweep.errors import DataError
from gradsweep.records import Axes
from gradsweep.store import PointPaths, SweepPaths
from gradsweep.store.atomic import write_json
from gradsweep.store.record import read_config

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def point(tmp_path: Path) -> PointPaths:
    """One of two points; its record has a config, as those of the command line have."""
    results = tmp_path / "results"
    store_point(results, "good", Axes("m", "d", "detailed", "correct"), 1.0)
    paths = store_point(results, "abcd", Axes("m", "d", "none", "correct"), 1.0)
    record = yaml.safe_load(paths.config.read_text())
    record["config"] = {"dataset": {"name": "d"}, "seed": 0, "sweep": "mine"}
    paths.config.write_text(yaml.safe_dump(record, sort_keys=False))
    return paths


def refused(capsys: Captured, *words: str) -> str:
    """What a command says that ends with an error, and without a traceback."""
    assert main(list(words)) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "\n" not in said.strip(), "one line"
    return said


VERBS = [("status",), ("report",), ("compare", "cot=none", "cot=detailed")]


@pytest.mark.parametrize("words", VERBS, ids=lambda words: words[0])
def test_a_finished_point_without_its_record_is_an_error(
    point: PointPaths, words: tuple[str, ...], capsys: Captured
) -> None:
    command = ["gradsweep", "-m", "cot=none"]
    axes = {"model": "m", "dataset": "d", "cot": "none", "correctness": "correct"}
    planned = [{"point_id": "abcd", "axes": axes, "overrides": ["cot=none"]}]
    manifest = {"name": "mine", "written": "", "points": planned, "command": command}
    write_json(SweepPaths(point.results, "mine").manifest, manifest)
    point.config.unlink()
    said = refused(capsys, *words, str(point.results))
    assert f"{point.config} is gone" in said
    assert f"rm -r {point.folder} && gradsweep -m cot=none" in said


def test_rows_of_a_point_without_its_record_are_not_left_out(point: PointPaths) -> None:
    point.config.unlink()
    for asked in (None, ["abcd"]):
        with pytest.raises(DataError, match=r"config\.yaml is gone"):
            load_rows(point.results, asked)


def test_a_stopped_point_without_its_record_keeps_its_samples(tmp_path: Path) -> None:
    axes = Axes("m", "d", "none", "correct")
    paths = store_point(tmp_path, "abcd", axes, 1.0, ends="stopped")
    record = read_config(paths)
    paths.config.unlink()
    with pytest.raises(DataError, match=r"is gone\. Run it again.* keeps what is stored") as error:
        load_rows(tmp_path)
    assert "rm -r" not in str(error.value)
    store_point(tmp_path, "abcd", axes, 1.0, questions=[], ends="stopped")  # which is to run it
    assert read_config(paths) == record
    assert load_rows(tmp_path)["sample_id"].n_unique() == 10


def cut_behind(text: str) -> Callable[[Path], None]:
    def cut(file: Path) -> None:
        content = file.read_text()
        assert content.count(text) == 1
        file.write_text(content[: content.index(text) + len(text)])

    return cut


CUTS = [
    "axes:\n",
    "  cot: none\n  correctness: correct\n  objective: sft\n",
    "science:\n",
    "seed: 0\n  gradients:",
    "config:",
    "config:\n",
    "config:\n  dataset:\n",
    "  seed: 0\n  sw",
]


@pytest.mark.parametrize("cut", CUTS)
def test_a_record_that_is_cut_short_is_said_wherever_it_is_cut(
    point: PointPaths, cut: str, capsys: Captured
) -> None:
    cut_behind(cut)(point.config)
    for words in VERBS:
        assert f"{point.config} is damaged" in refused(capsys, *words, str(point.results))


def test_the_record_of_every_version_is_read(tmp_path: Path) -> None:
    """The first version had no id and no objective; a run in another loop has no config."""
    paths = PointPaths(tmp_path, "abcd")
    axes = {"model": "m", "dataset": "d", "cot": "none", "correctness": "correct"}
    for config in ({}, {"dataset": {}, "sweep": None}):
        paths.folder.mkdir(parents=True, exist_ok=True)
        paths.config.write_text(yaml.safe_dump({"axes": axes, "science": {}, "config": config}))
        assert read_config(paths)["axes"] == axes


@pytest.mark.parametrize("junk", ["hello", "a: 1\n", "", "[1, 2]\n", "axes: x\n"])
def test_a_foreign_folder_among_points_is_named_with_what_to_do(
    point: PointPaths, junk: str, capsys: Captured
) -> None:
    foreign = PointPaths(point.results, "my notes")
    foreign.folder.mkdir()
    foreign.config.write_text(junk)
    for words in VERBS:
        said = refused(capsys, *words, str(point.results))
        assert str(foreign.config) in said
        assert f"mv '{foreign.folder}' {point.results}" in said
    foreign.config.unlink()
    assert main(["status", str(point.results)]) == 0, "without a config.yaml it is no point"


def test_a_copy_of_a_point_is_not_counted_as_another(point: PointPaths, capsys: Captured) -> None:
    copy = point.folder.with_name("abcd.bak")
    shutil.copytree(point.folder, copy)
    for words in VERBS:
        said = refused(capsys, *words, str(point.results))
        assert f"{copy} is no point of its own: by its config.yaml it is a copy of abcd" in said
        assert f"mv {copy} {point.results}" in said
