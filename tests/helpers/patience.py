"""Waiting for another process or thread: for what it does, never for how long that takes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

PATIENCE_SECONDS = 900.0
"""Only a test that fails waits as long; a busy machine does not."""


def wait_until(
    condition: Callable[[], Any],
    what: str,
    process: subprocess.Popen[Any] | None = None,
    *,
    pause: float = 0.005,
) -> Any:
    """The first true value of `condition`; `what` should come, while `process` runs.

    A condition that costs more than a look at a file is asked after a longer `pause`, in seconds.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while not (value := condition()):
        assert process is None or process.poll() is None, f"it ended before {what}"
        assert time.monotonic() < end, f"{what}: not within {PATIENCE_SECONDS:g} s"
        time.sleep(pause)
    return value
