"""Points on disk with planted norms, as a run would have stored them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from gradsweep.errors import DataError
from gradsweep.records import Axes, SampleResult, SampleStatus, SpectrumRow
from gradsweep.store import PointPaths
from gradsweep.store.point import open_point

N_LAYERS = 6


def spectrum_row(layer: int, projection: str, norm: float, **changes: object) -> SpectrumRow:
    values: dict[str, object] = {
        "nuclear_norm": norm,
        "sigma_max": norm / 2,
        "sigma_ratio": 0.5,
        "frobenius_norm": norm / 1.5,
        "effective_rank": 3.0,
        "stable_rank": 2.0,
        "spectral_entropy": 1.0,
        "condition_number": 9.0,
        "rank": 4,
        "checksum_error": 1e-15,
        "finite": True,
        "solver": "token_gram",
    }
    return SpectrumRow(layer, projection, **(values | changes))  # type: ignore[arg-type]


def store_point(
    results: Path,
    point_id: str,
    axes: Axes,
    level: float,
    *,
    questions: Sequence[str] = tuple(f"question{i}" for i in range(10)),
    projections: Sequence[str] = "qkvo",
    first_layer: float = 1.0,
    seed: int = 0,
    own_metrics: Mapping[str, float] | None = None,
    heads: int = 0,
    members: Sequence[str] = (),
    loss: float = 1.0,
    ends: str = "done",
) -> PointPaths:
    """Norms of about `level` (5 % noise of the point's own), `first_layer` times that in layer 0.

    `seed` is part of what tells points with the same axes apart. Rows have `own_metrics`, and as
    many rows of single heads, ten times as large, as `heads` says; `members` of the unit have rows
    a hundred times as large, and a cosine of ½. A point that ends as "stopped" or "failed" does so
    behind these questions.
    """
    paths = PointPaths(results, point_id)
    n_asked = len(questions) if ends == "done" else 10
    record = _record(point_id, axes, n_asked, projections, seed)
    noise = np.random.default_rng(sum(point_id.encode()))
    planted = _Planted(level, projections, first_layer, own_metrics or {}, heads, members)
    found = [
        SampleResult(
            f"{point_id}-{question}",
            question,
            index,
            SampleStatus.OK,
            loss=loss,
            n_prompt_tokens=9,
            n_response_tokens=5,
            rows=tuple(planted.rows(noise)),
        )
        for index, question in enumerate(questions)
    ]
    with suppress(DataError), open_point(paths, record, keep_failure=True) as store:
        store.append(found)
        if ends == "failed":
            raise DataError("no more disk")
        if ends == "done":
            store.finish({})
    return paths


@dataclass(frozen=True)
class _Planted:
    """What `store_point` is told of its rows."""

    level: float
    projections: Sequence[str]
    first_layer: float
    own_metrics: Mapping[str, float]
    heads: int
    members: Sequence[str]

    def rows(self, noise: np.random.Generator) -> Iterator[SpectrumRow]:
        """Those of the next sample."""
        heads, members = (None, *range(self.heads)), (None, *self.members)
        for layer, head, member in product(range(N_LAYERS), heads, members):
            factors = noise.normal(1, 0.05, len(self.projections))
            for name, factor in zip(self.projections, factors, strict=True):
                yield spectrum_row(
                    layer,
                    name,
                    self.level
                    * (self.first_layer if layer == 0 else 1.0)
                    * factor
                    * (1 if head is None else 10)
                    * (1 if member is None else 100),
                    head=head,
                    member=member,
                    member_cosine=0.5 if self.members and member is None else math.nan,
                    own_metrics=self.own_metrics,
                )


def fail_point(
    results: Path, point_id: str, axes: Axes, reason: str = "no such file"
) -> PointPaths:
    """A point that failed before it stored a sample."""
    paths = PointPaths(results, point_id)
    with suppress(DataError), open_point(paths, _record(point_id, axes), keep_failure=True):
        raise DataError(reason)
    return paths


def _record(
    point_id: str,
    axes: Axes,
    n_samples: int = 10,
    projections: Sequence[str] = "qkvo",
    seed: int = 0,
) -> dict[str, Any]:
    """What config.yaml holds of a point that nobody will run."""
    science = {
        "model": {"kind": "folder", "path": axes.model, "max_length": 1024},
        "dataset": {"name": axes.dataset, "data": "0" * 16},
        "cot": axes.cot,
        "correctness": axes.correctness,
        "n_samples": n_samples,
        "seed": seed,
        "gradients": {"projections": sorted(projections)},
    }
    return {"point_id": point_id, "axes": vars(axes), "science": science, "config": {}}
