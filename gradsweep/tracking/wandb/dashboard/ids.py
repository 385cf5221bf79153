"""Ids of panels and run sets that depend on their place alone.

wandb-workspaces draws them at random. Settled, the same contents give the same JSON, and what W&B
remembers of a panel outlives an update.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import wandb_workspaces.reports.v2.interface as wr


def settled(*names: str) -> str:
    """12 characters, as W&B's own ids have."""
    return hashlib.sha256("\0".join(names).encode()).hexdigest()[:12]


def settle_panels(panels: Iterable[wr.Panel], *names: str) -> None:
    for number, panel in enumerate(panels):
        panel._id = settled(*names, "panel", str(number))
