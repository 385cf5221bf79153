"""The paper's tables: means and MAD by part, RD with its largest layers, base beside instruct."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from gradsweep.analysis.layers import PARTS, layer_parts
from gradsweep.analysis.pairs import base_and_instruct_models, is_instruct
from gradsweep.analysis.rows import in_reading_order, values_in_reading_order
from gradsweep.report.formats import ColumnGroup, TableFile, save_table
from gradsweep.report.labels import (
    dataset_title,
    file_stem,
    metric_label,
    metric_words,
    model_title,
    projection_label,
)
from gradsweep.report.measures import Measures, joined
from gradsweep.report.statistics import STATISTIC_WORDS, relative_differences, statistics
from gradsweep.store.atomic import write_text
from gradsweep.store.series import model_label

Named = tuple[str, str]
"""A model, and its objective and series in words: what its points are compared within."""


def side_by_side(models: Collection[Named]) -> list[tuple[Named, ...]]:
    """Choose which models share a table: a base model with its instruct model, of one series.

    Where exactly two models of a series are left without their counterpart, they share one too, a
    base model first; of more than two, each has a table of its own. Series never share one.
    """
    by_series: dict[str, list[str]] = {}
    for model, series in models:
        by_series.setdefault(series, []).append(model)
    return sorted(
        tuple((model, series) for model in together)
        for series, of_series in by_series.items()
        for together in _of_one_series(of_series)
    )


def _of_one_series(models: Collection[str]) -> list[tuple[str, ...]]:
    pairs = base_and_instruct_models(models)
    paired = {model for pair in pairs for model in pair}
    rest = sorted(set(models) - paired, key=lambda model: (is_instruct(model), model))
    return [*pairs, *([tuple(rest)] if len(rest) == 2 else [(model,) for model in rest])]


MOST_STUDIES = 200
"""Models and datasets that have tables of their own: nobody opens thousands of files."""


def are_too_many(measures: Measures) -> bool:
    """Tell whether there are too many models and datasets for tables of each."""
    return measures.n_studies > MOST_STUDIES


def tables(measures: Measures) -> Iterator[TableFile]:
    """Make, for every dataset and its `side_by_side` models, means and MAD, then RD if any.

    A condition, projection or whole model that is missing in the dataset leaves a gap. There are
    none of more than `MOST_STUDIES` models and datasets, whose numbers `statistics` has.
    """
    if are_too_many(measures):
        return
    studies = measures.curves.select("model", "objective", "series").unique().rows()
    named = [(model, model_label("", series, objective).strip()) for model, objective, series
             in studies]  # fmt: skip
    parts = measures.by_study()
    for names in side_by_side(named):
        models = {model_label(*name): name[0] for name in names}
        for dataset in sorted({dataset for model, dataset in parts if model in models}):
            of_models = [parts[m, dataset] for m in models if (m, dataset) in parts]
            shown = joined(of_models)
            yield _statistics_table(shown, models, dataset)
            if not shown.differences_over_layers.is_empty():
                yield _differences_table(shown, models, dataset)


def save_tables(
    measures: Sequence[Measures],
    folder: Path,
    advance: Callable[[], None] = lambda: None,
    made: Sequence[Sequence[TableFile]] | None = None,
) -> list[Path]:
    """Write every table as CSV, LaTeX and Markdown, and two with all numbers: `statistics.csv`, and
    of RD `relative_differences.csv`, where there is any.

    Files are named models__dataset__metric (and __rd). `advance` is called after each metric.
    `made` are the tables of each metric, where they are at hand.

    Raises:
        StoreError: a file cannot be written.
    """
    everything = pl.concat([statistics(one) for one in measures])
    written = [folder / "statistics.csv"]
    write_text(written[0], everything.fill_nan(None).write_csv())
    if not (differences := relative_differences(measures)).is_empty():
        written.append(folder / "relative_differences.csv")
        write_text(written[-1], differences.fill_nan(None).write_csv())
    for of_metric in made or map(tables, measures):
        for table in of_metric:
            written += save_table(table, folder)
        advance()
    return written


def _statistics_table(measures: Measures, models: Mapping[str, str], dataset: str) -> TableFile:
    shown = statistics(measures)
    projections = values_in_reading_order(shown, "projection")
    names = ["mean"] if measures.per_sample else list(STATISTIC_WORDS.values())
    keys = {
        "statistic": names,
        "part": ("all", *PARTS),
        "cot": values_in_reading_order(shown, "cot"),
        "correctness": values_in_reading_order(shown, "correctness"),
    }
    return TableFile(
        name=file_stem("+".join(models), dataset, measures.metric),
        caption=f"{dataset_title(dataset)}: {_what(measures)}{_about(measures, models)}.",
        keys=tuple(keys),
        groups=tuple(
            ColumnGroup(
                heading(model, models[model]),
                tuple(f"{model} {name}" for name in projections),
                tuple(projection_label(name) for name in projections),
            )
            for model in models
        ),
        frame=_wide(_long(shown, names), keys, list(models), projections),
        title=_title(measures, models, dataset, " and ".join(names[:2])),
        quantity="statistic",
        blocks=2,
    )


def _long(shown: pl.DataFrame, names: Collection[str]) -> pl.DataFrame:
    """A line per statistic: its value, both ends of its interval, and n samples."""
    about = ["model", "cot", "correctness", "projection", "part"]
    return pl.concat(
        shown.select(
            *about,
            pl.lit(name).alias("statistic"),
            pl.col(column).alias("value"),
            pl.col(f"{column}_low").alias("low"),
            pl.col(f"{column}_high").alias("high"),
            pl.col("n_samples").alias("n"),
        )
        for column, name in STATISTIC_WORDS.items()
        if name in names
    )


def _title(measures: Measures, models: Collection[str], dataset: str, what: str) -> str:
    """Name a table in words: `mean and MAD of the nuclear norm · Qwen2 1.5B · GSM8K`."""
    quantity = f"{what} of the {metric_words(measures.metric)}"
    return " · ".join([quantity, ", ".join(map(model_title, models)), dataset_title(dataset)])


_DIFFERENCES = {
    "relative_difference": "RD",
    "ratio": "ratio",
    "top_layers": "layers",
    "n_questions": "questions",
}
"""Columns of the table of RD, and what they are called."""


def _differences_table(measures: Measures, models: Mapping[str, str], dataset: str) -> TableFile:
    columns = dict(_DIFFERENCES)
    if measures.per_sample:
        del columns["top_layers"]
    frame = _differences_frame(measures.differences_over_layers, models, columns)
    labels = {name: projection_label(name) for name in frame["projection"]}
    what = (
        "relative difference (RD), ratio of irrelevant to correct."
        if measures.per_sample
        else "relative difference (RD) averaged over layers, ratio of irrelevant to correct, and "
        "the layers where RD is largest."
    )
    return TableFile(
        name=file_stem("+".join(models), dataset, measures.metric, "rd"),
        caption=(
            f"{dataset_title(dataset)}: {_whose(measures)}, correct against irrelevant responses "
            f"to the same questions: {what}"
        ),
        keys=("cot", "projection"),
        groups=tuple(
            ColumnGroup(
                heading(model, models[model]),
                tuple(f"{model} {name}" for name in columns.values()),
                tuple(columns.values()),
            )
            for model in models
        ),
        frame=frame.with_columns(pl.col("projection").replace(labels)),
        title=_title(measures, models, dataset, "correct against irrelevant: RD"),
    )


def _differences_frame(
    differences: pl.DataFrame, models: Iterable[str], columns: Mapping[str, str]
) -> pl.DataFrame:
    """A line for each level and projection, with the columns of every model and RD's ends."""
    shown = differences.with_columns(
        ratio=pl.col("irrelevant") / pl.col("correct"),
        top_layers=pl.col("top_layers").cast(pl.List(pl.String)).list.join(" "),
    )
    keys = ["cot", "projection"]
    frame = in_reading_order(shown.select(keys).unique())
    for model in models:
        ends = {"rd_low": "RD low", "rd_high": "RD high"}
        named = {column: f"{model} {name}" for column, name in {**columns, **ends}.items()}
        of_model = shown.filter(pl.col("model") == model).rename(named)
        frame = frame.join(
            of_model.select(*keys, *named.values()), on=keys, how="left", maintain_order="left"
        )
    return frame


