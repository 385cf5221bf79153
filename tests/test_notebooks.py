"""Notebooks run from top to bottom on the public API, and are kept without outputs."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers.places import NOTEBOOKS

from gradsweep import compose, extract
from gradsweep.models.cache import ModelCache

ALL = sorted(NOTEBOOKS.glob("*.ipynb"))
FEWEST_SAMPLES = 2
"""An interval takes two."""
HAVE_POINTS = ("02_read_results", "03_paper_figures")
"""They begin with points that may be there; `01_first_look` computes the same ones itself."""


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


@pytest.fixture(scope="module")
def six_points(tmp_path_factory: pytest.TempPathFactory, loaded_once: ModelCache) -> Path:
    """Results with the six points of the demo, which several notebooks ask for first.

    In a folder that has them a notebook goes on at once, as it does in a user's.
    """
    results = tmp_path_factory.mktemp("notebooks") / "results"
    settings = (f"n_samples={FEWEST_SAMPLES}", f"store.root={results}", "tracking=none")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gradsweep.extraction._models", loaded_once)
        for cot in ("none", "simplified", "detailed"):
            for kind in ("correct", "irrelevant"):
                extract(compose(f"cot={cot}", f"correctness={kind}", *settings))
    return results


def test_all_of_them_are_there() -> None:
    names = ["01_first_look", "02_read_results", "03_paper_figures", "04_your_own_model_and_data"]
    assert [notebook.stem for notebook in ALL] == names


@pytest.mark.parametrize("notebook", ALL, ids=lambda path: path.stem)
def test_outputs_are_stripped(notebook: Path) -> None:
    for cell in cells(notebook):
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


@pytest.mark.slow
@pytest.mark.usefixtures("embedded_model", "one_load")
@pytest.mark.parametrize("notebook", ALL, ids=lambda path: path.stem)
def test_cells_run_in_order_and_need_no_other_notebook(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if notebook.stem in HAVE_POINTS:
        shutil.copytree(request.getfixturevalue("six_points"), tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    exec(compile(code(notebook), str(notebook), "exec"), {"__name__": "notebook"})
    assert list(tmp_path.glob("results/points/*/DONE"))
