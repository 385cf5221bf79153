"""`compare`: stored points side by side."""

from __future__ import annotations

import inspect
from collections.abc import Sequence


def run(args: Sequence[str]) -> int:
    """Two stored points, or every matched pair of two filters: how far apart, and is it chance?

    compare 3f2a 91bc                    two points, by id or its beginning
    compare cot=none cot=detailed        every pair with the same model, dataset and correctness
    compare cot=none,dataset=gsm8k cot=detailed,dataset=gsm8k

    Prints a table for each pair and writes figures to results/reports/compare__<A>__<B>/.
    """
    from gradsweep.report.pairs import compare

    return compare(args, str(inspect.getdoc(run)))
