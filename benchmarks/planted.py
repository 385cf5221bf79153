"""Points with invented numbers as a grid of the study would store them, thousands if asked for.

Ids, configs and the manifest are those of the real grid, composed as its command would; the rows
of a condition are the same in every model and dataset, one file with many names (hard links), so
that thousands of points of 60,000 rows fit a disk. Reading costs what it costs; the disk is spared.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from gradsweep.identity import point_record
from gradsweep.plan import PlannedPoint, make_plan
from gradsweep.plan.estimate.cost import Cost, work
from gradsweep.plan.manifest import freeze
from gradsweep.records import SampleStatus
from gradsweep.report.reduced_points import keep_reduced
from gradsweep.store import PointPaths
from gradsweep.store.atomic import write_json
from gradsweep.store.frames import ROW_SCHEMA, SAMPLE_SCHEMA

_PAIRS = (
    *("qwen2_1.5b", "llama3_8b", "gemma2_2b", "gemma2_9b", "llama2_7b", "olmo2_1b"),
    *("qwen3_0.6b", "qwen3_1.7b", "qwen3_4b", "qwen3_8b", "llama3.2_1b", "llama3.2_3b"),
)
_MODELS = (*(f"{name}{kind}" for name in _PAIRS for kind in ("", "_instruct")), "pythia_1.4b")
_REASONING = "aqua,gsm8k,math_algebra,math_counting,math_geometry,strategyqa,ecqa,creak,sensemaking"
_LEVEL_SIZE = {"none": 4.0, "simplified": 2.0, "detailed": 1.0}
_PROJECTIONS = ("q", "k", "v", "o")


@dataclass(frozen=True)
class Grid:
    """Which points, and how much each has stored."""

    overrides: tuple[str, ...]
    samples: int
    layers: int


def _paper(n_models: int, samples: int, layers: int, *more: str) -> Grid:
    models = f"model={','.join(_MODELS[:n_models])}"
    return Grid(("+experiment=paper_full", models, *more), samples, layers)


GRIDS: Mapping[int, Grid] = {
    6: _paper(1, 4, 2, "dataset=gsm8k"),
    96: _paper(2, 16, 3, f"dataset={_REASONING}"),
    144: _paper(3, 504, 30, f"dataset={_REASONING}"),
    192: _paper(4, 32, 7, f"dataset={_REASONING}"),
    560: _paper(10, 32, 7),
    5600: _paper(25, 500, 30, "model.dtype=float32,bfloat16", "model.max_length=512,1024"),
}
"""Number of points -> the grid. 5,600 are 25 models in all 56 conditions of the study, in two
precisions and two lengths."""


def plant(results: Path, grid: Grid) -> list[PointPaths]:
    """Store the points of a grid, done, and its manifest; return them in the grid's order."""
    plan = make_plan((*grid.overrides, f"store.root={results}"), multirun=True)
    freeze(plan, ("python", "-m", "gradsweep", "-m", *grid.overrides))
    noise = np.random.default_rng(0)
    first: dict[tuple[str, str], PointPaths] = {}
    planted = []
    for point in plan.points:
        paths = PointPaths(results, point.point_id)
        paths.folder.mkdir(parents=True)
        record = point_record(point.config)
        paths.config.write_text(yaml.safe_dump(record, sort_keys=False), encoding="utf-8")
        condition = point.axes.cot, point.axes.correctness
        if condition in first:
            for name in ("rows", "samples", "summary", "done", "reduced"):
                if (file := getattr(first[condition], name)).exists():
                    os.link(file, getattr(paths, name))
        else:
            _store(paths, point, grid, noise)
            keep_reduced(paths)  # as a job does at its end
            first[condition] = paths
        planted.append(paths)
    return planted


def _store(paths: PointPaths, point: PlannedPoint, grid: Grid, noise: np.random.Generator) -> None:
    rows = _rows(point, grid, noise)
    rows.write_parquet(paths.rows, compression="zstd")
    _samples(grid, noise).write_parquet(paths.samples, compression="zstd")
    counts = {"samples": {"ok": grid.samples}, "flagged_rows": 0, "seconds": 9.0}
    write_json(paths.summary, counts | {"cost": _cost(point, grid)})
    files = (paths.rows, paths.samples, paths.summary)
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    paths.done.write_text(json.dumps(sums))


def _cost(point: PlannedPoint, grid: Grid) -> dict[str, object]:
    """What the first point of its condition took; the names that share its file say the same."""
    found = Cost(
        model=point.axes.model, weights="float32", work=work(point.config),
        dataset=point.axes.dataset, cot=point.axes.cot, kind="cpu", device="cpu", cores=2,
        samples=grid.samples, tokens=200 * grid.samples, seconds=9.0,
    )  # fmt: skip
    return asdict(found)


def _rows(point: PlannedPoint, grid: Grid, noise: np.random.Generator) -> pl.DataFrame:
    """Norms that fall with the level and rise for irrelevant responses, other numbers with them."""
    n_each, names = grid.layers * len(_PROJECTIONS), _names(grid)
    n = grid.samples * n_each
    size = _LEVEL_SIZE[point.axes.cot] * (1 if point.axes.correctness == "correct" else 1.3)
    norm = size * noise.lognormal(0, 0.3, n)
    known = {
        "sample_id": np.repeat(names, n_each),
        "question_id": np.repeat(names, n_each),
        "layer": np.tile(np.repeat(np.arange(grid.layers), len(_PROJECTIONS)), grid.samples),
        "projection": np.tile(_PROJECTIONS, grid.samples * grid.layers),
        "rank": np.full(n, 20),
        "finite": np.ones(n, bool),
        "solver": np.full(n, "token_gram"),
    }
    columns = [
        pl.Series(name, known[name], strict=False).cast(kind)
        if name in known
        else pl.Series(name, _numbers(name, norm, kind, noise), kind)
        for name, kind in ROW_SCHEMA.items()
    ]
    return pl.DataFrame(columns)


def _numbers(name: str, norm: np.ndarray, kind: pl.DataType, noise: np.random.Generator) -> Any:
    if not kind.is_float() or "cosine" in name or "member" in name or name == "spectral_radius":
        return [None if not kind.is_float() else np.nan] * len(norm)
    return norm * noise.uniform(0.9, 1.1, len(norm)) * (1 if "norm" in name else 0.1)


def _samples(grid: Grid, noise: np.random.Generator) -> pl.DataFrame:
    names, n = _names(grid), grid.samples
    known: dict[str, Any] = {
        "sample_id": names,
        "question_id": names,
        "index": np.arange(n),
        "status": [SampleStatus.OK.value] * n,
        "reason": [""] * n,
        "loss": noise.uniform(1, 2, n),
        "n_prompt_tokens": np.full(n, 50),
        "n_response_tokens": noise.integers(20, 60, n),
        "truncated": np.zeros(n, bool),
        "seconds": np.full(n, 0.3),
    }
    return pl.DataFrame(
        [
            pl.Series(name, known.get(name, [None] * n), strict=False).cast(kind)
            for name, kind in SAMPLE_SCHEMA.items()
        ]
    )


def _names(grid: Grid) -> list[str]:
    return [f"{hashlib.sha256(str(n).encode()).hexdigest()[:16]}" for n in range(grid.samples)]
