"""A report of many points has other processes compute, answer and write: it says the same."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from threading import Event, current_thread

import polars as pl
import pytest
from helpers.process_state import killed
from helpers.stored_points import store_point

from gradsweep.cli import main
from gradsweep.records import Axes
from gradsweep.report import beside
from gradsweep.report.numbers import NumbersReader
from gradsweep.report.open_questions.answers import questions_of_stored
from gradsweep.report.processes import new_processes
from gradsweep.report.stored_rows import stored_rows
from gradsweep.store.paths import cache_folder
from gradsweep.store.selection import selection

RESULTS = Path("results")


@pytest.fixture
def stored(wide_terminal: None) -> Path:
    """Two CoT levels with both kinds of responses."""
    for cot, size in (("none", 2.0), ("detailed", 1.0)):
        for kind in ("correct", "irrelevant"):
            store_point(RESULTS, f"{cot}{kind}", Axes("tiny", "sums", cot, kind), size)
    return RESULTS


def texts(results: Path) -> dict[str, str]:
    """Every file of the report that is made of text, but the page, which has the time in it."""
    folder = results / "reports" / "all"
    files = [path for path in folder.rglob("*") if path.suffix in (".md", ".csv", ".tex", ".txt")]
    return {path.name: path.read_text(encoding="utf-8") for path in files}


@pytest.mark.long
@pytest.mark.parametrize("is_killed", [False, True], ids=["done", "killed"])
def test_a_second_process_says_what_this_one_would(is_killed, stored, monkeypatch, capsys):
    """Also one that is killed, as where memory runs out."""
    monkeypatch.setattr(beside, "usable_cores", lambda: 2)
    if is_killed:
        monkeypatch.setattr(beside, "_answers", killed)
    shown = []
    for many in (100, 1):
        cache = cache_folder(stored)
        if cache.exists():
            cache.rename(stored / f"aside{many}")
        monkeypatch.setattr(beside, "MANY_POINTS", many)
        assert main(["report", str(stored)]) == 0
        shown.append((capsys.readouterr().out, texts(stored)))
    assert shown[0] == shown[1]
    assert "findings.md" in shown[0][1]
    assert list((stored / "reports").rglob("*.png"))


def test_few_points_and_answers_that_were_kept_take_no_second_process(stored, monkeypatch):
    monkeypatch.setattr(beside, "new_processes", None)
    source = stored_rows(selection([str(stored)]))
    with beside.beside(source, "nuclear_norm") as other:
        assert other is None
    questions_of_stored(source)
    monkeypatch.setattr(beside, "MANY_POINTS", 1)
    with beside.beside(source, "nuclear_norm") as other:
        assert other is None


class Pool:
    """A helper of threads in the place of processes; the first so many are killed."""

    def __init__(self, n_killed: int) -> None:
        self.submitted, self._n_killed = 0, n_killed
        self._executor = ThreadPoolExecutor(1)

    def is_free(self) -> bool:
        return self.submitted < 2

    def submit(self, function, *arguments):
        self.submitted += 1
        if self.submitted <= self._n_killed:
            return self._executor.submit(killed_process)
        return self._executor.submit(function, *arguments)


def killed_process() -> None:
    raise BrokenProcessPool


@pytest.mark.parametrize("n_killed", [0, 1])
def test_numbers_are_the_same_whoever_computes_them(n_killed, monkeypatch):
    """Also those of a batch whose process was killed, which are computed here."""
    monkeypatch.setattr("gradsweep.report.number_batches.MOST_TOGETHER", 1)
    for dataset in ("sums", "words", "others"):
        for kind in ("correct", "irrelevant"):
            store_point(RESULTS, f"{dataset}{kind}", Axes("tiny", dataset, "none", kind), 1.0)
    source = stored_rows(selection([str(RESULTS)]))
    helper = Pool(n_killed)
    alone, helped = (
        NumbersReader(source).read(["nuclear_norm"], helper=one) for one in (None, helper)
    )
    assert helper.submitted == 2
    assert alone.measures.keys() == helped.measures.keys()
    for metric, measures in alone.measures.items():
        for table in dataclasses.fields(measures):
            of_both = getattr(measures, table.name), getattr(helped.measures[metric], table.name)
            assert of_both[0] is of_both[1] or pl.DataFrame(of_both[0]).equals(of_both[1])
    assert alone.outliers.equals(helped.outliers)


@pytest.mark.long
def test_a_pool_whose_process_was_killed_takes_no_more(stored):
    with new_processes(1) as pool:
        other = beside.Beside(pool, stored_rows(selection([str(stored)])), "nuclear_norm")
        assert other.submit(killed).exception() is not None
        assert not other.is_free()
        assert isinstance(other.submit(len, ()).exception(), BrokenProcessPool)


def test_a_file_is_written_by_who_has_time(stored, tmp_path, monkeypatch):
    monkeypatch.setattr(beside, "_answers", lambda source: None)
    monkeypatch.setattr(beside, "claims_of", lambda *settings: [])
    written = []
    with ThreadPoolExecutor(1, "other") as pool:
        other = beside.Beside(pool, stored_rows(selection([str(stored)])), "nuclear_norm")
        assert (other.answered(), other.tested()) in [(None, []), (None, None)]
        busy = Event()
        waiting = other.submit(busy.wait)
        other.write(lambda: written.append(current_thread().name))
        busy.set()
        waiting.result()
        other.write(lambda: written.append(current_thread().name) or tmp_path)
        other.finish()
    assert [name.partition("_")[0] for name in written] == [current_thread().name, "other"]
