"""`python -m benchmarks` as a user meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import main

Captured = pytest.CaptureFixture[str]


@pytest.mark.long
def test_quick_prints_and_writes_one_table(capsys: Captured, tmp_path: Path) -> None:
    out = tmp_path / "results" / "quick.md"
    assert main(["--quick", "--no-memory", "--rounds", "2", "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert out.read_text() == shown.out.removesuffix("\n")
    cells = next(line for line in shown.out.splitlines() if line.startswith("| tiny")).split("|")
    medians = [float(cell.split()[0]) for cell in cells[2:7]]
    assert all(value > 0 for value in medians)
    assert cells[7].strip() == "2"
    for text in ("device", "cores", "torch", "load average"):
        assert f"- {text}: " in shown.out
    assert "quick: timed" in shown.err


def test_what_was_not_measured_is_a_dash(capsys: Captured) -> None:
    assert main(["--quick", "--no-memory", "--rounds", "1", "--plain-rounds", "0"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| tiny"))
    assert line.split("|")[3].strip() == "–"


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--cases", "llama8b_100,llama9b"], ["llama9b", "llama8b_100", "smollm2_detailed"]),
        (["--rounds", "0"], ["--rounds"]),
    ],
)
def test_bad_options_are_named(args: list[str], expected: list[str], capsys: Captured) -> None:
    with pytest.raises(SystemExit) as end:
        main(args)
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert all(text in message for text in expected)


def test_a_stopped_run_still_prints_what_it_has(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmarks.__main__._measured", stop)
    assert main(["--quick"]) == 130
    assert "# Benchmark" in capsys.readouterr().out


def test_heads_are_timed_beside_the_same_pass_without_them(capsys: Captured) -> None:
    quick = ["--quick", "--heads", "--no-memory", "--rounds", "1", "--plain-rounds", "0"]
    assert main(quick) == 0
    shown = capsys.readouterr().out
    section = shown[shown.index("## Heads") :]
    cells = next(line for line in section.splitlines() if line.startswith("| tiny")).split("|")
    assert all(float(cell.split()[0]) > 0 for cell in cells[2:4])


def test_a_training_run_is_timed_unwatched_idle_and_with_every_update(capsys: Captured) -> None:
    quick = ["--quick", "--training", "--no-memory", "--rounds", "1", "--plain-rounds", "0"]
    assert main(quick) == 0
    shown = capsys.readouterr().out
    section = shown[shown.index("## A training run") :]
    cells = next(line for line in section.splitlines() if line.startswith("| tiny")).split("|")
    idle, operations, update = (cell.split()[0] for cell in cells[3:6])
    assert float(idle) > 0
    assert float(update) > 0
    assert operations == "0", "an idle watch takes none"
