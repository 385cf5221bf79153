"""Tables of measurements as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.cases import Case
from benchmarks.timing import Spread, Timings

LEGEND = """\
(a) gradsweep with every metric row; (b) the plain method: attention weights trainable, backward,
full SVD of each gradient; (c) forward and backward with frozen weights; (d) forward and backward
with the gradients of all weights. (c) and (d) use the model's own `labels=` loss. Ratios are
medians over rounds in which the methods took turns, with their range; float32. (b)/(c) is what
(a) could reach if its spectra cost nothing and its pass were a bare one.
"""


@dataclass
class Measured:
    """The measurements of one case."""

    case: Case
    timings: Timings
    peaks: dict[str, int | None] = field(default_factory=dict)
    """Method -> bytes above the loaded model."""


def report(
    main: Sequence[Measured], growth: Sequence[Measured], environment: dict[str, str]
) -> str:
    """Write the whole document; parts without a measurement are left out."""
    parts = ["# Benchmark\n", "".join(f"- {k}: {v}\n" for k, v in environment.items()), LEGEND]
    if main:
        parts += ["## Time\n", _time_table(main)]
    remembered = [m for m in main if m.peaks]
    if remembered:
        parts += ["## Peak memory above the loaded model\n", _memory_table(remembered)]
    if growth:
        parts += ["## Growth\n", _growth_table(growth)]
    return "\n".join(parts)


def _time_table(measured: Sequence[Measured]) -> str:
    head = [
        "case",
        "(a) s/sample",
        "(b)/(a): times faster",
        "(b)/(c)",
        "(a)/(c)",
        "(a)/(d)",
        "rounds",
    ]
    return _markdown(
        head,
        [
            [
                m.case.title,
                _spread(m.timings.seconds("gradsweep")),
                _spread(m.timings.ratio("plain", "gradsweep")),
                _spread(m.timings.ratio("plain", "frozen")),
                _spread(m.timings.ratio("gradsweep", "frozen")),
                _spread(m.timings.ratio("gradsweep", "training")),
                str(len(m.timings.rounds)),
            ]
            for m in measured
        ],
    )


def _memory_table(measured: Sequence[Measured]) -> str:
    head = ["case", "(a)", "(a) checkpointed", "(b)", "(c)", "(d)", "(a)/(b)"]
    columns = ("gradsweep", "gradsweep_checkpointed", "plain", "frozen", "training")
    rows = []
    for m in measured:
        a, b = m.peaks.get("gradsweep"), m.peaks.get("plain")
        ratio = f"{a / b:.2f}" if a and b else "–"
        rows.append([m.case.title, *(_mebibytes(m.peaks.get(c)) for c in columns), ratio])
    return _markdown(head, rows)


def _growth_table(measured: Sequence[Measured]) -> str:
    head = ["case", "(a) s/sample", "(a)/(c)", "(a)/(d)"]
    return _markdown(
        head,
        [
            [
                m.case.title,
                _spread(m.timings.seconds("gradsweep")),
                _spread(m.timings.ratio("gradsweep", "frozen")),
                _spread(m.timings.ratio("gradsweep", "training")),
            ]
            for m in measured
        ],
    )


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "–"
    if spread.low == spread.high:
        return f"{spread.median:.3g}"
    median, low, high = (f"{value:.3g}" for value in (spread.median, spread.low, spread.high))
    return f"{median} ({low}–{high})"


def _mebibytes(peak: int | None) -> str:
    return "–" if peak is None else f"{peak / 2**20:,.0f} MiB"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
