"""Notebooks run from top to bottom on the public API, and are kept without outputs."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers.places import NOTEBOOKS

ALL = sorted(NOTEBOOKS.glob("*.ipynb"))
FEWEST_SAMPLES = 3
"""As many as `demo_points` have."""
TRAINING, TRAINING_ASKED = "05_while_it_trains", "GRADSWEEP_TEST_TRAINING_NOTEBOOK"
QUESTIONS = "06_open_questions"
OWN_POINTS = ("04_your_own_model_and_data", "05_while_it_trains")
"""The others begin with the demo's points, and go on at once where a folder has them."""


def cells(notebook: Path) -> list[dict[str, Any]]:
    found = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert isinstance(found, list)
    return found


def code(notebook: Path) -> str:
    """All code cells, with few samples and without magics, which belong to Jupyter."""
    lines = [cell["source"] + ["\n"] for cell in cells(notebook) if cell["cell_type"] == "code"]
    text = "".join(line for cell in lines for line in cell if not line.startswith("%"))
    few, n_replaced = re.subn(
        r"^N_SAMPLES = \d+$", f"N_SAMPLES = {FEWEST_SAMPLES}", text, flags=re.MULTILINE
    )
    assert n_replaced == 1, "a notebook names its number of samples once"
    return few


def test_all_of_them_are_there() -> None:
    names = ["01_first_look", "02_read_results", "03_paper_figures", *OWN_POINTS, QUESTIONS]
    assert [notebook.stem for notebook in ALL] == names


@pytest.mark.parametrize("notebook", ALL, ids=lambda path: path.stem)
def test_outputs_are_stripped(notebook: Path) -> None:
    for cell in cells(notebook):
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


@pytest.mark.long
@pytest.mark.usefixtures("one_load")
@pytest.mark.parametrize(
    "notebook",
    ALL,
    ids=lambda path: path.stem,
)
def test_cells_run_in_order_and_need_no_other_notebook(
    notebook: Path, demo_points: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if notebook.stem == TRAINING and TRAINING_ASKED not in os.environ:
        pytest.skip(f"it trains the embedded model for some minutes: {TRAINING_ASKED}=1 runs it")
    if notebook.stem not in OWN_POINTS:
        shutil.copytree(demo_points, tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    exec(compile(code(notebook), str(notebook), "exec"), {"__name__": "notebook"})
    assert list(tmp_path.glob("results/points/*/DONE"))
