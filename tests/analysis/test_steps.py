"""Steps of responses: where the gradient is, and whether a wrong step is found, as planted."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from helpers.step_rows import N_STEPS, Tables, no_effect, planted

from gradsweep.analysis.steps import (
    norms_by_step,
    shares_by_place,
    step_values,
    wrong_step_detection,
)


def found(tables: Tables, metric: str, *, controlled: bool) -> dict[str, float]:
    frame = wrong_step_detection(*tables, ["nuclear_norm"], resamples=300)
    of_signal = (pl.col("metric") == metric) & (pl.col("controlled") == controlled)
    return frame.row(by_predicate=of_signal, named=True)


def intervals(effect: float) -> list[tuple[float, float]]:
    """Of 24 sets of data in which log norms of wrong steps are larger by `effect` deviations."""
    tables = [
        planted(lambda noise, loss, w: no_effect(noise, loss, w) + effect * w, seed=seed)
        for seed in range(24)
    ]
    frames = [wrong_step_detection(*one, ["nuclear_norm"], resamples=200) for one in tables]
    of_norm = [frame.filter(metric="nuclear_norm") for frame in frames]
    assert all(frame["n_responses"].to_list() == [60, 60] for frame in of_norm)
    return [ends for frame in of_norm for ends in frame.select("low", "high").iter_rows()]


def test_a_known_auc_lies_in_its_interval() -> None:
    """Of two normals one apart, P(larger) = Φ(1/√2) = 0.76."""
    found = intervals(effect=1.0)
    assert sum(low <= 0.7602 <= high for low, high in found) >= 0.8 * len(found)
    assert all(low > 0.5 for low, _ in found)


def test_without_an_effect_none_is_claimed() -> None:
    found = intervals(effect=0.0)
    assert sum(low <= 0.5 <= high for low, high in found) >= 0.8 * len(found)


def test_what_the_loss_explains_is_no_sign_of_its_own() -> None:
    def by_loss(noise: np.random.Generator, loss: np.ndarray, wrong: np.ndarray) -> np.ndarray:
        return 2 * loss + 0.01 * noise.normal(size=loss.shape)

    rows, samples = planted(by_loss, n=80)
    louder = pl.when(pl.col("step_label") == "wrong").then(2.0).otherwise(1.0)
    samples = samples.with_columns(loss=pl.col("loss") * louder)
    rows = rows.with_columns(
        nuclear_norm=pl.col("nuclear_norm")
        * pl.concat([samples.select(louder.alias("x"))] * 2)["x"] ** 2
    )
    plain = found((rows, samples), "nuclear_norm", controlled=False)
    beside = found((rows, samples), "nuclear_norm", controlled=True)
    assert plain["low"] > 0.6
    assert plain["above_loss"] == pytest.approx(0, abs=0.05)
    assert beside["low"] <= 0.5 <= beside["high"]


def test_a_sign_beyond_the_loss_stays() -> None:
    tables = planted(lambda noise, loss, w: loss + 1.5 * w + 0.5 * noise.normal(size=w.shape))
    beside = found(tables, "nuclear_norm", controlled=True)
    assert beside["low"] > 0.6
    assert found(tables, "nuclear_norm", controlled=False)["above_loss_low"] > 0


def test_norms_and_shares_are_means_over_responses() -> None:
    def falling(noise: np.random.Generator, loss: np.ndarray, wrong: np.ndarray) -> np.ndarray:
        return np.log(np.tile([8.0, 4.0, 2.0, 1.0, 0.5], (len(wrong), 1)))

    rows, samples = planted(falling, n=20)
    values = step_values(rows, samples, "nuclear_norm")
    norms = norms_by_step(values, resamples=100)
    assert norms["mean"].to_list() == pytest.approx([8, 4, 2, 1, 0.5])
    assert norms["n_questions"].to_list() == [20] * N_STEPS
    assert (norms["low"] <= norms["mean"] + 1e-9).all()
    shares = {line["place"]: line for line in shares_by_place(values, resamples=100).to_dicts()}
    weights = np.array([8.0, 4.0, 2.0, 1.0, 0.5]) * (10 + np.arange(N_STEPS))
    assert shares["first"]["share"] == pytest.approx(weights[0] / weights.sum())
    assert shares["final"]["share"] == pytest.approx(weights[-1] / weights.sum())
    assert sum(line["share"] for line in shares.values()) == pytest.approx(1)
    assert sum(line["token_share"] for line in shares.values()) == pytest.approx(1)


def test_responses_with_a_step_that_was_not_measured_are_left_out() -> None:
    rows, samples = planted(no_effect, n=12)
    lost = pl.col("sample_id") == "q0-2"
    bad = pl.when(lost).then(pl.lit("non_finite_loss")).otherwise("status")
    samples = samples.with_columns(status=bad)
    flagged = rows.with_columns(finite=pl.col("sample_id") != "q1-4")
    line = found((flagged.filter(~lost), samples), "nuclear_norm", controlled=False)
    assert line["n_responses"] == 10
    values = step_values(flagged, samples, "nuclear_norm")
    assert shares_by_place(values, resamples=0)["n_questions"].to_list() == [10] * 3


def test_whole_samples_are_no_steps() -> None:
    rows, samples = planted(no_effect, n=3)
    nothing = pl.lit(None, pl.Int64)
    whole = (rows.with_columns(step_index=nothing), samples.with_columns(step_index=nothing))
    assert step_values(*whole, "nuclear_norm").is_empty()
    assert wrong_step_detection(*whole, ["nuclear_norm"]).is_empty()
