"""`python -m benchmarks.reading` as a user meets it."""

from __future__ import annotations

import pytest

from benchmarks.reading import main


@pytest.mark.long
def test_every_verb_is_timed_on_planted_points(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--points", "6", "--verbs", "report"]) == 0
    out = capsys.readouterr().out
    assert "6 points × 4 samples × 2 layers × 4 projections" in out
    for what in ("report, first", "report, again", "report, one more point"):
        assert f"| {what} | " in out
    assert "page " in out


def test_an_unknown_verb_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--verbs", "plam"])
    assert "plam unknown; there are plan, status" in capsys.readouterr().err
