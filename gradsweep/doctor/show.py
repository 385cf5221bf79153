"""Examinations in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gradsweep.doctor.check import Check, CheckState
from gradsweep.doctor.examination import Examination, Example

_STYLES = {
    CheckState.OK: "green",
    CheckState.WARNING: "yellow",
    CheckState.PROBLEM: "bold red",
    CheckState.NOT_CHECKED: "dim",
}
_SPECIAL = "magenta"
_PROMPT_SHOWN, _RESPONSE_SHOWN = 500, 700
"""Characters of the example; what matters is the border between the two."""


def examination_view(found: Examination, every_check: bool) -> Group:
    """Draw title, a line for each check (or for those that say something to do), the example."""
    shown = [
        check
        for check in found.checks
        if every_check or check.state in (CheckState.WARNING, CheckState.PROBLEM)
    ]
    title = Text(found.title, style="bold", overflow="fold")
    if not shown:
        title.append("  nothing to do", style=_STYLES[CheckState.OK])
    parts: list[RenderableType] = [title]
    if shown:
        parts.append(_lines(shown))
    if found.example is not None:
        parts += [Text(), *example_view(found.example)]
    return Group(*parts)


def _lines(checks: Sequence[Check]) -> Table:
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(no_wrap=True)
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    for check in checks:
        style = _STYLES[check.state]
        text = Text(check.finding)
        if check.remedy:
            text.append(" → ", style=style)
            text.append(check.remedy, style="bold" if style != "dim" else "")
        lines.add_row(Text(check.state.value, style=style), check.name, text)
    return lines


def example_view(example: Example) -> list[Text]:
    """Draw a heading, then prompt (dim) and response (highlighted, between ⟦ and ⟧) of one sample.

    Special tokens stand out, and line breaks are shown as ↵.
    """
    sample = example.sample
    heading = Text(
        f"sample {sample.sample.index} as the model reads it: {sample.response_start} prompt "
        f"tokens (dim), {sample.n_response_tokens} with loss (between ⟦ and ⟧), ",
        style="italic",
        overflow="fold",
    )
    heading.append("special tokens", style=f"italic {_SPECIAL}")
    text = Text(overflow="fold")
    prompt = Text.assemble(*_runs(example, sample.input_ids[: sample.response_start], "dim"))
    response = Text.assemble(
        *_runs(example, sample.input_ids[sample.response_start :], "black on green")
    )
    text.append_text(
        prompt if len(prompt) <= _PROMPT_SHOWN else Text("… ") + prompt[-_PROMPT_SHOWN:]
    )
    text.append("⟦", style="bold")
    text.append_text(response[:_RESPONSE_SHOWN])
    text.append("⟧" if len(response) <= _RESPONSE_SHOWN else " …⟧", style="bold")
    return [heading, text]


def _runs(example: Example, ids: Sequence[int], style: str) -> Iterator[tuple[str, str]]:
    """Decoded text in runs of special and of other tokens."""
    special = set(example.tokenizer.all_special_ids)
    for is_special, run in groupby(ids, key=special.__contains__):
        decoded = str(example.tokenizer.decode(list(run))).replace("\n", "↵\n")
        yield decoded, f"{style} {_SPECIAL}" if is_special else style


def summary_line(examinations: Sequence[Examination]) -> Text:
    """Sum up: `3 points: 30 ok, 2 warnings, 1 problem, 3 not checked`."""
    counts = {state: sum(one.count(state) for one in examinations) for state in CheckState}
    words = [
        f"{n} {state.value}{'s' * (n > 1 and state in (CheckState.WARNING, CheckState.PROBLEM))}"
        for state, n in counts.items()
        if n
    ]
    points = f"{len(examinations)} points: " if len(examinations) > 1 else ""
    style = _STYLES[CheckState.PROBLEM] if counts[CheckState.PROBLEM] else "bold"
    return Text(f"doctor: {points}{', '.join(words)}", style=style)
