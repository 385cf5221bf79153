"""Numbers of points that are not done are said to be of a part, wherever they are shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.stored_points import fail_point, store_point

from gradsweep.cli import main
from gradsweep.records import Axes

Captured = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("wide_terminal")

RESULTS = Path("results")
THREE = tuple(f"question{i}" for i in range(3))


def axes(cot: str, seed: int = 0) -> Axes:
    return Axes("tiny", f"sums{seed or ''}", cot, "correct")


@pytest.mark.long
@pytest.mark.parametrize(("ends", "word"), [("stopped", "was stopped"), ("failed", "has failed")])
def test_report_findings_and_comparison_say_it(ends: str, word: str, capsys: Captured) -> None:
    store_point(RESULTS, "none0000", axes("none"), 4.0)
    store_point(RESULTS, "part0000", axes("detailed"), 1.0, questions=THREE, ends=ends)
    told = f"{word}, and its numbers are of the 3 samples that are measured so far"
    assert main(["report"]) == 0
    note = f"note: tiny · sums · detailed · correct (part0000) {told}"
    assert note in " ".join(capsys.readouterr().out.split())
    assert told in (RESULTS / "reports/all/findings.md").read_text()
    assert told in (RESULTS / "reports/all/index.html").read_text()
    assert main(["compare", "cot=none", "cot=detailed"]) == 0
    assert f"part0000 {told}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.long
def test_whole_points_are_not_said_to_be_a_part(capsys: Captured) -> None:
    store_point(RESULTS, "none0000", axes("none"), 4.0)
    store_point(RESULTS, "detailed", axes("detailed"), 1.0)
    assert main(["report"]) == 0
    assert main(["compare", "cot=none", "cot=detailed"]) == 0
    assert "so far" not in capsys.readouterr().out
    fail_point(RESULTS, "nothing0", axes("simplified"))
    assert main(["report"]) == 0
    told = "(nothing0) has failed, and it has no measured sample yet: the same command again"
    assert told in " ".join(capsys.readouterr().out.split())


@pytest.mark.long
def test_many_of_them_are_one_line(capsys: Captured) -> None:
    for seed in range(1, 8):
        store_point(RESULTS, f"none000{seed}", axes("none", seed), 4.0)
        store_point(
            RESULTS, f"part000{seed}", axes("detailed", seed), 1.0, questions=THREE, ends="stopped"
        )
    assert main(["compare", "cot=none", "cot=detailed"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count("measured so far") == 1
    assert "7 points are not finished" in shown


@pytest.mark.usefixtures("without_figures")
def test_a_point_that_does_not_stand_for_its_condition_is_not_named(capsys: Captured) -> None:
    """Beside a whole point of q k v o, one with more projections has stored nothing yet."""
    store_point(RESULTS, "none0000", axes("none"), 4.0)
    store_point(RESULTS, "detailed", axes("detailed"), 1.0)
    store_point(
        RESULTS, "aaaa0000", axes("none"), 4.0, projections="qkvoug", questions=(), ends="stopped"
    )
    assert main(["compare", "cot=none", "cot=detailed"]) == 0
    assert "so far" not in capsys.readouterr().out
