"""Other processes that a report has work done in."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from gradsweep.cores import usable_cores

Value = TypeVar("Value")


def new_processes(count: int) -> ProcessPoolExecutor:
    """Begin so many processes. They take a main module that can be imported, as the command line's
    can."""
    # A fork would copy the threads' locks of Polars, and could wait for them for ever.
    context = get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(count,))


def _begin(count: int) -> None:
    """Prepare one of so many processes beside the one that has begun them."""
    # Polars reads it once, when it is imported; cores that are shared are no faster for more.
    os.environ.setdefault("POLARS_MAX_THREADS", str(max(1, usable_cores() // (count + 1))))
    for_small_arrays()
    gc.set_threshold(*_SELDOM)


_SELDOM = 100_000, 50, 100
"""Objects without which nobody looks for cycles: a page of thousands of points is millions of lists
and has none, and a fifth of the time went into looking at them again and again."""


@contextmanager
def for_a_report() -> Iterator[None]:
    """Make this process fit for a report while it is written (`for_small_arrays`)."""
    before = gc.get_threshold()
    gc.set_threshold(*_SELDOM)
    try:
        with for_small_arrays():
            yield
    finally:
        gc.set_threshold(*before)


def for_small_arrays() -> Any:
    """Make this process fit for many products of small arrays; a context ends the first half again.

    One thread each: on a core that is taken, by the other process of a report say, a second one
    makes them wait for it, which takes six times as long as doing without. And glibc keeps memory
    that was freed for the next array, whose pages are fetched anew otherwise.
    """
    import numpy  # noqa: F401  # limits reach only libraries that are loaded

    _keep_freed_memory()
    return threadpool_limits(1, user_api="blas")


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Names of glibc's malloc.h."""


def _keep_freed_memory() -> None:
    if sys.platform == "linux":
        set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if set_option:
            set_option(_M_MMAP_THRESHOLD, 2**25)
            set_option(_M_TRIM_THRESHOLD, 2**28)


def unless_killed(future: Future[Value]) -> Value | None:
    """Wait for a result; None where its process was killed: where memory runs out it is the first
    to go."""
    try:
        return future.result()
    except BrokenProcessPool:
        return None
