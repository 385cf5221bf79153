"""How metrics, projections, conditions and the files about them are named for a reader."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import polars as pl

from gradsweep.config.files import options
from gradsweep.records import METRIC_NAMES, SAMPLE_METRIC_NAMES, WHOLE_SAMPLE, MetricName
from gradsweep.store.series import model_label, series_parts


def metric_words(metric: str) -> str:
    """Give a metric in words: `nuclear norm` for nuclear_norm; an unknown one is its own name."""
    return _name(metric).words


def metric_label(metric: str) -> str:
    """Give words with symbol or unit, for a heading or an axis: `nuclear norm Σσ`."""
    return f"{_name(metric).words} {_name(metric).symbol}".strip()


def _name(metric: str) -> MetricName:
    known = METRIC_NAMES | SAMPLE_METRIC_NAMES
    return known.get(metric, MetricName(metric.replace("_", " ")))


def projection_label(projection: str) -> str:
    """Give a projection's short name: `Q` for q; longer names (gate, up, down) stay as they are.

    What is of whole samples is `per sample`.
    """
    if projection == WHOLE_SAMPLE:
        return "per sample"
    return projection.upper() if len(projection) == 1 else projection


def projection_list(projections: Sequence[str]) -> str:
    return " ".join(projection_label(name) for name in projections)


def level_label(cot: str) -> str:
    """Name a level: `no CoT` for none, `detailed CoT` for detailed."""
    return "no CoT" if cot == "none" else f"{cot} CoT"


def level_phrase(cot: str) -> str:
    """Name a level in a sentence: `without CoT` for none, `with detailed CoT` for detailed."""
    return "without CoT" if cot == "none" else f"with {cot} CoT"


def responses_words(correctness: str) -> str:
    """Name the responses that gradients are of: `correct responses`, or those of a unit."""
    words = {
        "pair": "pairs of a correct and an irrelevant response",
        "group": "groups of responses",
    }
    return words.get(correctness, f"{correctness} responses")


def model_of(frame: pl.DataFrame) -> str:
    """Name the one model of a frame for a title: `Qwen2 1.5B, n_samples=2`."""
    first = frame.row(0, named=True)
    if "series" not in frame.columns:  # which the model's label tells
        return model_title(first["model"])
    return model_title(model_label(first["model"], first["series"], first["objective"]))


def figure_title(frame: pl.DataFrame) -> str:
    """Name the one model and dataset of a frame: `Qwen2 1.5B, seed=1 · GSM8K`."""
    return f"{model_of(frame)} · {dataset_title(frame['dataset'][0])}"


def model_title(label: str) -> str:
    """Write a model as its makers do, and then its series: `Qwen2 1.5B Instruct, n_samples=2`.

    A name that is no option of the package, such as the user's own, stays as it is.
    """
    return _title("model", label)


def dataset_title(label: str) -> str:
    """Write a dataset of the package as its makers do: `MATH algebra`; another one as it is."""
    return _title("dataset", label)


@lru_cache(maxsize=1024)
def _title(group: str, label: str) -> str:
    name, *series = series_parts(label)
    sentence = _sentences(group).get(name)
    if sentence is not None:
        first, *words = (_as_written(part, sentence) for part in name.split("_"))
        if group == "model":
            words = [word[:1].upper() + word[1:] for word in words]
        name = " ".join([first, *words])
    return ", ".join([name, *series])


@lru_cache(maxsize=2)
def _sentences(group: str) -> dict[str, str]:
    """Option -> the first line of its file, which has the names that makers use."""
    return options(group)


def _as_written(part: str, sentence: str) -> str:
    """Find a part of an option's name in its sentence: `Llama 3.2` for llama3.2, `AQuA` for aqua.

    It is the part itself where the sentence has no such word.
    """
    pieces = re.findall(r"[\d.]+|[^\d.]+", part)
    pattern = r"[ -]?".join(map(re.escape, pieces)) + r"(?:\.\d+)*"
    found = re.search(rf"\b{pattern}\b", sentence, re.IGNORECASE)
    return found[0] if found else part


def file_stem(*names: str) -> str:
    """Join `names` by two underscores, with nothing that a file name must not have."""
    return re.sub(r"[^\w.+=-]+", "-", "__".join(names))
