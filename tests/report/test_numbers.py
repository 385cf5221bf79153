"""A report of kept numbers says what one of rows says, bit for bit, and nothing kept is stale."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from helpers.same_numbers import assert_same_numbers, read_numbers
from helpers.stored_points import store_point

from gradsweep.cli import main
from gradsweep.records import Axes
from gradsweep.report.stored_rows import StoredRows
from gradsweep.store.paths import cache_folder

CONDITIONS = [
    ("tiny", dataset, cot, kind)
    for dataset in ("sums", "words")
    for cot in ("none", "detailed")
    for kind in ("correct", "irrelevant")
]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Points whose numbers are kept; tests take copies."""
    results = tmp_path_factory.mktemp("stored") / "results"
    for number, axes in enumerate(CONDITIONS):
        store_point(results, f"p{number:02}", Axes(*axes), 1.0 + number, questions=tuple("abc"))
    read_numbers(results)
    return results


@pytest.fixture
def results(stored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stored, tmp_path / "results"))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Points whose rows are read from here on."""
    found: list[Sequence[str]] = []
    rows = StoredRows.rows

    def seen(
        self: StoredRows, point_ids: Sequence[str], metrics: Sequence[str] | None = None
    ) -> pl.DataFrame:
        found.append(tuple(point_ids))
        return rows(self, point_ids, metrics)

    monkeypatch.setattr(StoredRows, "rows", seen)
    return found


def test_kept_numbers_are_those_of_the_rows(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from_rows = read_numbers(results, kept=False)
    looked_at = counted(monkeypatch)
    assert_same_numbers(read_numbers(results), from_rows)
    assert looked_at == []


@pytest.mark.long
def test_one_more_point_is_computed_with_its_own_model_and_dataset_alone(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_point(results, "more", Axes("tiny", "words", "simplified", "correct"), 3.0,
                questions=tuple("abc"))  # fmt: skip
    looked_at = counted(monkeypatch)
    found = read_numbers(results)
    monkeypatch.undo()
    assert {name for ids in looked_at for name in ids} == {"p04", "p05", "p06", "p07", "more"}
    assert_same_numbers(found, read_numbers(results, kept=False))


@pytest.mark.long
def test_a_scope_has_the_same_numbers_whatever_is_computed_with_it(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Axes("tiny", "own", "none", "correct")
    for name, seed, metrics in (("own0", 0, {"mine": 2.0}), ("own1", 1, None), ("own2", 1, None)):
        store_point(results, name, own, 2.0, seed=seed, own_metrics=metrics)
    together = read_numbers(results, kept=False)
    assert set(together.measures["mine"].curves["dataset"]) == {"own"}
    monkeypatch.setattr("gradsweep.report.number_batches.MOST_TOGETHER", 1)
    assert_same_numbers(read_numbers(results, kept=False), together)


@pytest.mark.long
def test_a_point_that_was_measured_again_counts_as_it_is_now(results: Path) -> None:
    before = read_numbers(results)
    shutil.rmtree(results / "points" / "p03")
    store_point(results, "p03", Axes(*CONDITIONS[3]), 50.0, questions=tuple("abc"))
    after = read_numbers(results)
    assert_same_numbers(after, read_numbers(results, kept=False))
    assert not after.measures["nuclear_norm"].means.equals(before.measures["nuclear_norm"].means)


def test_numbers_of_other_code_are_computed_again(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradsweep.store.kept_tables.code_digest", lambda: "edited")
    looked_at = counted(monkeypatch)
    read_numbers(results)
    assert looked_at
    assert len(list(cache_folder(results).glob("numbers-*"))) == 1, "what nobody reads is removed"


@pytest.mark.long
@pytest.mark.parametrize("damage", [lambda content: content[:-40], lambda content: b"", None])
def test_damaged_numbers_are_computed_again(results: Path, damage: object) -> None:
    before = read_numbers(results)
    for file in cache_folder(results).glob("numbers-*/*.zip"):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 255
        file.write_bytes(damage(file.read_bytes()) if callable(damage) else content)
    assert_same_numbers(read_numbers(results), before)


@pytest.mark.long
def test_a_report_of_kept_numbers_says_the_same(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradsweep.report.show.MOST_FIGURES", 0)
    told = []
    for _ in range(2):
        assert main(["report", str(results), "model=tiny", "dataset=sums"]) == 0
        files = {
            path.name: path.read_bytes()
            for path in (results / "reports").rglob("*")
            if path.suffix in (".md", ".csv", ".txt")
        }
        told.append((capsys.readouterr().out, files))
    assert told[0] == told[1]
    assert len(told[0][1]) > 4
