"""The paper's tables hold the stored numbers, and gaps where conditions are missing."""

import numpy as np
import polars as pl
import pytest

from gradsweep.errors import StoreError
from gradsweep.report.measures import compute_measures
from gradsweep.report.tables import save_tables, side_by_side

CORRECT = {("none", "correct"): 4.0, ("detailed", "correct"): 0.5}


def curve(rows: pl.DataFrame, **condition: str) -> np.ndarray:
    """Mean over samples by layer, without the package's own analysis."""
    for column, value in condition.items():
        rows = rows.filter(pl.col(column) == value)
    return rows.group_by("layer").agg(pl.col("nuclear_norm").mean()).sort("layer")[
        "nuclear_norm"
    ].to_numpy()  # fmt: skip


def noisy(rows: pl.DataFrame) -> pl.DataFrame:
    factors = np.random.default_rng(0).lognormal(sigma=0.5, size=len(rows))
    return rows.with_columns(pl.col("nuclear_norm") * factors)


def written(rows: pl.DataFrame, folder, metric: str = "nuclear_norm") -> dict[str, pl.DataFrame]:
    """The CSV files, by name."""
    paths = save_tables([compute_measures(rows, metric)], folder)
    assert sorted(paths) == sorted(folder.iterdir())
    return {path.stem: pl.read_csv(path) for path in paths if path.suffix == ".csv"}


A, B, A_INSTRUCT = ("a", ""), ("b", ""), ("a_instruct", "")


@pytest.mark.parametrize(
    ("models", "groups"),
    [
        ([B, A], [(A, B)]),
        ([A, A_INSTRUCT], [(A, A_INSTRUCT)]),
        ([A_INSTRUCT, B], [(B, A_INSTRUCT)]),
        ([A, B, ("c", "")], [(A,), (B,), (("c", ""),)]),
        ([A, A_INSTRUCT, B], [(A, A_INSTRUCT), (B,)]),
        (
            [("a", "seed=1"), ("a_instruct", "seed=1"), A],
            [(A,), (("a", "seed=1"), ("a_instruct", "seed=1"))],
        ),
    ],
)
def test_a_base_model_stands_beside_its_instruct_model(models, groups):
    assert side_by_side(models) == groups
    assert side_by_side(models[::-1]) == groups


def test_means_and_mads_are_those_of_the_rows(plant, tmp_path):
    rows = noisy(plant(n_layers=26, n_samples=5))
    found = written(rows, tmp_path)["tiny__sums__nuclear_norm"]
    # 26 layers are cut into 7, 13 and 6 in the paper.
    cuts = {"all": (0, 26), "early": (0, 7), "middle": (7, 20), "late": (20, 26)}
    assert len(found) == 3 * 4 * 6
    for line in found.iter_rows(named=True):
        start, stop = cuts[line["part"]]
        for projection in "qkvo":
            part = curve(
                rows, cot=line["cot"], correctness=line["correctness"], projection=projection
            )[start:stop]
            mean, mad = part.mean(), np.abs(np.diff(part)).mean()
            expected = {"mean": mean, "MAD": mad, "MAD/mean": mad / mean}[line["statistic"]]
            assert line[f"tiny {projection}"] == pytest.approx(expected, rel=1e-12)


def test_lines_are_in_reading_order(plant, tmp_path):
    other = plant({("simplified", "correct"): 1.0}, model="a")  # sorts before the other model
    rows = pl.concat([plant(), other]).sample(fraction=1, shuffle=True, seed=0)
    found = written(rows, tmp_path)["a+tiny__sums__nuclear_norm"]
    assert found["cot"].to_list()[:6] == ["none"] * 2 + ["simplified"] * 2 + ["detailed"] * 2
    assert found["part"].unique(maintain_order=True).to_list() == ["all", "early", "middle", "late"]
    assert found["statistic"].unique(maintain_order=True).to_list() == [
        "mean",
        "MAD",
        "MAD/mean",
    ]


