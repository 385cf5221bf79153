"""How hypothesis runs here: few examples, the same in every run, and nothing left on the disk."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

bounded = settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
