"""`compare`: stored points side by side."""

from __future__ import annotations

import inspect
from collections.abc import Sequence


def run(args: Sequence[str]) -> int:
    """Two stored points, or every matched pair of two filters: how far apart, and is it chance?

    compare 3f2a 91bc                    two points, by id or its beginning
    compare cot=none cot=detailed        every pair with the same model, dataset and correctness
    compare cot=none,dataset=gsm8k cot=detailed,dataset=gsm8k
    compare quality=low quality=high     points of other questions: two independent samples
    compare training=full cot=none training=full cot=detailed      two conditions of training

    Prints a table for each pair and writes figures to results/reports/compare__<A>__<B>/.
    Training points are compared by step: losses, gradient norm, updates and probes, with intervals
    over runs with other seeds, or over the probe's questions where there is one run of each.
    """
    from gradsweep.report.pairs import compare

    return compare(args, str(inspect.getdoc(run)))
