"""Two runs with probes, and one point that is not trained, on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.stored_training import store_run

from gradsweep.records import Axes
from gradsweep.report.training import TrainingStudy, training_study
from gradsweep.store.training import load_training

PROBES = {"none": {0: 4.0, 4: 1.0}, "detailed": {0: 0.5, 4: 0.4}}


def store_runs(results: Path) -> None:
    for cot, update in (("none", [4.0, 3.0, 2.0, 1.0]), ("detailed", [0.5, 0.4, 0.4, 0.3])):
        store_run(results, f"run{cot}", Axes("tiny", "sums", cot, "correct"), update=update,
                  probes=PROBES, losses=[4.0, 3.0, 2.5, 2.0], norms=[9.0, 6.0, 4.0, 3.0],
                  held_out={0: 4.5, 4: 2.25})  # fmt: skip


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("runs") / "results"
    store_runs(results)
    return results


@pytest.fixture(scope="session")
def study(runs: Path) -> TrainingStudy:
    return training_study(load_training(runs))
