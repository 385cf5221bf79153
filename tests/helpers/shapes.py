"""Arrays that cross a function's border are checked while tests run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from beartype import beartype


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check a function of a module or class; leave one inside another as it is.

    An inner function is made anew at every call, and so would its checks be: half the time of a
    test with a backward pass. Its arrays have crossed the outer function's border.
    """
    return function if "<locals>" in function.__qualname__ else beartype(function)
