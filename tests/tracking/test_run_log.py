"""Reading transaction logs that the real client wrote, whole or torn."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import wandb
from helpers.wandb_log import read_run

N_ROWS = 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run whose log spans several blocks; its last row alone is longer than a block."""
    settings = wandb.Settings(silent=True, console="off")
    run = wandb.init(mode="offline", project="own", dir=str(tmp_path), settings=settings)
    for index in range(N_ROWS):
        run.log({"index": index, "text": "x" * (40_000 if index == N_ROWS - 1 else 500)})
    run.finish()
    wandb.teardown()
    return Path(run.settings.sync_dir)


def test_rows_across_blocks_are_whole(folder: Path) -> None:
    history = read_run(folder).history
    assert [row["index"] for row in history] == list(range(N_ROWS))
    assert [len(row["text"]) for row in history] == [500] * (N_ROWS - 1) + [40_000]


def test_a_torn_log_gives_every_whole_row(folder: Path, tmp_path: Path) -> None:
    (log,) = folder.glob("run-*.wandb")
    torn = tmp_path / "torn"
    torn.mkdir()
    counts = []
    for length in range(7, log.stat().st_size, 10_007):
        shutil.copy(log, torn)
        with (torn / log.name).open("r+b") as file:
            file.truncate(length)
        history = read_run(torn).history
        assert [row["index"] for row in history] == list(range(len(history)))
        counts.append(len(history))
    assert counts == sorted(counts)
    assert counts[-1] >= N_ROWS - 1
