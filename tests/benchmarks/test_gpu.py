"""`python -m benchmarks.gpu` as a user meets it; what it measures takes a GPU."""

from __future__ import annotations

import sys

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import CALLS, HEAD, main, without_spectra
from benchmarks.random_llamas import MODELS, batch
from gradsweep.engine.passes import measure_batch
from gradsweep.models.projections import find_projections

Captured = pytest.CaptureFixture[str]
TINY = ("--models", "tiny", "--rounds", "1")


def test_the_table_of_a_tiny_model(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "SAMPLES", (2,))
    asked = ("--tokens", "12", "--dtypes", "bfloat16", "--calls", "--plain")
    assert main([*TINY, *asked]) == 0
    said = capsys.readouterr().out
    head, *rows = [line.strip("| ").split(" | ") for line in said.splitlines() if " × " in line]
    assert head == [*HEAD, *CALLS]
    assert [row[0] for row in rows] == ["2 × 12", "2 × 11–12"]
    for row in rows:
        assert len(row) == len(head)
        assert all(float(cell.split(" (")[0]) >= 0 for cell in row[1:7])
    assert "tiny, bfloat16" in said
    assert "extrapolated" in said.splitlines()[-1]


def test_more_samples_are_not_tried_once_a_batch_does_not_fit(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(model: object, case: gpu.Case, *given: object) -> list[str]:
        if case.samples > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return ["1"] * 6

    monkeypatch.setattr(gpu, "cells", full)
    assert main([*TINY, "--tokens", "8,9"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if " × " in line]
    lines = [line for line in lines if not line.startswith("| samples")]
    assert [line.split(" | ")[:2] for line in lines] == [
        *(["| 1 × 8", "1"], ["| 4 × 8", "does not fit |"]),
        *(["| 1 × 9", "1"], ["| 4 × 9", "does not fit |"]),
    ]


def test_a_pass_without_spectra_has_no_rows() -> None:
    model = MODELS["tiny"].build(torch.device("cpu"))
    sites, one = find_projections(model, "qkvo"), batch(model, 20, 3, True)
    assert [stop for _, stop in one.layout.spans] == [20, 19, 18]
    with without_spectra():
        assert not measure_batch(model, sites, one)[0].rows
    assert len(measure_batch(model, sites, one)[0].rows) == 2 * 4


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--models", "9b"], "9b unknown; there are 8b, 1b"),
        (["--dtypes", "float8"], "float8 unknown; there are float32"),
        (["--tokens", "1"], "allowed are numbers from 2"),
        (["--rounds", "0"], "at least 1"),
    ],
)
def test_wrong_arguments_are_named(args: list[str], said: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main([*TINY, *args])
    assert said in capsys.readouterr().err


def test_without_bergson_its_columns_say_what_to_install(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "benchmarks.bergson_collector", raising=False)
    monkeypatch.setitem(sys.modules, "bergson.collector.gradient_collectors", None)
    with pytest.raises(SystemExit):
        main([*TINY, "--bergson"])
    said = capsys.readouterr()
    assert said.out == ""
    assert "type make .venv/bergson.stamp" in said.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_large_models_wait_for_a_gpu(capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main(["--models", "8b"])
    assert "--models tiny runs on the CPU" in capsys.readouterr().err
