"""`python -m benchmarks.page` as a user meets it."""

from __future__ import annotations

import re
import shutil

import pytest

from benchmarks.page import main

Captured = pytest.CaptureFixture[str]

SMALL = ["--models", "1", "--layers", "3", "--samples", "2", "--rounds", "1"]


def test_without_a_browser_it_says_what_to_install(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert main(SMALL) == 0
    assert capsys.readouterr().out.startswith("skipped: ")


@pytest.mark.browser
def test_it_times_a_page_in_a_real_browser(capsys: Captured) -> None:
    assert main(SMALL) == 0
    out = capsys.readouterr().out
    if out.startswith("skipped: "):
        pytest.skip(out.removeprefix("skipped: "))
    assert "40 × 3 layers × 4 projections" in out
    found = re.search(r"opened in +([\d.]+) s", out)
    assert found is not None
    assert float(found[1]) > 0
