"""What other objectives than the study's show, beside it: a table and sentences, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from gradsweep.analysis.claims import Finding
from gradsweep.analysis.claims.fast_thinking import LARGER
from gradsweep.analysis.members import MEMBER_METRICS, member_means, member_metrics
from gradsweep.analysis.rows import main_responses, with_every_axis
from gradsweep.config import is_reasoning_level
from gradsweep.config.files import options
from gradsweep.records import STUDY_OBJECTIVE
from gradsweep.report.labels import (
    dataset_title,
    level_label,
    level_phrase,
    metric_words,
    model_title,
    responses_words,
)
from gradsweep.report.markdown import markdown_table
from gradsweep.report.measures import Measures, compute_measures
from gradsweep.report.numerals import MISSING
from gradsweep.store.series import base_name

TITLE = "By objective"

_UNIT = {
    "correct": "Each response has a gradient of its own.",
    "pair": (
        "A pair has one gradient, the sum of two shares: one makes the correct response likelier, "
        "the other makes the irrelevant response to the same question less likely."
    ),
    "group": (
        "A group has one gradient, the sum of its responses' shares: responses with more reward "
        "than the others become likelier, those with less become less likely."
    ),
}
"""By what a unit is made of: what one gradient is."""

_SCALES = (
    "Every loss has a scale of its own (β above all), so the mean {words} of two objectives says "
    "nothing. Many sum over a response's tokens where `sft` takes the mean: then a longer response "
    "has the larger gradient by that alone, and levels of CoT differ in length. MAD over the mean, "
    "ranks and cosines know neither scale nor length as such. Losses of other objectives are no "
    "cross-entropy."
)

_RANK = 2.0
"""The effective rank of a GRPO group's gradient according to arXiv 2606.29238."""

SHAPE = "effective_rank"
"""What is set beside the size of objectives' gradients: it knows no scale."""

_Line = Mapping[str, Any]


@dataclass
class _Study:
    """One objective and series of a model and dataset."""

    model: str
    dataset: str
    objective: str
    series: str
    values: dict[str, dict[str, _Line]] = field(default_factory=dict)
    """Metric -> CoT level -> line of `condition_summaries`, of its main responses."""
    responses: str = "correct"
    members: list[_Line] = field(default_factory=list)
    """Of `member_means`."""
    ratio: Finding | None = None
    """Of claim 1: the metric without CoT over that with detailed CoT."""

    @property
    def name(self) -> str:
        return " ".join(filter(None, (self.objective, self.series)))

    def of(self, metric: str) -> dict[str, _Line]:
        return self.values.get(metric, {})


def objectives_markdown(
    rows: pl.DataFrame, measures: Measures, findings: Sequence[Finding] = ()
) -> str:
    """Write the section of a report that sets objectives side by side.

    Args:
        rows: as `load_rows` gives them.
        measures: of the report's first metric.
        findings: of the same metric (`evaluate_claims`).

    Returns:
        Markdown from a second-level heading on; empty where all points are of the study's
        objective and no members were measured.
    """
    rows = with_every_axis(rows)
    metrics = member_metrics(rows)
    if measures.per_sample or not (metrics or (rows["objective"] != STUDY_OBJECTIVE).any()):
        return ""
    every = [measures]
    for name in (SHAPE, *metrics):
        if name != measures.metric and name in rows.columns:
            every.append(compute_measures(rows, name))
    return objectives_section(every, member_means(rows, measures.metric), findings)


def objectives_section(
    every: Sequence[Measures], members: pl.DataFrame, findings: Sequence[Finding] = ()
) -> str:
    """Write what `objectives_markdown` does, from numbers that are computed already.

    Args:
        every: measures of the report's first metric, then of `SHAPE` and of what members' gradients
            are to each other, as far as there are any.
        members: of `member_means`, by the first metric.
        findings: of the first metric.
    """
    measures, *others = every
    of_others = any(one.metric in MEMBER_METRICS for one in others)
    plain = (measures.curves["objective"] == STUDY_OBJECTIVE).all()
    if measures.per_sample or (plain and not of_others):
        return ""
    found = _studies(every, members, findings)
    parts = [f"## {TITLE}", "\n".join(f"- {line}" for line in _explained(found))]
    places = dict.fromkeys((one.model, one.dataset) for one in found)
    for place in places:
        here = [one for one in found if (one.model, one.dataset) == place]
        parts += _section(here, measures.metric)
    parts.append(_SCALES.format(words=metric_words(measures.metric)))
    return "\n\n".join(parts)