def heading(label: str, model: str) -> str:
    """Say of a label which kind of model it is: `qwen2_1.5b seed=1 (base)`."""
    return f"{label} ({'instruct' if is_instruct(model) else 'base'})"


def _whose(measures: Measures) -> str:
    label = metric_label(measures.metric)
    return f"{label} of the responses" if measures.per_sample else f"{label} of the gradients"


def _what(measures: Measures) -> str:
    """What the numbers of the table of statistics are, for its caption."""
    if measures.per_sample:
        return f"{_whose(measures)}. Mean over samples"
    return (
        f"{_whose(measures)}. Mean over layers, MAD between neighbouring layers, MAD over the mean"
    )


def _wide(
    lines: pl.DataFrame,
    keys: dict[str, Sequence[str]],
    models: Sequence[str],
    projections: Sequence[str],
) -> pl.DataFrame:
    """A line per combination of keys that is there, a column per model and projection.

    Then the columns that the page has beside them (`TableFile.frame`).
    """
    ordered = [pl.col(name).cast(pl.Enum(list(values))) for name, values in keys.items()]
    wide = lines.select(*keys).unique().sort(ordered)
    columns = [f"{model} {projection}" for model in models for projection in projections]
    for ends in ("", " low", " high"):
        of_column = pl.concat_str("model", pl.lit(" "), "projection", pl.lit(ends))
        named = lines.with_columns(column=of_column)
        values = named.pivot("column", index=list(keys), values=ends.strip() or "value")
        wide = wide.join(values, on=list(keys), how="left", maintain_order="left")
        # A model without the dataset, or a projection that one of two models lacks.
        absent = [name + ends for name in columns if name + ends not in wide.columns]
        wide = wide.with_columns(pl.lit(None, pl.Float64).alias(name) for name in absent)
    counts = lines.group_by(*keys, "model").agg(pl.col("n").max())
    counts = counts.with_columns(model=pl.concat_str("model", pl.lit(" n")))
    n = counts.pivot("model", index=list(keys), values="n")
    return wide.join(n, on=list(keys), how="left", maintain_order="left")


def _about(measures: Measures, models: Collection[str]) -> str:
    """How the layers are cut into parts, and over how many samples the curves are means."""
    cuts = []
    for model in models if not measures.per_sample else ():
        layers = measures.curves.filter(pl.col("model") == model)["layer"]
        if len(layers):
            cut = ", ".join(map(str, layer_parts(1 + int(layers.to_numpy().max()))))
            cuts.append(f"{cut} for {model}" if len(models) > 1 else cut)
    n_samples = measures.means["n_samples"].unique().sort().to_list()
    samples = "–".join(map(str, dict.fromkeys((n_samples[0], n_samples[-1]))))
    parts = f"; early, middle and late layers are {'; '.join(cuts)}" if cuts else ""
    return f"{parts}; {samples} samples"
