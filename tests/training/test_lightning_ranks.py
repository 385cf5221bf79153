"""Lightning in several processes: rows can be found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.lightning_runs import fit

import gradsweep

pytestmark = pytest.mark.filterwarnings("ignore")
"""Lightning's own, about workers, logging and the length of an epoch."""


def test_rows_that_are_not_in_this_process_are_said_to_be_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"not begun, or child processes.*lost without folder="):
        _ = gradsweep.LightningSpectraCallback().rows
    with pytest.raises(RuntimeError, match=r"ddp_spawn.*load_training\('.*results'\)"):
        _ = gradsweep.LightningSpectraCallback(folder=tmp_path / "results").steps


@pytest.mark.long
def test_rows_of_child_processes_are_in_the_folder(llama: Any, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    callback = gradsweep.LightningSpectraCallback(update_every=1, layers=1, folder=folder)
    fit(llama, 2, callback, strategy="ddp_spawn")
    with pytest.raises(RuntimeError, match="child processes"):
        _ = callback.rows
    assert gradsweep.load_training(folder).steps["step"].to_list() == [0, 1]
