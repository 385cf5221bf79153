"""Records whose response is a list of steps, with what somebody says of each.

    {problem, steps: [text, …], label: index of the first wrong step, or -1}      ProcessBench
    {question: {problem, …}, label: {steps: [{completions: [{text, rating}], chosen_completion}]}}
                                                                                  PRM800K
    {prompt, completions: [text, …], labels: [true, false, …]}                    TRL, stepwise

ProcessBench: arXiv 2412.06559. PRM800K: arXiv 2305.20050, whose ratings are 1 (good), 0 (neutral)
and -1 (bad). TRL's stepwise supervision is what its PRMTrainer takes: whether each step is right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gradsweep.data.fields import is_given, object_of, text_in, value_kind
from gradsweep.data.questions import LabelledStep
from gradsweep.errors import DataError
from gradsweep.records import StepLabel

_PROMPTS = ("problem", "prompt", "question")
_RATINGS = {1: StepLabel.RIGHT, 0: StepLabel.RIGHT, -1: StepLabel.WRONG}
"""A neutral step is not wrong: it only leads nowhere."""


def has_steps(row: dict[str, Any]) -> bool:
    """Whether a record is of one of the three forms, well made or not."""
    return isinstance(row.get("steps"), list) or _is_rated(row) or _is_flagged(row)


def read_steps(row: dict[str, Any], where: str) -> tuple[str, tuple[LabelledStep, ...]]:
    """The prompt of such a record, and the steps of its response.

    Raises:
        DataError: a field is missing or holds what it must not; names it and what is allowed.
    """
    if _is_rated(row):
        name, steps = "label.steps", tuple(_rated(row, where))
    elif isinstance(row.get("steps"), list):
        name, steps = "steps", tuple(_indexed(row, where))
    else:
        name, steps = "completions", tuple(_flagged(row, where))
    if not steps:
        raise DataError(f"{where}: field {name!r} is an empty list; it must hold a text per step")
    return _prompt(row, where), steps


def _is_flagged(row: dict[str, Any]) -> bool:
    return all(isinstance(row.get(name), list) for name in ("completions", "labels"))


def _is_rated(row: dict[str, Any]) -> bool:
    return isinstance(row.get("label"), dict) and "steps" in row["label"]


def _prompt(row: dict[str, Any], where: str) -> str:
    question = row.get("question")
    fields = question if isinstance(question, dict) else row
    for name in _PROMPTS:
        if is_given(fields, name):
            return text_in(fields[name], name, where, may_be_empty=False)
    raise DataError(
        f"{where}: a record with steps has its prompt in one of {', '.join(_PROMPTS)}; given are "
        f"{', '.join(fields) or 'no fields'}. dataset.fields.prompt=<name in the file> says where "
        "it has another name"
    )


def _indexed(row: dict[str, Any], where: str) -> Iterator[LabelledStep]:
    """The steps before the first wrong one are right; without a label, nothing is known."""
    steps, label = row["steps"], row.get("label")
    if isinstance(label, float) and label.is_integer():
        label = int(label)  # a table with gaps makes 1.0 of 1
    is_index = isinstance(label, int) and not isinstance(label, bool)
    if label is not None and not (is_index and -1 <= label < len(steps)):
        raise DataError(
            f"{where}: field 'label' must be the index of the first wrong of {len(steps)} steps, "
            f"from 0 to {len(steps) - 1}, or -1 where none is wrong; got {value_kind(label)}"
        )
    for place, text in enumerate(steps):
        yield LabelledStep(_text(text, place, where), _by_index(place, label))


def _by_index(place: int, first_wrong: int | None) -> StepLabel | None:
    if first_wrong is None:
        return None
    if first_wrong < 0 or place < first_wrong:
        return StepLabel.RIGHT
    return StepLabel.WRONG if place == first_wrong else StepLabel.AFTER_WRONG


def _flagged(row: dict[str, Any], where: str) -> Iterator[LabelledStep]:
    """The first false flag is that of the first wrong step, whatever is said behind it."""
    steps, flags = row["completions"], row["labels"]
    if len(flags) != len(steps):
        raise DataError(
            f"{where}: field 'labels' must have one of true and false for each of the "
            f"{len(steps)} steps in 'completions', got {len(flags)}"
        )
    for place, flag in enumerate(flags):
        if not isinstance(flag, bool):
            raise DataError(
                f"{where}: field 'labels[{place}]' must be true or false, got {value_kind(flag)}"
            )
    first_wrong = flags.index(False) if False in flags else -1
    for place, text in enumerate(steps):
        yield LabelledStep(_text(text, place, where, "completions"), _by_index(place, first_wrong))


def _rated(row: dict[str, Any], where: str) -> Iterator[LabelledStep]:
    """The steps that were rated, up to the first wrong one; then those that were written behind it.

    Labelling stops there; of a solution that was written before, the rest is known.
    """
    told = row["label"]["steps"]
    if not isinstance(told, list):
        raise DataError(f"{where}: field 'label.steps' must be a list, got {value_kind(told)}")
    texts: list[str] = []
    for place, step in enumerate(told):
        text, rating = _chosen(object_of(step, f"{where}, step {place}"), place, where)
        texts.append(_text(text, place, where))
        yield LabelledStep(texts[-1], None if rating is None else _RATINGS[rating])
        if rating == -1:
            break
    else:
        return
    for place, text in _written_behind(row, texts):
        yield LabelledStep(_text(text, place, where), StepLabel.AFTER_WRONG)


def _chosen(step: dict[str, Any], place: int, where: str) -> tuple[Any, int | None]:
    """The text of a step and its rating, None where it has none.

    The completion that was chosen; where none was, that of a human, which nobody rated; at the end
    of a solution with an error, the first, which was written before the others.
    """
    completions, chosen = step.get("completions"), step.get("chosen_completion")
    if not isinstance(completions, list) or not all(isinstance(one, dict) for one in completions):
        raise DataError(
            f"{where}: field 'completions' of step {place} must be a list of objects with text "
            f"and rating, got {value_kind(completions)}"
        )
    if chosen is None and is_given(step, "human_completion"):
        human = step["human_completion"]
        return (human.get("text") if isinstance(human, dict) else human), None
    index = 0 if chosen is None else chosen
    if not isinstance(index, int) or not 0 <= index < len(completions):
        raise DataError(
            f"{where}: field 'chosen_completion' of step {place} must be the index of one of "
            f"{len(completions)} completions, or null; got {value_kind(chosen)}"
        )
    rating = completions[index].get("rating")
    is_number = isinstance(rating, int | float)
    if rating is not None and not (is_number and rating in _RATINGS):
        raise DataError(
            f"{where}: field 'rating' of step {place} must be 1, 0, -1 or null, got "
            f"{value_kind(rating)}"
        )
    return completions[index].get("text"), rating


def _written_behind(row: dict[str, Any], texts: Sequence[str]) -> Iterator[tuple[int, Any]]:
    """The rest of the solution that the rated steps begin; nothing where they are others."""
    question = row.get("question")
    written = question.get("pre_generated_steps") if isinstance(question, dict) else None
    if isinstance(written, list) and written[: len(texts)] == list(texts):
        yield from list(enumerate(written))[len(texts) :]


def _text(text: Any, place: int, where: str, field: str = "steps") -> str:
    return text_in(text, f"{field}[{place}]", where, may_be_empty=False)
