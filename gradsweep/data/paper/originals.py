"""The original datasets on the Hugging Face hub, put into the form of the paper's files.

For cot=none and simplified, where the paper's own files cannot be had or more questions are
wanted: the whole train split, of which the paper took 500. Same kind of prompt, rationale and
final answer, not the paper's text letter by letter.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from gradsweep.config import Config, CotLevel
from gradsweep.data.answers import split_worked_solution, stated_answer
from gradsweep.data.network import hub_as_allowed
from gradsweep.data.questions import Dataset, Question, question_ids
from gradsweep.errors import DataError

FIELD = "dataset.hub"
_BREAK = "\\n"
"""A line break as the paper's files write it in prompts and rationales: a backslash and an n."""

_OF_PATTERNS = "[*?"
"""Letters that make a path a pattern."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Solved:
    """One question of an original dataset."""

    prompt: str
    rationale: str
    answer: str
    states_answer: bool = False
    """Whether the rationale itself ends on the answer (MATH's boxed ones)."""

    def response(self, level: CotLevel) -> str:
        if level is CotLevel.none:
            return self.answer
        end = "" if self.states_answer else f"\nThe final answer is {self.answer}"
        return f"{self.rationale}{end}"


@dataclass(frozen=True)
class Original:
    """How the rows of an original dataset become questions."""

    subset: str | None
    columns: tuple[str, ...]
    solved: Callable[[Row], Solved]


def read_hub(config: Config) -> Dataset:
    """The train split of `dataset.hub` at `cot.level`, in its order.

    Raises:
        DataError: it cannot be had or read, or has other columns than it should.
    """
    questions = _questions(
        config.dataset.name,
        str(config.dataset.hub),
        config.dataset.hub_revision,
        config.cot.level,
    )
    message = (
        f"{config.dataset.name} is read from {config.dataset.hub}: other questions than the "
        "paper's 500, and irrelevant responses are generated"
    )
    return Dataset(questions, questions, (message,))


@lru_cache(maxsize=4)
def _questions(name: str, hub: str, revision: str | None, level: CotLevel) -> tuple[Question, ...]:
    original = _original(name)
    rows = _rows(hub, original.subset, revision)
    missing = [column for column in original.columns if rows and column not in rows[0]]
    if missing:
        raise DataError(
            f"{FIELD}: {hub} has no column {', '.join(missing)}; it has {', '.join(rows[0])}"
        )
    solved = [original.solved(row) for row in rows]
    ids = question_ids(problem.prompt for problem in solved)
    return tuple(
        Question(question_id, problem.prompt, problem.response(level), problem.answer)
        for question_id, problem in zip(ids, solved, strict=True)
    )


def _original(name: str) -> Original:
    if name not in _ORIGINALS:
        raise DataError(
            f"dataset.source=hub: how to read the original of {name} is not known; "
            f"allowed are {', '.join(_ORIGINALS)}"
        )
    return _ORIGINALS[name]


@lru_cache(maxsize=2)
def _rows(hub: str, subset: str | None, revision: str | None) -> Sequence[Row]:
    # Seconds to import, and most points do not need it.
    from datasets import load_dataset  # type: ignore[import-untyped]
    from datasets.exceptions import DatasetsError  # type: ignore[import-untyped]

    _require_plain_name(hub)
    try:
        with hub_as_allowed():
            rows = list(load_dataset(hub, subset, split="train", revision=revision))
    except (OSError, ValueError, DatasetsError) as error:
        why = " ".join(str(error).split())[:200]
        raise DataError(
            f"{FIELD}: {hub} cannot be loaded ({type(error).__name__}: {why}). Provide one of: a "
            "network, once (the dataset is then in the cache of Hugging Face); dataset.hub=<folder "
            "with a copy of it>; dataset.source=root or url for the paper's files"
        ) from error
    if not rows:
        raise DataError(f"{FIELD}: the train split of {hub} is empty")
    return rows


def _require_plain_name(hub: str) -> None:
    """Refuse a folder in whose path `datasets` would see a pattern, and read others that fit it."""
    folder = Path(hub).resolve()
    if folder.is_dir() and set(_OF_PATTERNS) & set(str(folder)):
        raise DataError(
            f"{FIELD}={hub}: {folder} has one of {' '.join(_OF_PATTERNS)} in its path, which the "
            "library datasets takes for a pattern of other folders' names. Copy the folder to one "
            f"without, and name that: cp -r {shlex.quote(hub)} /tmp/copy, {FIELD}=/tmp/copy"
        )


def _gsm8k(row: Row) -> Solved:
    rationale, answer = split_worked_solution(row["answer"]) or (row["answer"], "")
    return Solved(row["question"], rationale, answer)


def _aqua(row: Row) -> Solved:
    options = [re.sub(r"^([A-E])\s*\)\s*", r"(\1) ", option) for option in row["options"]]
    prompt = _BREAK.join([row["question"], "Options:", *options])
    rationale = _BREAK.join(line.strip() for line in row["rationale"].split("\n") if line.strip())
    return Solved(prompt, rationale, f"({row['correct']})")


def _strategyqa(row: Row) -> Solved:
    facts = row["facts"] if isinstance(row["facts"], str) else " ".join(row["facts"])
    return Solved(row["question"], facts, "yes" if row["answer"] else "no")


def _ecqa(row: Row) -> Solved:
    options = [f"- {row[f'q_op{number}']}" for number in range(1, 6)]
    prompt = _BREAK.join([row["q_text"], "Options:", *options])
    return Solved(prompt, row["taskB"], row["q_ans"])


def _math(row: Row) -> Solved:
    answer = stated_answer(row["solution"]) or ""
    return Solved(row["problem"], row["solution"], answer, states_answer=True)


def _math_subject(subject: str) -> Original:
    return Original(subject, ("problem", "solution"), _math)


_ORIGINALS = {
    "gsm8k": Original("main", ("question", "answer"), _gsm8k),
    "aqua": Original("raw", ("question", "options", "rationale", "correct"), _aqua),
    "strategyqa": Original(None, ("question", "answer", "facts"), _strategyqa),
    "ecqa": Original(None, ("q_text", "q_op1", "q_op5", "q_ans", "taskB"), _ecqa),
    "math_algebra": _math_subject("algebra"),
    "math_counting": _math_subject("counting_and_probability"),
    "math_geometry": _math_subject("geometry"),
}
