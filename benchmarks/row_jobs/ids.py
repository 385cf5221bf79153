"""Ids of points: the demo's, the experiments' and one of each model option; needs no weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl

from .job import REASONINGS, RESPONSES, Job, Table


def ids(job: Job) -> Iterator[Table]:
    """Two tables: known points, and points on models of this machine."""
    conf = job.side / "conf"
    models = sorted(path.stem for path in (conf / "model").glob("*.yaml"))
    source = {"hub": "model.source.hub_id=owner/name"}
    cells = [f"cot={cot} correctness={c}" for cot, c in product(REASONINGS, RESPONSES)]
    cells += [cell for path in sorted((conf / "experiment").glob("*.yaml")) for cell in _grid(path)]
    cells += [
        f"model={name} {source.get(name, '')}".strip()
        for name in models
        if name not in ("folder", "gguf")
    ]
    yield "points", _identified(list(dict.fromkeys(cells)))
    # One folder for both sides: some commits know a model by its path.
    folder = job.out.parent / "local_models"
    yield "local_models", _identified(_local_models(folder), str(folder))


def _grid(experiment: Path) -> list[str]:
    """The cells of an experiment, and first it by its name with its first cell."""
    import yaml

    params = yaml.safe_load(experiment.read_text(encoding="utf-8"))["hydra"]["sweeper"]["params"]
    choices = [
        [f"{axis}={value.strip()}" for value in str(values).split(",")]
        for axis, values in params.items()
    ]
    cells = [" ".join(cell) for cell in product(*choices)]
    return [f"+experiment={experiment.stem} {cells[0]}", *cells]


def _local_models(folder: Path) -> list[str]:
    """Points on a folder and a GGUF file with invented contents, enough to be looked at."""
    contents = {"config.json": b"{}", "model.safetensors": b"weights", "tokenizer.json": b"{}"}
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "model.gguf").write_bytes(b"GGUF")
    return [
        f"model=folder model.source.path={folder}",
        f"model=gguf model.source.path={folder}/model.gguf",
    ]


def _identified(cells: Sequence[str], folder: str = "") -> pl.DataFrame:
    """One line per cell: its id, or the name of the error that refuses it."""
    from gradsweep import GradsweepError
    from gradsweep.identity import point_id

    lines = []
    for cell in cells:
        try:
            identity, refusal = point_id(_composed(cell)), None
        except GradsweepError as error:
            identity, refusal = None, type(error).__name__
        case = cell.replace(folder, "…") if folder else cell
        lines.append({"case": case, "point_id": identity, "refusal": refusal})
    schema = dict.fromkeys(("case", "point_id", "refusal"), pl.String())
    return pl.DataFrame(lines, schema=schema)


def _composed(cell: str) -> Any:
    """Return the config of a cell; in a grid, models and their conditions are composed once each.

    Composing takes a tenth of a second, and the experiments have hundreds of cells.
    """
    words = cell.split()
    is_grid = len(words) > 2 and words[0].startswith("model=")
    config = _composed_once(*words[1:] if is_grid else words)
    if isinstance(config, Exception):
        raise config
    return replace(config, model=_composed_once(words[0]).model) if is_grid else config


@cache
def _composed_once(*words: str) -> Any:
    """The config, or the error that refuses it: a cell that the study does not have."""
    from gradsweep import GradsweepError, compose

    try:
        return compose(*words)
    except GradsweepError as error:
        return error
