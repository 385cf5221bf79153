"""The trial of nuclear norms by products finds them, so that its times are of the same numbers."""

from __future__ import annotations

import pytest
import torch

from benchmarks.polar import estimated, main, nuclear_norms, planted, steps

CPU = torch.device("cpu")


@pytest.mark.parametrize("n", [1, 7, 64])
def test_products_find_the_nuclear_norm(n: int) -> None:
    s, sums = planted(n, 3, CPU)
    torch.testing.assert_close(nuclear_norms(s), sums, rtol=1e-6, atol=0)


def test_a_singular_matrix_has_its_nuclear_norm_too() -> None:
    s, _ = planted(20, 2, CPU)
    s[:, :, 11:] = 0
    expected = torch.linalg.svdvals(s).sum(1)
    torch.testing.assert_close(nuclear_norms(s), expected, rtol=1e-6, atol=0)


def test_fewer_steps_where_less_is_asked() -> None:
    assert len(list(steps(1e-2))) < len(list(steps(1e-8))) < 20


def test_the_tables_have_a_line_for_each_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--sizes", "8"]) == 0
    said = capsys.readouterr().out
    assert "| 8 |" in said
    assert said.count("\n| 500 |") == sum(n == 500 for n, *_ in estimated())
