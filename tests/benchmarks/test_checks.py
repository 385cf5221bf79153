"""What the checks before a point cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import checks


@pytest.mark.long
def test_both_checks_run_and_are_part_of_the_point(saved_model: Path) -> None:
    of_point = ["model=folder", f"model.source.path={saved_model}", "model.prompt=plain"]
    seconds, whole = checks.shares([*of_point, "cot=none"], 2)
    assert set(seconds) == set(checks.CHECKS)
    assert all(taken > 0 for taken in seconds.values())
    assert sum(seconds.values()) < whole
