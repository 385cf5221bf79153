"""`--sweep`, which every verb has that reads results."""

from __future__ import annotations

import argparse


def add_sweep(parser: argparse.ArgumentParser) -> None:
    """Add `--sweep`; `gradsweep.store.selection.selection` reads it."""
    parser.add_argument("--sweep", help="only the points of this sweep (default: all points)")
