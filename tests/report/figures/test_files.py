"""The set of figures of a report, one after the other or in several processes."""

from itertools import chain

import polars as pl
import pytest

from gradsweep.errors import StoreError
from gradsweep.report.figures.files import DATASETS_PER_PAGE, drawings, save_all_figures
from gradsweep.report.measures import compute_measures

ONE_LEVEL = {("none", "correct"): 4.0, ("none", "irrelevant"): 4.2}


def small(plant, **axes) -> pl.DataFrame:
    return plant(ONE_LEVEL, projections="q", n_layers=3, **axes)


def found(rows: pl.DataFrame, *metrics: str):
    return drawings([compute_measures(rows, metric) for metric in metrics or ("nuclear_norm",)])


@pytest.mark.long
def test_every_model_and_dataset_has_curves_mad_and_rd(plant, tmp_path):
    rows = pl.concat([small(plant), small(plant, model="org/other", dataset="a")])
    paths = [*chain(*save_all_figures(found(rows), tmp_path))]
    assert [path.name for path in paths if path.suffix == ".png"] == [
        f"{stem}.png"
        for model in ("org-other__a__nuclear_norm", "tiny__sums__nuclear_norm")
        for stem in (model, f"{model}__mad", f"{model}__rd")
    ]
    assert [p.with_suffix(".pdf") for p in paths[::2]] == paths[1::2]
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_figures_are_vectors_with_text_in_the_pdf(plant, tmp_path):
    for path in chain(*save_all_figures(found(small(plant)), tmp_path)):
        content = path.read_bytes()
        if path.suffix == ".pdf":
            assert content.startswith(b"%PDF")
            assert b"/Subtype /Image" not in content
            assert b"/FontFile2" in content  # embedded TrueType: text stays text
        else:
            assert content.startswith(b"\x89PNG")


def test_several_datasets_have_overviews_that_fit_a_page(plant):
    one = small(plant)
    assert not any("overview" in drawing.names for drawing in found(one))
    many = pl.concat([small(plant, dataset=f"d{i:02d}") for i in range(DATASETS_PER_PAGE + 2)])
    pages = [drawing for drawing in found(many) if "overview" in drawing.names]
    assert ["__".join(page.names) for page in pages] == [
        "tiny__overview__nuclear_norm__1",
        "tiny__overview__nuclear_norm__1__rd",
        "tiny__overview__nuclear_norm__2",
        "tiny__overview__nuclear_norm__2__rd",
    ]
    assert [page.frame["dataset"].n_unique() for page in pages] == [DATASETS_PER_PAGE] * 2 + [2] * 2


def test_every_metric_has_its_own(plant):
    names = [drawing.names for drawing in found(small(plant), "nuclear_norm", "effective_rank")]
    assert [name[2] for name in names] == ["nuclear_norm"] * 3 + ["effective_rank"] * 3


def test_what_cannot_be_shown_has_no_file(plant, tmp_path):
    rows = plant({("none", "correct"): 1.0}, n_layers=1, projections="q")
    paths = save_all_figures(found(rows), tmp_path)
    assert [[path.name for path in of] for of in paths] == [
        ["tiny__sums__nuclear_norm.png", "tiny__sums__nuclear_norm.pdf"],
        [],
        [],
    ]


@pytest.mark.long
def test_processes_change_nothing(plant, tmp_path):
    drawn = found(small(plant))[:2]
    here = [*chain(*save_all_figures(drawn, tmp_path / "here"))]
    there = [*chain(*save_all_figures(drawn, tmp_path / "there", processes=2))]
    assert [path.name for path in there] == [path.name for path in here]
    assert [path.read_bytes() for path in there] == [path.read_bytes() for path in here]


@pytest.mark.long
@pytest.mark.parametrize("processes", [1, 2])
def test_a_folder_that_cannot_be_written_is_one_clear_error(plant, tmp_path, processes):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        list(save_all_figures(found(small(plant)), blocked, processes=processes))
