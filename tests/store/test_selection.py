"""Which points `report` means: places, sweeps and filters."""

from pathlib import Path

import polars as pl
import pytest

from gradsweep.errors import ConfigError, DataError
from gradsweep.records import POINT_LABELS
from gradsweep.store import SweepPaths
from gradsweep.store.atomic import write_json
from gradsweep.store.selection import Selection, selection

LABELS = (("small one", ""), ("large", "n_samples=2"), ("large", "n_samples=3"))


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepPaths:
    """A sweep of two points in ./results."""
    monkeypatch.chdir(tmp_path)
    paths = SweepPaths(Path("results"), "night")
    write_json(paths.manifest, {"points": [{"point_id": "aaa"}, {"point_id": "bbb"}]})
    return paths


@pytest.fixture
def points() -> pl.DataFrame:
    lines = [
        (model, dataset, cot, "correct", "sft", series, f"{model}-{series}-{dataset}-{cot}")
        for model, series in LABELS
        for dataset in ("gsm8k", "aqua")
        for cot in ("none", "detailed")
    ]
    return pl.DataFrame(lines, [*POINT_LABELS, "point_id"], orient="row").with_columns(seed=0)


def test_no_words_mean_everything_in_results():
    chosen = selection([])
    assert (chosen.results, chosen.point_ids, chosen.name) == (Path("results"), None, "all")


@pytest.mark.parametrize("place", ["night", "results/sweeps/night", "results/sweeps/night/"])
def test_a_sweep_by_name_or_folder(sweep, place):
    chosen = selection([place])
    assert chosen.results == Path("results")
    assert chosen.point_ids == ["aaa", "bbb"]
    assert chosen.name == "night"


def test_the_folder_of_a_sweep_from_inside(sweep, monkeypatch):
    root = Path.cwd()
    monkeypatch.chdir("results/sweeps/night")
    chosen = selection(["."])
    assert (chosen.results, chosen.name) == (root / "results", "night")


def test_a_results_folder_with_a_sweep_of_it(sweep, tmp_path):
    chosen = selection([str(tmp_path / "results")], "night")
    assert chosen.point_ids == ["aaa", "bbb"]
    with pytest.raises(DataError, match=r"no sweep 'day'.*night"):
        assert selection(["results"], "day").point_ids


def test_a_place_that_is_none_lists_the_sweeps_there_are(sweep):
    with pytest.raises(DataError, match=r"no results in nowhere.*night"):
        selection(["nowhere"])


def test_two_places_are_refused(sweep):
    with pytest.raises(ConfigError, match="one results folder or sweep"):
        selection(["results", "night"])
    with pytest.raises(ConfigError, match="different sweeps"):
        selection(["night"], "day")


def test_filters_keep_what_they_name(points):
    kept = selection(["dataset=gsm8k", "cot=none,detailed"]).of(points)
    assert kept["dataset"].unique().to_list() == ["gsm8k"]
    assert len(kept) == len(points) // 2


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["model=large"], {("large", "n_samples=2"), ("large", "n_samples=3")}),
        (["model=large", "n_samples=3"], {("large", "n_samples=3")}),
        (["n_samples=2,3"], {("large", "n_samples=2"), ("large", "n_samples=3")}),
        (["model=large n_samples=3"], {("large", "n_samples=3")}),
        (["series=n_samples=2"], {("large", "n_samples=2")}),
        (["model=small one"], {("small one", "")}),
        (["series=default"], {("small one", "")}),
        (["seed=0"], set(LABELS)),
        (["model=small one,large", "cot=none"], set(LABELS)),
    ],
)
def test_filters_on_models_and_seriess(points, words, kept):
    found = selection(words).of(points)
    assert set(found.select("model", "series").rows()) == kept


def test_half_of_a_models_name_is_no_filter(points):
    with pytest.raises(ConfigError, match=r"model=small .*large n_samples=2, .*=3, small one"):
        selection(["model=small"]).of(points)


def test_filters_are_in_the_name_of_the_report(sweep):
    assert selection(["night", "dataset=gsm8k,aqua"]).name == "night__dataset=gsm8k,aqua"


@pytest.mark.parametrize("word", ["datasets=gsm8k", "metric=rank", "dataset="])
def test_a_filter_on_no_axis_lists_the_axes(word, points):
    with pytest.raises(ConfigError, match="model, dataset, cot, correctness"):
        selection([word]).of(points)


def test_a_value_that_is_not_there_lists_those_that_are(points):
    with pytest.raises(ConfigError, match=r"dataset=gsm8.*aqua, gsm8k"):
        selection(["dataset=gsm8"]).of(points)


def test_filters_that_keep_nothing_together(points):
    missing = points.filter(~((pl.col("dataset") == "aqua") & (pl.col("cot") == "none")))
    with pytest.raises(ConfigError, match="dataset=aqua,cot=none"):
        selection(["dataset=aqua", "cot=none"]).of(missing)


def test_no_filter_changes_nothing(points):
    assert Selection(Path("results")).of(points).equals(points)
