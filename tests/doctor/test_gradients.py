"""Gradients that are missing, dead, tiny, huge or flagged."""

from __future__ import annotations

import math

import polars as pl
import pytest
from helpers.stored_points import spectrum_row

from gradsweep.doctor.check import CheckState
from gradsweep.doctor.gradients import (
    check_loss,
    check_norms,
    check_projections,
    check_spectra,
    layers_with_rows,
)
from gradsweep.records import SampleResult, SampleStatus
from gradsweep.store.frames import rows_frame

Places = dict[tuple[int, str], float]


def rows(changed: Places | None = None, level: float = 1.0, **of_first: object) -> pl.DataFrame:
    """Two samples, three layers of q and v; `changed` norms are of the second sample."""
    found = []
    for index, changes in enumerate(({}, changed or {})):
        norms = {(layer, name): level for layer in range(3) for name in "qv"} | changes
        lines = [spectrum_row(*place, norm) for place, norm in norms.items()]
        if index == 0 and of_first:
            lines[0] = spectrum_row(0, "q", level, **of_first)
        ids = f"s{index}", f"q{index}"
        found.append(SampleResult(*ids, index, SampleStatus.OK, rows=tuple(lines)))
    return rows_frame(found)


def all_of(projections: str, n_layers: int = 3) -> dict[str, range]:
    """Each of these projections in every layer."""
    return {name: range(n_layers) for name in projections}


def test_complete_gradients_are_fine_and_the_coverage_is_said():
    found = check_projections(rows(), all_of("vq"), "measuring q v")
    assert found.state is CheckState.OK
    assert "measuring q v" in found.finding


@pytest.mark.parametrize("norm", [0.0, math.nan, math.inf])
def test_a_zero_or_infinite_gradient_is_located(norm: float):
    found = check_projections(rows({(1, "v"): norm, (2, "v"): norm}), all_of("qv"))
    assert found.state is CheckState.PROBLEM
    assert "layers V 1-2" in found.finding
    assert "Q" not in found.finding


def test_a_projection_or_layer_that_was_not_captured_is_located():
    assert "K 0-2" in check_projections(rows(), all_of("qkv")).finding
    assert "Q 3; V 3" in check_projections(rows(), all_of("qv", 4)).finding
    nothing = check_projections(rows().clear(), all_of("q"))
    assert nothing.state is CheckState.PROBLEM


def test_a_layer_without_attention_lacks_nothing():
    hybrid = rows().filter(~((pl.col("layer") == 1) & (pl.col("projection") == "q")))
    expected = layers_with_rows(hybrid, ["q", "v"])
    assert expected == {"q": [0, 2], "v": [0, 1, 2]}
    assert check_projections(hybrid, expected).state is CheckState.OK


@pytest.mark.parametrize(
    ("losses", "state"),
    [
        ([1.5, 2.0], CheckState.OK),
        ([1.5, math.nan], CheckState.WARNING),
        ([math.nan, math.inf], CheckState.PROBLEM),
        ([9.0, 9.2], CheckState.WARNING),
        ([12.0, 12.0], CheckState.PROBLEM),
        ([1e-6, 1e-5], CheckState.WARNING),
    ],
)
def test_losses_against_that_of_a_guess(losses: list[float], state: CheckState):
    found = check_loss(losses, 49_152)  # ln is 10.8
    assert found.state is state
    assert bool(found.remedy) == (state is not CheckState.OK)


@pytest.mark.parametrize(
    ("frame", "state", "words"),
    [
        (rows(), CheckState.OK, "median nuclear norm 1"),
        (rows(level=1e-7), CheckState.PROBLEM, "vanish"),
        (rows(level=1e7), CheckState.PROBLEM, "explode"),
        (rows().clear(), CheckState.PROBLEM, "none"),
    ],
)
def test_norms(frame: pl.DataFrame, state: CheckState, words: str):
    found = check_norms(frame)
    assert found.state is state
    assert words in found.finding


def test_one_dead_layer_is_located():
    dead = rows().with_columns(
        nuclear_norm=pl.when(pl.col("layer") == 1).then(1e-9).otherwise(pl.col("nuclear_norm"))
    )
    found = check_norms(dead)
    assert found.state is CheckState.PROBLEM
    assert "nothing in layers 1" in found.finding


def test_flagged_spectra():
    assert check_spectra(rows()).state is CheckState.OK
    flagged = rows(finite=False, checksum_error=0.5)
    found = check_spectra(flagged)
    assert found.state is CheckState.PROBLEM
    assert "1 of 12 (8 %)" in found.finding
    few = pl.concat([flagged, *[rows()] * 3])
    assert check_spectra(few).state is CheckState.WARNING
