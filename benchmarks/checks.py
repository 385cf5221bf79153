"""`python -m benchmarks.checks`: what the checks before a point cost, beside the point.

Before anything is measured, a few samples show that the forward of one does not depend on others
or on threads, and that every projection lies on the graph (docs/numerics.md). They cost the same
for every number of samples. Nothing that is measured here is stored.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock
from weakref import WeakKeyDictionary

from benchmarks.environment import environment, load_average
from gradsweep import compose, extract
from gradsweep.engine import paths
from gradsweep.engine.run import Run

CHECKS = ("_check_paths", "_tried_independence")
SAMPLES = 500


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Let the seconds of each check be known when they are over."""
    seconds = dict.fromkeys(CHECKS, 0.0)

    def measuring(name: str, check: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return check(*args, **kwargs)
            finally:
                seconds[name] += time.perf_counter() - start

        return run

    patches = [mock.patch.object(Run, name, measuring(name, getattr(Run, name))) for name in CHECKS]
    for patch in patches:
        patch.start()
    try:
        yield seconds
    finally:
        for patch in patches:
            patch.stop()


def shares(overrides: Sequence[str], samples: int) -> tuple[dict[str, float], float]:
    """Return the seconds of each check and of the whole point with a model that is loaded."""
    with tempfile.TemporaryDirectory() as folder:
        stored = (*overrides, "tracking=none", f"store.root={folder}")
        extract(compose(*stored, "n_samples=1"), show_progress=False)  # loads the model
        # A model that has passed is not checked again.
        with mock.patch.object(paths, "_PASSED", WeakKeyDictionary()), timed() as seconds:
            start = time.perf_counter()
            extract(compose(*stored, f"n_samples={samples}"), show_progress=False)
            return seconds, time.perf_counter() - start


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return the exit status."""
    parser = argparse.ArgumentParser("python -m benchmarks.checks", description=__doc__)
    parser.add_argument("--samples", type=int, default=SAMPLES, help=f"default: {SAMPLES}")
    parser.add_argument("overrides", nargs="*", default=["cot=none"], help="default: cot=none")
    given = parser.parse_args(argv)
    for label, value in environment().items():
        print(f"- {label}: {value}")
    seconds, whole = shares(given.overrides, given.samples)
    print(f"- load average: {load_average()}")
    print(f"\n{' '.join(given.overrides)}, {given.samples} samples: {whole:.1f} s")
    for name, taken in seconds.items():
        print(f"{name.removeprefix('_')}: {taken:.2f} s, {100 * taken / whole:.1f} %")
    print(f"both: {100 * sum(seconds.values()) / whole:.1f} %")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
