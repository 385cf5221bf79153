"""`doctor`: known failure signatures."""

from __future__ import annotations

import inspect
from collections.abc import Sequence


def run(args: Sequence[str]) -> int:
    """The study's known failure signatures: ok, warning or problem, and what to do.

    A stored point, or every stored point, is checked from its files. Overrides of one point are
    tried: its data, its encoding and a pass over two samples; nothing is stored. Exit status 1
    when there is a problem.
    """
    from gradsweep.doctor.command import doctor

    return doctor(args, str(inspect.getdoc(run)))
