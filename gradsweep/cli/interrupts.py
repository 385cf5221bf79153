"""Ctrl-C is acknowledged when it is pressed, also while a batch keeps Python busy."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

ACKNOWLEDGED = b"\nCtrl-C: stopping; what is stored is kept\n"


@contextmanager
def acknowledged_interrupts() -> Iterator[None]:
    """Inside the block, the first SIGINT is answered by a line on standard error.

    Python raises KeyboardInterrupt when the operation of the moment returns, which in a large
    model takes a while. The C handler of the signal writes to a pipe at once, which a thread
    reads.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to the main thread
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    answer = threading.Thread(target=_answer, args=(reading,), name="interrupts", daemon=True)
    answer.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before, warn_on_full_buffer=False)
        os.close(writing)
        answer.join(timeout=1.0)  # a child process may hold its own copy of the pipe open
        if not answer.is_alive():
            os.close(reading)


def _answer(reading: int) -> None:
    said = False
    while number := os.read(reading, 1):
        if number[0] == signal.SIGINT and not said:
            said = True
            with suppress(OSError):  # nobody reads it
                os.write(2, ACKNOWLEDGED)