def _studies(
    every: Sequence[Measures], members: pl.DataFrame, findings: Sequence[Finding]
) -> list[_Study]:
    found: dict[tuple[str, ...], _Study] = {}
    kinds: dict[tuple[str, ...], list[_Line]] = {}
    for measures in every:
        for line in measures.summaries.to_dicts():
            key = _key(line)
            study = found.setdefault(key, _Study(*key))
            kinds.setdefault(key, []).append(line)
            study.responses = main_responses({each["correctness"] for each in kinds[key]})
            if line["correctness"] == study.responses and is_reasoning_level(line["cot"]):
                study.values.setdefault(measures.metric, {})[line["cot"]] = line
    for line in members.to_dicts():
        if _key(line) in found:
            found[_key(line)].members.append(line)
    for one in findings:
        key = (one.model, one.dataset, one.objective, one.series)
        if key in found and (one.statement, one.statistic) == (LARGER.text, LARGER.statistic):
            found[key].ratio = one
    return list(found.values())


def _key(line: _Line) -> tuple[str, str, str, str]:
    return line["model"], line["dataset"], line["objective"], line["series"]


def _explained(found: Sequence[_Study]) -> Iterator[str]:
    """What each objective is, and what one of its gradients is of."""
    told = options("objective")
    for objective in dict.fromkeys(one.objective for one in found):
        responses = next(one.responses for one in found if one.objective == objective)
        sentence = told.get(base_name(objective), "an objective of one's own").rstrip(".")
        yield f"**{objective}**: {sentence}. {_UNIT[responses]}"


def _section(studies: Sequence[_Study], metric: str) -> Iterator[str]:
    yield f"### {model_title(studies[0].model)}, {dataset_title(studies[0].dataset)}"
    yield _table(studies, metric)
    if members := _member_table(studies, metric):
        yield members
    said = [sentence for one in studies for sentence in _sentences(one, metric)]
    if said:
        yield "\n".join(f"- {sentence}" for sentence in said)


def _table(studies: Sequence[_Study], metric: str) -> str:
    """A line for each objective and level."""
    columns = {
        f"mean {metric_words(metric)}": (metric, "mean"),
        "MAD over the mean": (metric, "relative_mad"),
        "effective rank": ("effective_rank", "mean"),
        "members' cosine": ("member_cosine", "mean"),
        "members' effective rank": ("member_effective_rank", "mean"),
    }
    there = {
        heading: place
        for heading, place in columns.items()
        if any(one.of(place[0]) for one in studies)
    }
    lines = []
    for one in studies:
        for level in one.of(metric):
            cells = [
                _interval(one.of(name).get(level), statistic) for name, statistic in there.values()
            ]
            n = str(one.of(metric)[level]["n_questions"])
            lines.append([one.name, level_label(level), *cells, n])
    return markdown_table(["objective", "responses", *there, "questions"], lines)


def _member_table(studies: Sequence[_Study], metric: str) -> str:
    """The size of each member's share; of the members of a pair, which have names."""
    lines = [
        [one.name, level_label(line["cot"]), line["member"], f"{line['mean']:.3g}"]
        for one in studies
        for line in one.members
        if not line["member"].isdecimal()
    ]
    heading = ["objective", "responses", "member", f"mean {metric_words(metric)} of its share"]
    return markdown_table(heading, lines) if lines else ""


def _sentences(one: _Study, metric: str) -> Iterator[str]:
    ratio = one.ratio
    if ratio is not None and math.isfinite(ratio.value):
        yield (
            f"{one.name}: {responses_words(one.responses)} without CoT have "
            f"{ratio.value:.3g} times [{_number(ratio.low)}, {_number(ratio.high)}] the "
            f"{metric_words(metric)} of those with detailed CoT ({ratio.verdict.value})."
        )
    cosines = one.of("member_cosine")
    if cosines:
        numbers = ", ".join(
            f"{_interval(line, 'mean')} {level_phrase(level)}" for level, line in cosines.items()
        )
        what = "correct and irrelevant responses" if one.responses == "pair" else "members"
        yield (
            f"{one.name}: the gradients of log-probability of a unit's {what} have a mean cosine "
            f"of {numbers}. Near 1, what makes one likelier makes the other likelier too "
            "(arXiv 2410.13828 calls this entanglement); near 0, they ask for different changes."
        )
    if one.responses == "group" and (ranks := one.of("effective_rank")):
        numbers = ", ".join(
            f"{_interval(line, 'mean')} {level_phrase(level)}" for level, line in ranks.items()
        )
        holds = all(abs(line["mean"] - _RANK) <= 0.5 for line in ranks.values())
        yield (
            f"{one.name}: a group's gradient has an effective rank of {numbers}, averaged over "
            f"layers. That of GRPO is about {_RANK:g} according to arXiv 2606.29238, which "
            f"{'holds' if holds else 'does not hold'} here (within ½). Rollouts are sampled from "
            "the model there, and the data's own responses stand in their place here: recorded "
            "rollouts (docs/data.md) would tell."
        )


def _interval(line: _Line | None, statistic: str) -> str:
    if line is None or not math.isfinite(line[statistic]):
        return MISSING
    low, high = line[f"{statistic}_low"], line[f"{statistic}_high"]
    ends = f" [{_number(low)}, {_number(high)}]" if math.isfinite(low) else ""
    return f"{_number(line[statistic])}{ends}"


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else MISSING
