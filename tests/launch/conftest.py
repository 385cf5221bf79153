"""Plans without a model: jobs of these points are only looked at, or run with a stand-in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gradsweep.sweep import Plan, make_plan

MakePlan = Callable[..., Plan]


@pytest.fixture
def grid(tmp_path: Path) -> MakePlan:
    """The plan of a grid in a results folder of this test."""

    def plan(*overrides: str) -> Plan:
        root = f"store.root={tmp_path / 'results'}"
        return make_plan([root, "tracking=none", *overrides], multirun=True)

    return plan
