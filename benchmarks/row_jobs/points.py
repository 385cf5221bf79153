"""Points through the public API: the demo's grid and the golden cases."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from tempfile import TemporaryDirectory

import polars as pl

from .job import CHECKOUT, REASONINGS, RESPONSES, Job, Skipped, Table

SHARED = CHECKOUT.parent / "shared"
"""Study material beside a developer's checkout, as in `tests/conftest.py`."""

GOLDEN = (
    ("gsm8k", "none", "correct", "plain"),
    ("gsm8k", "simplified", "correct", "plain"),
    ("gsm8k", "simplified", "correct", "chat"),
    ("gsm8k", "detailed", "correct", "plain"),
    ("gsm8k", "detailed", "irrelevant", "plain"),
    ("aqua", "none", "correct", "plain"),
    ("wiki_popular_100", "none", "correct", "plain"),
)
"""Dataset, chain of thought, correctness and prompt: the cases of `tests/test_golden.py`."""
GOLDEN_SAMPLES = 3


def demo(job: Job) -> Iterator[Table]:
    """Rows and samples of the demo grid."""
    number = [f"n_samples={job.samples}"] if job.samples else []
    cells = {
        f"{cot} {correctness}": [f"cot={cot}", f"correctness={correctness}", *number]
        for cot, correctness in product(REASONINGS, RESPONSES)
    }
    yield from _extracted(cells, job)


def golden(job: Job) -> Iterator[Table]:
    """Rows and samples of the paper's own questions, which lie beside a developer's checkout."""
    data = SHARED / "data" / "layer_gradient"
    missing = [str(folder) for folder in (SHARED / "golden", data) if not folder.is_dir()]
    if missing:
        raise Skipped(f"there is no {' and no '.join(missing)}")
    cells = {
        " ".join(case): [
            "model=smollm2_135m_instruct",
            f"dataset={case[0]}",
            f"dataset.root={data}",
            "dataset.shuffle=false",
            f"cot={case[1]}",
            f"correctness={case[2]}",
            f"model.prompt={case[3]}",
            f"n_samples={GOLDEN_SAMPLES}",
        ]
        for case in GOLDEN
    }
    yield from _extracted(cells, job)


def _extracted(cells: dict[str, list[str]], job: Job) -> Iterator[Table]:
    import gradsweep

    job.limit_threads()
    how = [f"gradients.workers={job.workers}"] if job.workers else []
    tables: dict[str, list[pl.DataFrame]] = {"rows": [], "samples": []}
    with TemporaryDirectory() as results:
        for case, overrides in cells.items():
            config = gradsweep.compose(*overrides, *how, "tracking=none", f"store.root={results}")
            point = gradsweep.extract(config, show_progress=False)
            for name, frame in (("rows", point.rows()), ("samples", point.samples())):
                tables[name].append(frame.with_columns(case=pl.lit(case)))
    for name, frames in tables.items():
        yield name, pl.concat(frames)
