"""Samples in the order of their gradients: files that `dataset=jsonl` reads, tables in a terminal.

A line of a file is a sample with its texts, its score, and the loss and length beside it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from rich import box
from rich.table import Table
from rich.text import Text

from gradsweep.analysis.rows import in_reading_order
from gradsweep.analysis.scores import COVARIATES, sample_scores, score_correlations
from gradsweep.config import Responses
from gradsweep.config.objective import responses_of
from gradsweep.errors import DataError
from gradsweep.progress import output_console
from gradsweep.records import AXES, Unit, axis_words
from gradsweep.report.labels import file_stem, metric_words
from gradsweep.report.numerals import MISSING, aligned
from gradsweep.report.sample_texts import stored_units
from gradsweep.report.show import report_folder
from gradsweep.report.stored_rows import stored_rows
from gradsweep.store import PointPaths, load_samples_table
from gradsweep.store.atomic import write_text
from gradsweep.store.metadata import stored_config
from gradsweep.store.record import read_config
from gradsweep.store.selection import Selection
from gradsweep.store.series import with_model_labels

MOST_TABLES = 6
"""Points whose tables are printed; the files of more are listed."""
_SHOWN = 5
"""Samples that a table shows from either end."""
_LONGEST = 60
"""Characters of a prompt in it."""


@dataclass(frozen=True)
class PointScores:
    """One point's samples in order."""

    point_id: str
    words: str
    """Its choice on every axis."""
    scores: pl.DataFrame
    """As `sample_scores`; a column reward where the data's rewards differ."""
    correlations: pl.DataFrame
    """As `score_correlations`."""
    texts: Mapping[str, Mapping[str, Any]]
    """sample_id -> the fields of a record of `dataset=jsonl`."""
    without_text: str
    """Why there are none."""


def show_scores(
    selection: Selection,
    metrics: Sequence[str],
    loss: str = "mean",
    *,
    top: int | None = None,
    bottom: int | None = None,
) -> None:
    """Print the ends of each point's ranking and write all of it, with `top` and `bottom` apart.

    Args:
        selection: which points.
        metrics: of the scores; the first one ranks.
        loss: mean, as measured, or sum over the response tokens, which follows from it.
        top: samples with the largest scores, for a file of their own.
        bottom: samples with the smallest.

    Raises:
        ConfigError: a metric without a value in these points, or a filter that keeps nothing.
        DataError: nothing is stored there, or the texts of an export are not to be had.
        StoreError: a file cannot be written.
    """
    points = point_scores(selection, metrics, loss)
    folder = report_folder(selection, loss) / "scores"
    out = output_console()
    for point in points[:MOST_TABLES]:
        out.print(Text(f"{point.words}  ({point.point_id})", style="bold"), soft_wrap=True)
        out.print(_samples_table(point, metrics))
        if not point.correlations.is_empty():
            out.print(_correlations_table(point.correlations))
        if point.without_text:
            out.print(f"without texts: {point.without_text}", soft_wrap=True)
    if len(points) > MOST_TABLES:
        out.print(f"and {len(points) - MOST_TABLES} more points, in files alone")
    for path in write_scores(points, folder, top=top, bottom=bottom):
        out.print(f"scores   {path}", soft_wrap=True)


def point_scores(
    selection: Selection, metrics: Sequence[str], loss: str = "mean"
) -> list[PointScores]:
    """Score the samples of each point, in reading order. Arguments and errors as `show_scores`."""
    source = stored_rows(selection, loss)
    rows = source.rows(source.every["point_id"].to_list())
    if rows.is_empty():
        raise DataError(
            f"no samples to score in {selection.results}: the rows of training points go by step; "
            "measure one with training=none"
        )
    samples = load_samples_table(selection.results, rows["point_id"].unique())
    scores = sample_scores(rows, samples, metrics).partition_by("point_id", as_dict=True)
    named = in_reading_order(rows.select("point_id", *AXES, "series").unique())
    found = []
    for line in with_model_labels(named, objective=False).to_dicts():
        of_point = scores.get((line["point_id"],))
        if of_point is not None:
            words = " · ".join(axis_words({axis: line[axis] for axis in AXES}))
            found.append(_scored(selection.results, line["point_id"], words, of_point, metrics))
    return found