def test_rd_and_its_five_layers(plant, tmp_path):
    rows = plant(n_layers=8)
    # The larger the layer, the larger RD: 1 % more in each.
    grown = pl.col("nuclear_norm") * (1 + 0.01 * (1 + pl.col("layer")))
    correct = rows.filter(pl.col("correctness") == "correct")
    irrelevant = correct.with_columns(
        grown,
        correctness=pl.lit("irrelevant"),
        point_id=pl.col("point_id") + "-irrelevant",
    )
    found = written(pl.concat([correct, irrelevant]), tmp_path)["tiny__sums__nuclear_norm__rd"]
    assert found["cot"].unique(maintain_order=True).to_list() == ["none", "simplified", "detailed"]
    assert found["projection"].to_list()[:4] == ["Q", "K", "V", "O"]
    assert found["tiny RD"].to_list() == pytest.approx([0.045] * 12)
    assert set(found["tiny layers"]) == {"7 6 5 4 3"}
    assert set(found["tiny questions"]) == {4}
    assert found["tiny ratio"].to_list() == pytest.approx([np.mean([1.01, 1.03, 1.05, 1.07]) / 4
        + 3 * np.mean([1.02, 1.04, 1.06, 1.08]) / 4] * 12)  # fmt: skip


def test_base_and_instruct_are_columns_of_one_table(plant, tmp_path):
    rows = pl.concat([plant(), plant({("none", "correct"): 9.0}, model="tiny_instruct")])
    files = written(rows, tmp_path)
    found = files["tiny+tiny_instruct__sums__nuclear_norm"]
    assert found.columns[4:] == [f"{m} {p}" for m in ("tiny", "tiny_instruct") for p in "qkvo"]
    first, *others = found.filter(pl.col("statistic") == "mean", pl.col("part") == "all").rows()
    assert first[4:] == pytest.approx([4, 8, 12, 16, 9, 18, 27, 36])
    for line in others:
        assert line[8:] == (None,) * 4  # conditions that the instruct model does not have
    heading = (tmp_path / "tiny+tiny_instruct__sums__nuclear_norm.tex").read_text()
    assert r"\multicolumn{4}{c}{tiny (base)} & \multicolumn{4}{c}{tiny\_instruct (instruct)}" in (
        heading
    )


def test_a_dataset_of_one_of_two_models_and_a_missing_projection(plant, tmp_path):
    rows = pl.concat(
        [
            plant(CORRECT, projections="qv"),
            plant(CORRECT, model="tiny_instruct", projections="q"),
            plant(CORRECT, dataset="other"),
        ]
    )
    files = written(rows, tmp_path)
    sums = files["tiny+tiny_instruct__sums__nuclear_norm"]
    assert sums.columns[4:] == ["tiny q", "tiny v", "tiny_instruct q", "tiny_instruct v"]
    assert sums["tiny_instruct v"].null_count() == len(sums)
    other = files["tiny+tiny_instruct__other__nuclear_norm"]
    assert other["tiny_instruct q"].null_count() == len(other)
    assert not any(name.endswith("__rd") for name in files)


def test_every_number_is_in_one_tidy_file(plant, tmp_path):
    rows = noisy(pl.concat([plant(), plant(model="other")]))
    statistics = written(rows, tmp_path)["statistics"]
    assert len(statistics) == 2 * 6 * 4 * 4
    line = statistics.filter(
        model="other", cot="detailed", correctness="irrelevant", projection="v", part="all"
    ).row(0, named=True)
    expected = curve(rows, model="other", cot="detailed", correctness="irrelevant", projection="v")
    assert line["mean"] == pytest.approx(expected.mean(), rel=1e-12)
    assert line["mad"] == pytest.approx(np.abs(np.diff(expected)).mean(), rel=1e-12)
    assert (line["metric"], line["n_layers"], line["n_samples"]) == ("nuclear_norm", 6, 4)


def test_the_caption_says_how_layers_are_cut_and_how_many_samples(plant, tmp_path):
    rows = pl.concat([plant(n_samples=6), plant(model="tiny_instruct", n_layers=26)])
    written(rows, tmp_path)
    text = (tmp_path / "tiny+tiny_instruct__sums__nuclear_norm.md").read_text()
    assert "2, 2, 2 for tiny; 7, 13, 6 for tiny_instruct; 4–6 samples" in text.splitlines()[0]


def test_one_layer_has_means_and_no_mad(plant, tmp_path):
    found = written(plant(n_layers=1), tmp_path)["tiny__sums__nuclear_norm"]
    mads = found.filter(pl.col("statistic") == "MAD")
    assert mads.select(pl.selectors.starts_with("tiny")).null_count().row(0) == (len(mads),) * 4


def test_a_folder_that_cannot_be_written_is_one_clear_error(plant, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        save_tables([compute_measures(plant(CORRECT), "nuclear_norm")], blocked)
