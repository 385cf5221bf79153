"""`python -m benchmarks.gpu` as a user meets it; what it measures takes a GPU."""

from __future__ import annotations

import pytest
import torch

from benchmarks.gpu import QUICK, batch, main, without_spectra
from gradsweep.engine.passes import measure_batch
from gradsweep.models.projections import find_projections

Captured = pytest.CaptureFixture[str]


def test_quick_prints_a_line_of_positive_times(capsys: Captured) -> None:
    assert main(["--quick", "--rounds", "1", "--plain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (cells,) = [line.split("|") for line in lines if line.startswith("| 3 × 18–20 |")]
    assert all(float(cell) >= 0 for cell in cells[2:5])
    assert "extrapolated" in lines[-1]


def test_a_pass_without_spectra_has_no_rows() -> None:
    model = QUICK.build(torch.device("cpu"))
    sites, one = find_projections(model, "qkvo"), batch(model, 20, 3, True)
    assert [stop for _, stop in one.layout.spans] == [20, 19, 18]
    with without_spectra():
        assert not measure_batch(model, sites, one)[0].rows
    assert len(measure_batch(model, sites, one)[0].rows) == 2 * 4


@pytest.mark.parametrize(
    ("args", "said"),
    [(["--models", "9b"], "9b unknown; there are 8b, 1b"), (["--rounds", "0"], "1")],
)
def test_wrong_arguments_are_named(args: list[str], said: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main([*args, "--quick"])
    assert said in capsys.readouterr().err
