"""The page as a file: whole, safe, and with the numbers of the analysis."""

import re
from dataclasses import replace
from html import unescape
from itertools import product

import polars as pl
import pytest
from helpers.planted_page import stored_of

from gradsweep.analysis import curves, relative_difference
from gradsweep.report.comparison import comparisons
from gradsweep.report.measures import compute_measures
from gradsweep.report.page import prepare_page
from gradsweep.report.page.curves import with_other_metrics
from gradsweep.report.page.found import found_in
from gradsweep.report.page.grid import point_grid
from gradsweep.report.page.models import compared_models
from gradsweep.report.page.pictures import scale_of
from gradsweep.report.page.terms import with_terms
from gradsweep.report.reading import sentences
from gradsweep.store import PointState

NEW = {"state": PointState.NEW, "record": {}, "n_stored": 0, "n_bad": 0}
HOSTILE = "</script><img src=x onerror=alert(1)>"


def test_everything_is_in_the_one_file(page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"<(script|img|iframe|link)[^>]+(src|href)=\"(?!data:)", text)
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert list(page.parent.iterdir()) == [page]


def test_curves_and_rd_are_those_of_the_analysis(page, rows, data_of):
    drawn = data_of(page)["curves"]["nuclear_norm"]
    expected = curves(rows, "nuclear_norm")
    assert sum(len(curve["layer"]) for curve in drawn) == len(expected)
    one = next(curve for curve in drawn if curve["point"] == "tiny-sums-detailed-irrelevant")
    of_one = expected.filter(point_id=one["point"], projection=one["projection"])
    assert one["layer"] == of_one["layer"].to_list()
    for name, column in (("value", "mean"), ("low", "ci_low"), ("high", "ci_high")):
        assert one[name] == pytest.approx(of_one[column].to_list(), rel=1e-4)
    assert one["n"] == 4
    differences = data_of(page)["differences"]["nuclear_norm"]
    found = relative_difference(rows, "nuclear_norm")["relative_difference"]
    assert sum(sum(d["value"]) for d in differences) == pytest.approx(found.sum(), rel=1e-3)


def test_a_value_that_is_missing_is_null(plant, page_of, data_of, tmp_path):
    rows = plant(projections="q", n_layers=3).with_columns(
        nuclear_norm=pl.when((pl.col("layer") == 1) & (pl.col("cot") == "none"))
        .then(float("nan"))
        .otherwise("nuclear_norm")
    )
    drawn = data_of(page_of(rows, tmp_path))["curves"]["nuclear_norm"]
    hit = [curve for curve in drawn if curve["point"] == "tiny-sums-none-correct"]
    assert [value is None for value in hit[0]["value"]] == [False, True, False]


def test_names_and_reasons_are_text_and_never_html(plant, page_of, data_of, tmp_path):
    rows = plant(projections="q", n_layers=3, model=HOSTILE, dataset="<b>sums</b>")
    path = page_of(rows, tmp_path)
    text = path.read_text(encoding="utf-8")
    assert "<img" not in text
    assert "<b>sums" not in text
    assert data_of(path)["axes"]["model"] == [HOSTILE]


def test_small_results_have_every_metric_and_large_ones_those_of_the_report(page, data_of, rows):
    assert [one["key"] for one in data_of(page)["metrics"]] == ["nuclear_norm", "effective_rank"]
    line = rows.head(1)
    many = pl.concat([line] * 9)
    assert with_other_metrics(many, [], most_rows=8) == []
    assert len(with_other_metrics(many, [], most_rows=9)) == 2


def test_points_have_their_state_settings_and_samples(page, data_of):
    point = data_of(page)["points"][0]
    assert point["state"] == "done"
    assert point["settings"] == {"cot.level": point["axes"]["cot"]}
    assert [bad["reason"] for bad in point["bad_samples"]] == ["nothing to read"]
    assert len(point["outliers"]) == 4
    # The planted record names no data: the page says that there is no text.
    assert point["without_text"]


def test_versions_commands_and_shared_settings_are_told(page):
    text = page.read_text(encoding="utf-8")
    for shown in ("<dt>git_commit</dt><dd>abc</dd>", "python -m gradsweep", "no such level"):
        assert shown in text
    assert "<dt>seed</dt><dd>0</dd>" in text


def test_points_that_were_not_started_leave_an_honest_page(rows, tmp_path):
    new = [replace(point, **NEW) for point in stored_of(rows).points]
    stored = stored_of(rows, points=tuple(new), samples=pl.DataFrame())
    text = prepare_page(tmp_path, rows.clear(), [], stored, refresh=5).write("").read_text()
    assert "12 new" in text
    assert 'id="chart"' not in text
    assert "again every 5 s" in text


def test_what_failed_or_was_not_measured_is_named_with_its_reason(rows, page_of, tmp_path):
    first, second, *others = stored_of(rows).points
    points = (
        replace(first, state=PointState.FAILED, note="the disk was full", n_bad=0),
        replace(second, state=PointState.STOPPED),
        *(replace(point, n_bad=0) for point in others),
    )
    troubles = point_grid(stored_of(rows, points=points)).troubles
    assert [point.state.value for point, _ in troubles] == ["failed", "stopped", "stopped"]
    assert troubles[0][1] == "the disk was full"
    assert troubles[2][1] == "1 of 5 samples not measured: 1 × empty_response (nothing to read)"
    text = page_of(rows, tmp_path, points=points).read_text(encoding="utf-8")
    for shown in ("1 failed", "10 done", "the disk was full", "Needs a look: 3"):
        assert shown in text


