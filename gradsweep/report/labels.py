"""How metrics, projections, conditions and the files about them are named for a reader."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from gradsweep.records import METRIC_NAMES, MetricName
from gradsweep.store.series import model_label, series_parts


def metric_words(metric: str) -> str:
    """Give a metric in words: `nuclear norm` for nuclear_norm; an unknown one is its own name."""
    return _name(metric).words


def metric_label(metric: str) -> str:
    """Give words with symbol or unit, for a heading or an axis: `nuclear norm Σσ`."""
    return f"{_name(metric).words} {_name(metric).symbol}".strip()


def _name(metric: str) -> MetricName:
    return METRIC_NAMES.get(metric, MetricName(metric.replace("_", " ")))


def projection_label(projection: str) -> str:
    """Give a projection's short name: `Q` for q; longer names (gate, up, down) stay as they are."""
    return projection.upper() if len(projection) == 1 else projection


def projection_list(projections: Sequence[str]) -> str:
    return " ".join(projection_label(name) for name in projections)


def level_label(cot: str) -> str:
    """Name a level: `no CoT` for none, `detailed CoT` for detailed."""
    return "no CoT" if cot == "none" else f"{cot} CoT"


def level_phrase(cot: str) -> str:
    """Name a level in a sentence: `without CoT` for none, `with detailed CoT` for detailed."""
    return "without CoT" if cot == "none" else f"with {cot} CoT"


def model_of(frame: pl.DataFrame) -> str:
    """Name the one model of a frame for a title: `Qwen2 1.5B, n_samples=2`."""
    first = frame.row(0, named=True)
    return model_title(model_label(first["model"], first.get("series", "")))


def figure_title(frame: pl.DataFrame) -> str:
    """Name the one model and dataset of a frame: `Qwen2 1.5B, seed=1 · GSM8K`."""
    return f"{model_of(frame)} · {dataset_title(frame['dataset'][0])}"


def model_title(label: str) -> str:
    """Write a model as its makers do, and then its series: `Qwen2 1.5B Instruct, n_samples=2`.

    A name of another family, such as the user's own, stays as it is.
    """
    model, *series = series_parts(label)
    family, *words = model.split("_")
    known = re.fullmatch(r"([a-z]+?)([\d.]*)", family)
    if known and known[1] in _FAMILIES:
        model = " ".join([f"{_FAMILIES[known[1]]}{known[2]}".strip(), *map(_model_word, words)])
    return ", ".join([model, *series])


def dataset_title(label: str) -> str:
    """Write a dataset of the study as its makers do: `MATH algebra`; another one as it is."""
    name, *more = series_parts(label)
    family, *words = name.split("_")
    if family in _DATASETS:
        name = " ".join([_DATASETS[family], *words])
    return ", ".join([name, *more])


_FAMILIES = {
    "gemma": "Gemma ",
    "llama": "Llama ",
    "mistral": "Mistral ",
    "olmo": "OLMo ",
    "phi": "Phi-",
    "pythia": "Pythia",
    "qwen": "Qwen",
    "smollm": "SmolLM",
}
_DATASETS = {
    "aqua": "AQuA",
    "arithmetic": "arithmetic",
    "creak": "CREAK",
    "ecqa": "ECQA",
    "gsm8k": "GSM8K",
    "math": "MATH",
    "sensemaking": "Sense-Making",
    "strategyqa": "StrategyQA",
    "wiki": "Wiki",
}


def _model_word(word: str) -> str:
    """A size has a capital letter (`1.5B`), as has any other word."""
    return word.upper() if re.fullmatch(r"[\d.]+[bm]", word) else word.capitalize()


def file_stem(*names: str) -> str:
    """Join `names` by two underscores, with nothing that a file name must not have."""
    return re.sub(r"[^\w.+=-]+", "-", "__".join(names))
