"""Waiting for another process or thread: for what it does, never for how long that takes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

PATIENCE_SECONDS = 600.0
"""Only a test that fails waits as long; a busy machine does not."""


def wait_until(
    condition: Callable[[], Any], what: str, process: subprocess.Popen[Any] | None = None
) -> Any:
    """The first true value of `condition`; `what` should come, while `process` runs."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (value := condition()):
        assert process is None or process.poll() is None, f"it ended before {what}"
        assert time.monotonic() < end, f"{what}: not within {PATIENCE_SECONDS:g} s"
        time.sleep(0.005)
    return value