def _scored(
    results: Path, point_id: str, words: str, scores: pl.DataFrame, metrics: Sequence[str]
) -> PointScores:
    record = read_config(PointPaths(results, point_id))
    units, why_not = stored_units(record)
    kept = {name: units[name] for name in scores["sample_id"] if name in units}
    if not why_not and len(kept) < len(scores):
        why_not = f"the data have changed: {len(scores) - len(kept)} of {len(scores)} are not there"
    if any(sample.same_length_as for unit in kept.values() for sample in unit.samples):
        kept, why_not = {}, "cot.match_length repeats or cuts responses by tokens"
    rewards = {name: unit.samples[0].reward for name, unit in kept.items()}
    names = list(metrics)
    if len(set(rewards.values())) > 1 and all(len(unit.samples) == 1 for unit in kept.values()):
        reward = pl.col("sample_id").replace_strict(rewards, default=None, return_dtype=pl.Float64)
        scores, names = scores.with_columns(reward=reward), [*names, "reward"]
    texts = {}
    if kept:
        responses = responses_of(stored_config(record).objective)
        texts = {name: _texts(unit, responses) for name, unit in kept.items()}
    return PointScores(point_id, words, scores, score_correlations(scores, names), texts, why_not)


def _texts(unit: Unit, responses: Responses) -> dict[str, Any]:
    """The unit in the form of a record that has such units."""
    first = unit.samples[0]
    if responses is Responses.pair:
        chosen, rejected = unit.samples
        return {"prompt": first.prompt, "chosen": chosen.response, "rejected": rejected.response}
    if responses is Responses.group:
        texts = [sample.response for sample in unit.samples]
        return {"prompt": first.prompt, "responses": texts, "rewards": list(unit.rewards)}
    return {"prompt": first.prompt, "response": first.response}


def write_scores(
    points: Sequence[PointScores], folder: Path, *, top: int | None, bottom: int | None
) -> list[Path]:
    """Write a file of JSON lines for each point, the largest score first, and give their paths.

    With `top` or `bottom`, so many samples of either end are a file of their own, too; those of
    `bottom` begin with the smallest score.

    Raises:
        DataError: there are no texts for an export.
        StoreError: a file cannot be written.
    """
    written = []
    for point in points:
        lines = list(_lines(point))
        stem = file_stem(*point.words.split(" · "), point.point_id[:8])
        ends = {f"top_{top}": lines[:top]} if top else {}
        ends |= {f"bottom_{bottom}": lines[: -bottom - 1 : -1]} if bottom else {}
        if ends and point.without_text:
            raise DataError(f"{point.words}: no texts for --top or --bottom: {point.without_text}")
        for name, some in {"": lines, **ends}.items():
            path = folder / f"{file_stem(stem, name) if name else stem}.jsonl"
            write_text(path, "".join(f"{_json(line)}\n" for line in some))
            written.append(path)
    return written


def _lines(point: PointScores) -> Iterator[dict[str, Any]]:
    for line in point.scores.iter_rows(named=True):
        of_sample = {name: line[name] for name in line if name not in ("point_id", "rank")}
        texts = point.texts.get(line["sample_id"], {})
        yield {"rank": line["rank"], "point_id": point.point_id, **of_sample, **texts}


def _json(line: Mapping[str, Any]) -> str:
    """JSON has no NaN: null."""
    plain = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in line.items()
    }
    return json.dumps(plain, ensure_ascii=False)


def _samples_table(point: PointScores, metrics: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    shown = [*metrics, *(["reward"] if "reward" in point.scores.columns else []), "loss"]
    table.add_column("rank", justify="right")
    for name in shown:
        table.add_column(metric_words(name), justify="right", overflow="fold")
    table.add_column("response tokens", justify="right", overflow="fold")
    table.add_column("prompt", overflow="ellipsis", no_wrap=True)
    scores = point.scores
    texts = {name: aligned(scores[name].fill_null(math.nan).to_list()) for name in shown}
    for place, line in enumerate(scores.iter_rows(named=True)):
        from_end = len(scores) - place
        if place >= _SHOWN and from_end > _SHOWN:
            continue
        if from_end == _SHOWN and len(scores) > 2 * _SHOWN:
            table.add_row("…")
        prompt = str(point.texts.get(line["sample_id"], {}).get("prompt", ""))
        cells = [texts[name][place] for name in shown]
        beginning = " ".join(prompt.split())[:_LONGEST]
        table.add_row(str(line["rank"]), *cells, str(line["n_response_tokens"]), Text(beginning))
    return table


def _correlations_table(correlations: pl.DataFrame) -> Table:
    title = "rank correlations of the samples, with 95 % intervals over questions"
    table = Table(
        title=title, title_justify="left", title_style="dim", box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0), pad_edge=False, header_style="bold",
    )  # fmt: skip
    for heading in ("", "Spearman's ρ", "with these taken out", ""):
        table.add_column(heading, overflow="fold")
    for line in correlations.iter_rows(named=True):
        pair = f"{_words(line['first'])} ~ {_words(line['second'])}"
        whole = _number(line["rho"], line["low"], line["high"])
        left = _number(line["partial"], line["partial_low"], line["partial_high"])
        given = ", ".join(_words(name) for name in line["given"].split(", ") if name)
        table.add_row(pair, whole, left if given else "", given)
    return table


def _words(name: str) -> str:
    return "response tokens" if name == COVARIATES[1] else metric_words(name)


def _number(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return MISSING
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"
