"""Figures of training points: a panel for each condition and quantity, a map for each run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.stored_training import store_run

from gradsweep.records import Axes
from gradsweep.report.figures.training import training_drawings
from gradsweep.report.training import training_study
from gradsweep.store.training import load_training


@pytest.fixture
def figures(tmp_path: Path):
    for cot in ("none", "detailed"):
        probes = {"none": {0: 4.0, 4: 1.0}, "detailed": {0: 0.5, 4: 0.4}}
        store_run(tmp_path, cot, Axes("tiny", "sums", cot, "correct"), update=[4.0, 2.0, 1.0],
                  probes=probes, losses=[3.0, 2.0, 1.0], held_out={0: 3.5, 3: 2.5})  # fmt: skip
    drawings = training_drawings(training_study(load_training(tmp_path)))
    return {one.names: one.draw(one.frame, one.metric) for one in drawings}


def test_curves_show_each_quantity_for_each_condition(figures):
    figure = figures["tiny", "sums", "training", "nuclear_norm"]
    panels = np.array(figure.axes).reshape(4, 2)
    update, probes, gap, loss = panels[:, 0]
    assert update.lines[0].get_ydata() == pytest.approx([4.0, 2.0, 1.0])
    assert len(probes.lines) == len(probes.collections) == 2
    (ratio,) = (line for line in gap.lines if line.get_marker() == "o")
    assert ratio.get_ydata() == pytest.approx([8.0, 2.5], rel=0.1)
    assert [list(line.get_xdata()) for line in loss.lines] == [[0, 1, 2], [0, 3]]
    assert [panel.get_title() for panel in panels[0]] == [
        "learns from\nno CoT", "learns from\ndetailed CoT",
    ]  # fmt: skip


def test_a_map_has_a_cell_for_each_layer_and_step(figures):
    figure = figures["tiny", "sums", "cot=none-correct", "map", "nuclear_norm"]
    maps = [mesh.get_array() for panel in figure.axes for mesh in panel.collections[:1]]
    update, no_cot = maps[0], maps[2]
    assert update.tolist() == [pytest.approx([4.0, 2.0, 1.0])] * 4
    assert no_cot.shape == (4, 2), "four layers, a probe at two steps"
