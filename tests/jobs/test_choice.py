"""Words that mean points, and words that do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.stored_points import store_point

from gradsweep.cli import main
from gradsweep.errors import ConfigError, DataError
from gradsweep.jobs.choice import choose, choose_one, place_and_points
from gradsweep.jobs.status.points import KnownPoint
from gradsweep.records import Axes
from gradsweep.store import PointPaths


def point(identity: str, model: str, cot: str, series: str = "") -> KnownPoint:
    axes = {"model": model, "dataset": "gsm8k", "cot": cot, "correctness": "correct"}
    return KnownPoint(PointPaths(Path("results"), identity), axes, 5, None, series=series)


POINTS = [
    point("aab0", "qwen", "none", "n_samples=2"),
    point("aac1", "qwen", "none", "n_samples=3"),
    point("b2", "llama", "none"),
    point("c3", "llama", "detailed"),
    point("d4", "my model", "simplified"),
]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["aab"], ["aab0"]),
        (["c3", "b"], ["b2", "c3"]),
        (["cot=none"], ["aab0", "aac1", "b2"]),
        (["cot=none,model=qwen"], ["aab0", "aac1"]),
        (["model=qwen,n_samples=3"], ["aac1"]),
        (["model=qwen n_samples=3"], ["aac1"]),
        (["cot=detailed", "cot=none,model=llama"], ["b2", "c3"]),
        (["cot=simplified,detailed"], ["c3", "d4"]),
        (["model=my model"], ["d4"]),
    ],
)
def test_words_mean_points(words: list[str], ids: list[str]) -> None:
    assert [point.point_id for point in choose(POINTS, words)] == ids


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("aa", "several points: aab0.*aac1"),
        ("zz", "no point 'zz' here; there are aab0"),
        ("cot=slow", "cot=slow is not among these points; there are: detailed, none, simplified"),
        ("colour=red", "one of model, dataset, cot, correctness, .*: n_samples=2, n_samples=3"),
        (
            "n_samples=7",
            "n_samples=7 is not among these points; .*: n_samples=2, n_samples=3",
        ),
        ("cott=none", r"not told apart by cott \(did you mean cot\?\); .* model, dataset, cot"),
        ("cot=non", r"cot=non is not among these points \(did you mean none\?\); there are"),
        ("n_sample=2", r"did you mean n_samples\?.*: n_samples=2, n_samples=3"),
        ("model=my", "model=my is not among these points; there are: llama, my model"),
        ("cot=detailed,model=qwen", "no point is cot=detailed,model=qwen"),
    ],
)
def test_a_word_that_means_none_says_what_there_is(word: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        choose(POINTS, [word])


def test_status_keeps_to_filters_and_refuses_those_that_nothing_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for cot in ("none", "detailed"):
        axes = Axes("tiny", "sums", cot, "correct")
        store_point(tmp_path, f"point-{cot}", axes, 1.0, questions=["a", "b"])
    assert main(["status", str(tmp_path), "cot=none"]) == 0
    shown = capsys.readouterr().out
    assert "point-none"[:8] in shown
    assert "1 done" in shown
    for word in ("cott=none", "cot=non"):
        assert main(["status", str(tmp_path), word]) == 1
        assert "did you mean" in capsys.readouterr().err
    # What all points have tells none apart, and keeps all.
    assert main(["status", str(tmp_path), "n_samples=2"]) == 0
    assert "2 done" in capsys.readouterr().out


def test_one_point_is_not_several() -> None:
    with pytest.raises(ConfigError, match="is 2 points, name one: b2"):
        choose_one(POINTS, "model=llama")


def test_a_place_and_points_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    selected, words = place_and_points(["cot=none", "mine", "aab0"])
    assert (selected.results, selected.sweep, words) == (Path("mine"), None, ["cot=none", "aab0"])
    assert place_and_points(["aab0"])[0].results == Path("results")
    with pytest.raises(DataError, match="no results in mine/nowhere"):
        place_and_points(["mine/nowhere", "aab0"])