def plain(html: str) -> str:
    """Text without the links of words to the glossary."""
    return unescape(re.sub(r"</?a[^>]*>", "", html))


def test_the_sentences_of_the_terminal_are_there(page, rows):
    text = plain(page.read_text(encoding="utf-8"))
    for comparison in comparisons(rows, "nuclear_norm"):
        for sentence in sentences(comparison):
            assert f"<li>{sentence}</li>" in text


def test_the_first_screen_has_a_picture_and_numbers_with_intervals(rows):
    (one, other) = found_in([compute_measures(rows, "nuclear_norm")])
    assert (one.title, other.title) == ("tiny · sums", "tiny_instruct · sums")
    assert [line.name for line in one.lines] == ["none", "simplified", "detailed"]
    assert len(one.first) == 3
    # 4 in Q and 8 in K; the curve alternates between a half and one and a half of it, and five of
    # nine layers have the half.
    (mean, ends), (unevenness, _), (rd, _) = one.lines[0].numbers
    assert (mean, unevenness, rd) == ("5.7", "1.1", "0.050")
    low, high = map(float, ends.split(" to "))
    assert low < 5.7 < high
    assert one.lines[0].picture.count("<circle") == 2


def test_values_that_differ_ten_fold_are_on_a_log_scale():
    assert scale_of([1.0, 9.0]).at(0) == scale_of([1.0, 9.0]).at(-1)
    wide = scale_of([1.0, 10.0, 100.0])
    assert wide.logarithmic
    assert wide.at(10.0) == pytest.approx(50)
    assert scale_of([float("nan")]) is None


def test_models_of_a_dataset_are_compared(plant):
    weaker = dict.fromkeys(
        product(("none", "simplified", "detailed"), ("correct", "irrelevant")), 1.0
    )
    rows = pl.concat([plant(), plant(weaker, model="other")])
    (compared,) = compared_models([compute_measures(rows, "nuclear_norm")])
    assert "tiny tells correct from irrelevant responses apart best" in compared.sentences[0]
    best = {model: [cell.best for cell in cells] for model, cells in compared.lines}
    assert best["tiny"][:3] == [True, True, True]
    assert best["other"][:3] == [False, False, False]
    assert compared_models([compute_measures(plant(), "nuclear_norm")]) == []


def test_terms_are_explained_where_they_stand_and_in_the_glossary(page):
    text = page.read_text(encoding="utf-8")
    used = set(re.findall(r'class="term" href="#([\w-]+)"', text))
    assert {"term-rd", "term-mad", "term-95-interval"} <= used
    for name in used:
        assert text.count(f'<div id="{name}">') == 1
    assert str(with_terms("RD <b> RD of MAD", set())).count("<a ") == 2


def test_models_and_series_are_counted_apart(plant):
    rows = pl.concat([plant(), plant(series="n_samples=2")])
    grid = point_grid(stored_of(rows))
    assert grid.contents.startswith("1 model, 2 series, 1 dataset, ")
    assert point_grid(stored_of(plant())).contents.startswith("1 model, 1 dataset, ")


def test_every_seed_of_a_condition_has_its_value_in_the_map(plant):
    alone = plant({("none", "correct"): 4.0}).with_columns(seed=0)
    again = alone.with_columns(point_id=pl.col("point_id") + "-1", seed=1)
    rows = pl.concat([alone, again])
    (block,) = point_grid(stored_of(rows), compute_measures(rows, "nuclear_norm")).blocks
    ((_, (cells,)),) = block.lines
    assert [cell.texts["mean"] for cell in cells] == ["10", "10"]


def test_what_has_most_to_say_comes_first(plant):
    rows = pl.concat([plant({("none", "correct"): 4.0}, model="a"), plant()])
    titles = [one.title for one in found_in([compute_measures(rows, "nuclear_norm")])]
    assert titles == ["tiny · sums", "a · sums"]


def test_a_table_has_words_intervals_and_n(data_of, page):
    table = data_of(page)["tables"][0]
    assert table["title"] == "mean and MAD of the nuclear norm · tiny, tiny_instruct · sums"
    first = table["lines"][0]
    assert first["keys"] == ["mean", "all layers", "none", "correct"]
    value, ends = first["cells"][0]
    low, high = map(float, ends.split(" to "))
    assert low < float(value) < high
    assert first["cells"][2] == ["4", ""]
    assert [line["more"] for line in table["lines"]].count(False) == 18


def test_a_point_tells_the_command_that_runs_it_alone(rows, page_of, data_of, tmp_path):
    name = rows["point_id"][0]
    planned = {"point_id": name, "overrides": ["cot=none", "dataset.path=my data.jsonl"]}
    sweep = stored_of(rows).sweeps[0] | {"points": [planned]}
    points = data_of(page_of(rows, tmp_path, sweeps=(sweep,)))["points"]
    assert {point["id"]: point["command"] for point in points if point["command"]} == {
        name: "python -m gradsweep cot=none 'dataset.path=my data.jsonl'"
    }
