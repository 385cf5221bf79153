"""Other processes that a report has work done in."""

from __future__ import annotations

import os
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

Value = TypeVar("Value")


def new_processes(count: int) -> ProcessPoolExecutor:
    """Begin so many processes. They take a main module that can be imported, as the command line's
    can."""
    # A fork would copy the threads' locks of Polars, and could wait for them for ever.
    context = get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=one_thread_each)


def one_thread_each() -> Any:
    """Let matrix products take one thread of this process; a context ends that again.

    Products of a bootstrap are small: on a core that is taken, by the other process of a report
    say, a second thread makes them wait for it, which takes six times as long as doing without.
    """
    import numpy  # noqa: F401  # limits reach only libraries that are loaded

    return threadpool_limits(1, user_api="blas")


def unless_killed(future: Future[Value]) -> Value | None:
    """Wait for a result; None where its process was killed: where memory runs out it is the first
    to go."""
    try:
        return future.result()
    except BrokenProcessPool:
        return None


def cores() -> int:
    """Count the cores that this process may use: a job on a cluster may have fewer than its
    machine."""
    # macOS does not say.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
