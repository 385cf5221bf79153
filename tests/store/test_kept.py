"""What is read of a results folder is kept for the next command, and never trusted when stale."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.stored_points import store_point

from gradsweep.errors import DataError
from gradsweep.records import Axes
from gradsweep.store import PointPaths, kept, load_rows
from gradsweep.store.checksums import damage
from gradsweep.store.kept import Kept, mark_of
from gradsweep.store.paths import cache_folder
from gradsweep.store.points import folder_labels
from gradsweep.store.record import read_config

AXES = Axes("m", "d", "none", "correct")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One new text is worth writing, and what was written just now is settled."""
    monkeypatch.setattr(kept, "WORTH_WRITING", 1)
    monkeypatch.setattr(kept, "SETTLED_SECONDS", 0.0)


@pytest.fixture
def point(tmp_path: Path) -> PointPaths:
    return store_point(tmp_path / "results", "abc", AXES, 1.0)


def another_process() -> None:
    kept.kept.cache_clear()


def test_a_record_is_read_from_yaml_once(
    point: PointPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_config(point)
    folder_labels(point.results)
    another_process()
    monkeypatch.setattr("gradsweep.store.record.read_yaml", lambda path: pytest.fail("read"))
    assert read_config(point) == before
    read_config(point)["axes"]["model"] = "of the caller alone"
    assert read_config(point) == before


def test_an_edited_record_is_read_again(point: PointPaths) -> None:
    folder_labels(point.results)
    another_process()
    text = point.config.read_text()
    point.config.write_text(text.replace("model: m", "model: o"))  # of the same size
    assert read_config(point)["axes"]["model"] == "o"


def test_checksums_of_files_that_stay_the_same_are_not_computed_again(
    point: PointPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = load_rows(point.results)
    another_process()
    monkeypatch.setattr("hashlib.sha256", lambda *content: pytest.fail("hashed"))
    assert load_rows(point.results).equals(rows)


@pytest.mark.parametrize("again", [True, False], ids=["same size", "shorter"])
def test_a_file_that_was_edited_since_is_found(point: PointPaths, again: bool) -> None:
    load_rows(point.results)
    another_process()
    content = bytearray(point.rows.read_bytes())
    content[len(content) // 2] ^= 1
    point.rows.write_bytes(content if again else content[:-9])
    with pytest.raises(DataError, match="not as it was written"):
        load_rows(point.results)


def test_doctor_reads_every_byte_whatever_is_kept(
    point: PointPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_rows(point.results)
    mark = mark_of(point.rows)
    point.rows.write_bytes(point.rows.read_bytes()[:-9])
    monkeypatch.setattr("gradsweep.store.checksums.mark_of", lambda file: mark)
    load = kept.kept(point.results, "checksums")
    assert load.get("abc/rows.parquet", mark), "as on a disk that forgets bits"
    assert "rows.parquet is not as it was written" in damage(point)


@pytest.mark.parametrize("content", ["", "gradsweep cache 0\nabc\t1 2 3 4\t{}", "\0"])
def test_a_damaged_cache_costs_the_time_alone(point: PointPaths, content: str) -> None:
    before = read_config(point)
    file = cache_folder(point.results) / "records.tsv"
    file.parent.mkdir(exist_ok=True)
    file.write_text(content)
    another_process()
    assert read_config(point) == before


@pytest.mark.parametrize("end", ["", '"', "]"])
def test_a_kept_record_that_is_damaged_is_read_from_yaml(point: PointPaths, end: str) -> None:
    before = read_config(point)
    folder_labels(point.results)
    another_process()
    file = cache_folder(point.results) / "records.tsv"
    text = file.read_text()
    assert "{" in text
    file.write_text(text.replace("}\n", f"{end}\n"))
    assert read_config(point) == before


def test_a_file_that_changed_just_now_is_not_kept_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clocks of file systems are coarse: it may change again under the same times."""
    monkeypatch.setattr(kept, "SETTLED_SECONDS", 1e9)
    source = tmp_path / "source"
    source.write_text("text")
    texts = Kept(tmp_path / "kept.tsv")
    texts.put("name", mark_of(source), "made")
    texts.save()
    assert texts.get("name", mark_of(source)) == "made"
    assert Kept(tmp_path / "kept.tsv").get("name", mark_of(source)) is None


def test_a_folder_that_cannot_be_written_stays_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in its place")
    source = tmp_path / "source"
    source.write_text("text")
    texts = Kept(tmp_path / "cache" / "kept.tsv")
    texts.put("name", mark_of(source), "made")
    texts.save()
    assert texts.get("name", mark_of(source)) == "made"
