"""Responses that lose their end at `model.max_length` are told wherever their numbers are shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gradsweep import compose, extract
from gradsweep.cli import main
from gradsweep.errors import DataError

pytestmark = pytest.mark.usefixtures("wide_terminal")
LONG = "We add, and we add once more. " * 6


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four questions; two have a long response at the level `detailed`, and all at `simplified`."""
    file = tmp_path / "mine.jsonl"
    lines = [
        {
            "prompt": f"{n}+2?",
            "responses": {
                "none": str(n + 2),
                "simplified": f"{LONG}{n + 2}",
                "detailed": f"{LONG if n % 2 else ''}{n + 2}",
            },
        }
        for n in range(3, 7)
    ]
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


@pytest.fixture
def settings(data: Path, saved_model: Path) -> list[str]:
    return [
        *("model=folder", f"model.source.path={saved_model}", "model.name=tiny"),
        *("dataset=jsonl", f"dataset.path={data}", "tracking=none", "model.max_length=60"),
    ]


@pytest.mark.long
def test_they_are_counted_in_the_run_the_report_the_findings_and_the_page(
    settings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    said = "2 of 4 responses are cut at model.max_length"
    assert main([*settings, "cot=none"]) == 0
    assert "are cut" not in "".join(capsys.readouterr())
    assert main([*settings, "cot=detailed"]) == 0
    shown = capsys.readouterr()
    assert f"{said}=60 and lose their end" in shown.err
    assert "holds all)" in shown.err
    assert main(["report"]) == 0
    assert f"detailed · correct: {said}" in capsys.readouterr().out
    for name in ("findings.md", "index.html"):
        assert said in (Path("results/reports/all") / name).read_text(), name


def test_where_all_are_cut_the_length_that_holds_them_is_named(settings: list[str]) -> None:
    config = compose(*settings, "cot=simplified")
    with pytest.raises(DataError, match="4 of 4 responses are cut") as error:
        extract(config, show_progress=False)
    *_, named = str(error.value).split("model.max_length=")
    enough = int(named.split()[0])
    point = extract(compose(*settings, "cot=simplified", f"model.max_length={enough}"))
    assert not point.samples()["truncated"].any()


def test_a_length_that_holds_the_shortest_is_taken(settings: list[str]) -> None:
    config = compose(*settings, "cot=detailed", "model.max_length=60")
    assert extract(config, show_progress=False).samples()["truncated"].sum() == 2
