"""Tiny models of every family, through `gradient_spectra`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import polars as pl

from .job import CHECKOUT, Job, Table


def families(job: Job) -> Iterator[Table]:
    """Rows of one tiny model per family: padded or not, by every route, with every addition."""
    import torch

    job.limit_threads()
    sys.path.insert(0, str(CHECKOUT / "tests"))
    builders = importlib.import_module("helpers.tiny_models")
    unknown = set(job.families or ()) - set(builders.FAMILIES)
    if unknown:
        sys.exit(
            f"--families: {', '.join(sorted(unknown))} unknown; {', '.join(builders.FAMILIES)}"
        )
    frames = []
    for family in job.families or builders.FAMILIES:
        torch.manual_seed(0)
        model = builders.FAMILIES[family]()
        for name, measure in _variations(builders, family).items():
            frame = _plain_columns(measure(model))
            frames.append(frame.with_columns(case=pl.lit(f"{family} · {name}")))
    yield "rows", pl.concat(frames, how="diagonal_relaxed")


def _variations(builders: ModuleType, family: str) -> dict[str, Callable[[Any], pl.DataFrame]]:
    from gradsweep import SpectraOptions

    even = _batch((60, 60), builders.VOCABULARY)
    right = _batch((9, 30, 17), builders.VOCABULARY)
    left = tuple(_left_padded(tensor, right[2]) for tensor in right)
    solvers = type(SpectraOptions().solver)
    routes = {
        f"solver {solver.name}": _measure(right, options=SpectraOptions(solver=solver))
        for solver in solvers
    }
    every = tuple(builders.projections_of(family))
    return {
        "equal lengths": _measure(even),
        "unequal lengths": _measure(right),
        "left padding": _measure(left),
        "every projection": _measure(right, projections=every),
        "similarities": _measure(right, options=SpectraOptions(similarities=True)),
        "spectra": _measure(right, options=SpectraOptions(save_spectra=True)),
        "top_k": _measure(even, options=SpectraOptions(top_k=3)),
        "rank_tolerance": _measure(even, options=SpectraOptions(rank_tolerance=0.01)),
    } | routes


def _measure(batch: Sequence[Any], **keywords: Any) -> Callable[[Any], pl.DataFrame]:
    from gradsweep import gradient_spectra

    ids, response, real = batch
    return lambda model: gradient_spectra(
        model, ids, response, attention_mask=real, **keywords
    ).to_polars()


def _batch(lengths: Sequence[int], vocabulary: int) -> tuple[Any, Any, Any]:
    """Token ids, response mask and attention mask, padded on the right; the last 60 % respond."""
    import torch

    generator = torch.Generator().manual_seed(0)
    shape = (len(lengths), max(lengths))
    ids = torch.randint(1, vocabulary, shape, generator=generator)
    ends, places = torch.tensor(lengths)[:, None], torch.arange(max(lengths))
    real = places < ends
    return ids * real, real & (places >= ends * 2 // 5), real


def _left_padded(tensor: Any, real: Any) -> Any:
    import torch

    rows = [row.roll(int((~there).sum())) for row, there in zip(tensor, real, strict=True)]
    return torch.stack(rows)


def _plain_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """Parquet has no struct without fields: the columns of a struct stand in its place."""
    structs = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Struct)]
    return frame.unnest(structs)
