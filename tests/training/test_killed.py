"""A run that is killed between two steps, and goes on in another process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from helpers.patience import PATIENCE_SECONDS
from polars.testing import assert_frame_equal

from gradsweep import compose, extract, load_training
from gradsweep.extraction import PointResult
from gradsweep.identity import point_id
from gradsweep.store import PointPaths, PointState, point_state

KILLED = """
import os, signal, sys, torch
from gradsweep import compose, extract
torch.set_num_threads(int(sys.argv[1]))
steps = 0

def killed_after_three():
    global steps
    steps += 1
    if steps == 3:
        os.kill(os.getpid(), signal.SIGKILL)

extract(compose(*sys.argv[2:]), stop=killed_after_three)
"""


@pytest.mark.long
def test_kill_9_then_again_gives_the_weights_and_rows_of_an_undisturbed_run(
    overrides: list[str],
) -> None:
    import torch

    options = [*overrides, "training.checkpoint_every=2"]
    whole = extract(compose(*options), show_progress=False)
    again = [*options, f"store.root={whole.paths.results}-again"]
    command = [sys.executable, "-c", KILLED, str(torch.get_num_threads()), *again]
    killed = subprocess.run(command, capture_output=True, timeout=PATIENCE_SECONDS, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    config = compose(*again)
    paths = PointPaths(config.results, point_id(config))
    assert point_state(paths) is PointState.STOPPED
    assert len(list(paths.checkpoints.glob("*/COMPLETE"))) == 1
    result = extract(config, show_progress=False)
    assert weights(result) == weights(whole)
    a, b = (load_training(r.paths.results) for r in (whole, result))
    for name in ("rows", "samples", "steps"):
        first, second = (getattr(t, name).drop("seconds", strict=False) for t in (a, b))
        assert_frame_equal(first, second)


def weights(result: PointResult) -> str:
    return str(json.loads(result.paths.summary.read_text())["weights"])
