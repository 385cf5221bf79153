"""The paper's tables: means and MAD by part, RD with its largest layers, base beside instruct."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import polars as pl

from gradsweep.analysis.conditions import in_reading_order, values_in_reading_order
from gradsweep.analysis.layers import PARTS, layer_parts
from gradsweep.analysis.pairs import base_and_instruct_models, is_instruct
from gradsweep.report.file_names import file_stem
from gradsweep.report.formats import FORMATS, ColumnGroup, TableFile
from gradsweep.report.labels import metric_label, projection_label
from gradsweep.report.measures import Measures
from gradsweep.store.atomic import write_text

_STATISTICS = ("mean", "MAD")


def side_by_side(models: Collection[str]) -> list[tuple[str, ...]]:
    """Models that share a table: a base model with its instruct model.

    Where exactly two models are left without their counterpart, they share one too, a base
    model first; of more than two, each has a table of its own.
    """
    pairs = base_and_instruct_models(models)
    groups = [(base, instruct) for base, instruct in pairs.items()]
    paired = {*pairs, *pairs.values()}
    rest = sorted(set(models) - paired, key=lambda model: (is_instruct(model), model))
    alone = [tuple(rest)] if len(rest) == 2 else [(model,) for model in rest]
    return sorted(groups + alone)


def tables(measures: Measures) -> Iterator[TableFile]:
    """For every dataset and its `side_by_side` models: means and MAD, then RD where there is any.

    A condition, projection or whole model that is missing in the dataset leaves a gap.
    """
    for models in side_by_side(measures.curves["model"].unique().to_list()):
        of_models = pl.col("model").is_in(models)
        datasets = measures.curves.filter(of_models)["dataset"].unique().sort()
        for dataset in datasets:
            chosen = of_models & (pl.col("dataset") == dataset)
            yield _statistics_table(measures, models, dataset, chosen)
            if not measures.differences_over_layers.filter(chosen).is_empty():
                yield _differences_table(measures, models, dataset, chosen)


def statistics(measures: Measures) -> pl.DataFrame:
    """All means and MADs, one line per condition, projection and part.

    Columns: metric, the axes, point_id, projection, part, mean, mad, n_layers, n_samples.
    """
    keys = [name for name in measures.mads.columns if name not in ("mad", "n_differences")]
    joined = measures.means.join(
        measures.mads.drop("n_differences"), on=keys, how="left", maintain_order="left"
    )
    return joined.select(
        pl.lit(measures.metric).alias("metric"), *keys, "mean", "mad", "n_layers", "n_samples"
    )


def save_tables(
    measures: Sequence[Measures], folder: Path, advance: Callable[[], None] = lambda: None
) -> list[Path]:
    """Writes every table as CSV, LaTeX and Markdown, and `statistics.csv` with all numbers.

    Files are named models__dataset__metric (and __rd). Raises `StoreError` when a file cannot be
    written. `advance` is called after each metric.
    """
    everything = pl.concat([statistics(one) for one in measures])
    written = [folder / "statistics.csv"]
    write_text(written[0], everything.fill_nan(None).write_csv())
    for one in measures:
        for table in tables(one):
            for suffix, text_of in FORMATS.items():
                path = folder / f"{table.name}.{suffix}"
                write_text(path, text_of(table))
                written.append(path)
        advance()
    return written


def _statistics_table(
    measures: Measures, models: tuple[str, ...], dataset: str, chosen: pl.Expr
) -> TableFile:
    found = statistics(measures).filter(chosen)
    projections = values_in_reading_order(found, "projection")
    lines = found.rename({"mad": "MAD"}).unpivot(
        _STATISTICS,
        index=["model", "cot", "correctness", "projection", "part"],
        variable_name="statistic",
    )
    keys = {
        "statistic": _STATISTICS,
        "part": ("all", *PARTS),
        "cot": values_in_reading_order(found, "cot"),
        "correctness": values_in_reading_order(found, "correctness"),
    }
    return TableFile(
        name=file_stem("+".join(models), dataset, measures.metric),
        caption=(
            f"{dataset}: {metric_label(measures.metric)} of the gradients. Mean over layers and "
            f"MAD between neighbouring layers{_about(measures, models, chosen)}."
        ),
        keys=tuple(keys),
        groups=tuple(
            ColumnGroup(
                heading(model),
                tuple(f"{model} {name}" for name in projections),
                tuple(projection_label(name) for name in projections),
            )
            for model in models
        ),
        frame=_wide(lines, keys, models, projections),
        quantity="statistic",
        blocks=2,
    )


def _differences_table(
    measures: Measures, models: tuple[str, ...], dataset: str, chosen: pl.Expr
) -> TableFile:
    found = measures.differences_over_layers.filter(chosen).with_columns(
        ratio=pl.col("irrelevant") / pl.col("correct"),
        top_layers=pl.col("top_layers").cast(pl.List(pl.String)).list.join(" "),
    )
    columns = {
        "relative_difference": "RD",
        "ratio": "ratio",
        "top_layers": "layers",
        "n_questions": "questions",
    }
    frame = in_reading_order(found.select("cot", "projection").unique())
    labels = {name: projection_label(name) for name in frame["projection"]}
    for model in models:
        named = {column: f"{model} {name}" for column, name in columns.items()}
        of_model = found.filter(pl.col("model") == model).rename(named)
        frame = frame.join(
            of_model.select("cot", "projection", *named.values()),
            on=("cot", "projection"),
            how="left",
            maintain_order="left",
        )
    return TableFile(
        name=file_stem("+".join(models), dataset, measures.metric, "rd"),
        caption=(
            f"{dataset}: {metric_label(measures.metric)} of the gradients, correct against "
            "irrelevant responses to the same questions: relative difference (RD) averaged over "
            "layers, ratio of irrelevant to correct, and the layers where RD is largest."
        ),
        keys=("cot", "projection"),
        groups=tuple(
            ColumnGroup(
                heading(model),
                tuple(f"{model} {name}" for name in columns.values()),
                tuple(columns.values()),
            )
            for model in models
        ),
        frame=frame.with_columns(pl.col("projection").replace(labels)),
    )


def heading(model: str) -> str:
    """`qwen2_1.5b (base)`."""
    return f"{model} ({'instruct' if is_instruct(model) else 'base'})"


def _wide(
    lines: pl.DataFrame,
    keys: dict[str, Sequence[str]],
    models: Sequence[str],
    projections: Sequence[str],
) -> pl.DataFrame:
    """A line per combination of keys that is there, a column per model and projection."""
    named = lines.with_columns(column=pl.concat_str("model", "projection", separator=" "))
    ordered = [pl.col(name).cast(pl.Enum(list(values))) for name, values in keys.items()]
    wide = named.pivot("column", index=list(keys), values="value").sort(ordered)
    columns = [f"{model} {projection}" for model in models for projection in projections]
    # A model without the dataset, or a projection that one of two models lacks.
    absent = [pl.lit(None, pl.Float64).alias(name) for name in columns if name not in wide.columns]
    return wide.with_columns(absent).select(*keys, *columns)


def _about(measures: Measures, models: tuple[str, ...], chosen: pl.Expr) -> str:
    """How the layers are cut into parts, and over how many samples the curves are means."""
    cuts = []
    for model in models:
        layers = measures.curves.filter(chosen, pl.col("model") == model)["layer"]
        if len(layers):
            cut = ", ".join(map(str, layer_parts(1 + int(layers.to_numpy().max()))))
            cuts.append(f"{cut} for {model}" if len(models) > 1 else cut)
    n_samples = measures.means.filter(chosen)["n_samples"].unique().sort().to_list()
    samples = "–".join(map(str, dict.fromkeys((n_samples[0], n_samples[-1]))))
    return f"; early, middle and late layers are {'; '.join(cuts)}; {samples} samples"
