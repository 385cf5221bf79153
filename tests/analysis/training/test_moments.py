"""Norms by step: the same means as of any point, one line for each moment."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from helpers.stored_points import store_point
from helpers.stored_training import store_run
from polars.testing import assert_frame_equal

from gradsweep.analysis import layers_by_step, norms_by_step
from gradsweep.errors import ConfigError
from gradsweep.records import Axes
from gradsweep.store.training import TrainingTables, load_training

NONE = Axes("tiny", "sums", "none", "correct")
PROBES = {"detailed": {0: 0.5, 4: 0.4}, "none": {0: 4.0, 4: 1.0}}


@pytest.fixture
def tables(tmp_path: Path) -> TrainingTables:
    store_run(tmp_path, "run", NONE, update=[4.0, 2.0, 1.0], probes=PROBES, losses=[3.0, 2.0, 1.0],
              unevenness=0.25)  # fmt: skip
    return load_training(tmp_path)


def test_every_moment_has_a_line_updates_first_then_from_fast_to_slow(tables: TrainingTables):
    found = norms_by_step(tables.rows)
    assert found.select("source", "probe_cot", "step").rows() == [
        ("update", None, 0), ("update", None, 1), ("update", None, 2),
        ("probe", "none", 0), ("probe", "none", 4),
        ("probe", "detailed", 0), ("probe", "detailed", 4),
    ]  # fmt: skip
    updates = found.filter(pl.col("source") == "update")
    assert updates["mean"].to_list() == pytest.approx([4.0, 2.0, 1.0])
    assert updates["mad"].to_list() == pytest.approx([2.0, 1.0, 0.5])
    assert updates["relative_mad"].to_list() == pytest.approx([0.5] * 3)


def test_probes_have_intervals_over_questions_and_one_gradient_has_none(tables: TrainingTables):
    found = norms_by_step(tables.rows)
    probes = found.filter(pl.col("source") == "probe")
    assert (probes["mean_low"] < probes["mean"]).all()
    assert (probes["mean"] < probes["mean_high"]).all()
    assert probes["n_questions"].to_list() == [12] * 4
    assert found.filter(pl.col("source") == "update")["mean_low"].is_nan().all()


def test_a_mean_over_the_map_of_layers_and_steps_is_the_mean_by_step(tables: TrainingTables):
    by_layer = layers_by_step(tables.rows)
    key = ["source", "probe_cot", "step"]
    means = by_layer.group_by(key, maintain_order=True).agg(mean=pl.col("value").mean())
    whole = norms_by_step(tables.rows).select(*key, "mean")
    assert_frame_equal(means, whole, check_row_order=False)
    assert len(by_layer) == len(whole) * 4 * 2


def test_a_question_without_a_value_is_left_out_of_its_moment_alone(tables: TrainingTables):
    broken = (pl.col("step") == 4) & (pl.col("question_id") == "question3")
    rows = tables.rows.with_columns(
        nuclear_norm=pl.when(broken).then(float("nan")).otherwise("nuclear_norm")
    )
    counts = norms_by_step(rows).filter(pl.col("source") == "probe")
    assert counts.sort("step")["n_questions"].to_list() == [12, 12, 11, 11]


def test_what_else_is_stored_changes_no_number(tables: TrainingTables, tmp_path: Path):
    store_point(tmp_path, "plain", NONE, 9.0)
    store_run(tmp_path, "other", Axes("tiny", "sums", "detailed", "correct"), update=[8.0])
    rows = load_training(tmp_path).rows
    both = norms_by_step(rows).filter(point_id="run")
    # Names of series may have to say more in a folder with more points.
    assert_frame_equal(both.drop("series"), norms_by_step(tables.rows).drop("series"))


def test_an_unknown_metric_is_refused_with_those_there_are(tables: TrainingTables):
    with pytest.raises(ConfigError, match=r"metric=norm.*nuclear_norm.*update_over_weight"):
        norms_by_step(tables.rows, "norm")
