"""A job's warning that its end is near: SIGUSR1 or SIGUSR2 ahead of the time limit or of
preemption, SIGTERM at scancel, requeue and preemption.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

STOP_SECONDS = 15.0
"""Time for the current batch to end after the warning; then it is dropped. Clusters kill 30 s after
SIGTERM by default."""
WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)
"""Signals sent while the job could still go on: it puts itself back into the queue."""


class StopSignal:
    """Remembers the first signal; call it to ask whether to stop."""

    def __init__(self, too_late: Callable[[], None]) -> None:
        """`too_late` runs in a thread of its own when the batch has not ended in time."""
        self.received: signal.Signals | None = None
        self._timer = threading.Timer(STOP_SECONDS, too_late)
        self._timer.daemon = True

    def __call__(self) -> bool:
        return self.received is not None

    @property
    def wants_requeue(self) -> bool:
        """Whether the job shall run again; after SIGTERM that is for the scheduler to know."""
        return self.received in WARNINGS

    def install(self) -> None:
        for number in (*WARNINGS, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.received is not None:
            return
        self.received = signal.Signals(number)
        self._timer.start()

    def in_time(self) -> None:
        """The batch has ended: nothing needs to be dropped any more."""
        self._timer.cancel()
