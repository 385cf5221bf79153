"""Final answers: reading them out of responses, and finding a wrong one for a question."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

from gradsweep.config import AnswerKind
from gradsweep.data.questions import Question
from gradsweep.errors import DataError

_FINAL_LINE = re.compile(r"\s*(The final answer is )(.+?)\s*$")
_MARKED_ANSWER = re.compile(r"(.*?)(?:^|\n)[ \t]*####([^\n]*\S[^\n]*)\s*", re.DOTALL)
_OPTION = re.compile(r"\(([A-Z])\)")
_LETTER = re.compile(r"^\(?([A-Z])\)?$")
_FLIPS = {"yes": "no", "no": "yes", "true": "false", "false": "true"}


def split_final_line(response: str) -> tuple[str, str, str | None]:
    """(reasoning, words that introduce the answer, answer) of `… The final answer is 42`.

    A response without such an ending is all reasoning: its answer is None.
    """
    final = _FINAL_LINE.search(response)
    if final is None:
        return response, "", None
    return response[: final.start()], final.group(1), final.group(2)


def stated_answer(response: str) -> str | None:
    """The answer a response with reasoning ends on: its final line, or its last `\\boxed{…}`."""
    answer = split_final_line(response)[2]
    return answer if answer is not None else _last_boxed(response)


def split_worked_solution(solution: str) -> tuple[str, str] | None:
    """(rationale, answer) of a solution as GSM8K writes it: lines, and last `#### 42`.

    The rationale loses its calculator notes `<<6*7=42>>` and its line breaks, the answer the
    commas of its thousands, as in the paper's files. None for a text without such an ending.
    """
    marked = _MARKED_ANSWER.fullmatch(solution)
    if marked is None:
        return None
    lines = re.sub(r"<<.*?>>", "", marked[1]).strip().split("\n")
    sentences = [line if line.endswith((".", "!", "?")) else f"{line}." for line in lines if line]
    return " ".join(sentences), marked[2].strip().replace(",", "")


def wrong_answer(
    question: Question,
    kind: AnswerKind,
    pool: Sequence[Question],
    rng: Random,
    right: Sequence[str] = (),
) -> str | None:
    """A final answer that is not `question`'s own; None when it or every other is not known.

    Binary answers flip; a lettered option becomes another letter of the same question; anything
    else becomes the answer of another question in `pool`. `right` are further answers to the same
    prompt, which are not wrong either.

    Raises:
        DataError: `kind` is binary and the data have answers of a third kind.
    """
    if question.answer is None:
        return None
    own = {_as_compared(answer) for answer in (question.answer, *right)}

    def is_wrong(answer: str) -> bool:
        return _as_compared(answer) not in own

    if kind is AnswerKind.binary:
        flipped = _flipped(question.answer, pool)
        return flipped if is_wrong(flipped) else None
    options = _other_letters(question) if kind is AnswerKind.choice else []
    wrong = [option for option in options if is_wrong(option)] or [
        other.answer for other in pool if other.answer and is_wrong(other.answer)
    ]
    return rng.choice(wrong) if wrong else None


def same(answer: str, other: str) -> bool:
    """Whether two answers differ at most in letter case and outer white space."""
    return _as_compared(answer) == _as_compared(other)


def _as_compared(answer: str) -> str:
    return answer.strip().casefold()


def _flipped(answer: str, pool: Sequence[Question]) -> str:
    opposite = _FLIPS.get(answer.strip().casefold())
    if opposite is not None:
        return _like(answer.strip(), opposite)
    names = sorted({other.answer for other in pool if other.answer})
    others = [name for name in names if not same(name, answer)]
    if len(others) != 1:
        raise DataError(
            "dataset.answer=binary needs exactly two different answers in the data, or yes/no, "
            f"or true/false; got {', '.join(names[:6])}"
        )
    return others[0]


def _like(pattern: str, word: str) -> str:
    """`word` in the letter case of `pattern`: lower, UPPER or Capital."""
    if pattern.isupper():
        return word.upper()
    return word.capitalize() if pattern[:1].isupper() else word


def _other_letters(question: Question) -> list[str]:
    """The other options `(A)`, `(B)`, … of a prompt, when the answer is one of them."""
    own = _LETTER.match((question.answer or "").strip())
    letters = sorted(set(_OPTION.findall(question.prompt)))
    if own is None or own.group(1) not in letters:
        return []
    others = [letter for letter in letters if letter != own.group(1)]
    return [own.group().replace(own.group(1), letter) for letter in others]


def _last_boxed(response: str) -> str | None:
    start = response.rfind("\\boxed{")
    if start < 0:
        return None
    start += len("\\boxed{")
    depth = 1
    for end in range(start, len(response)):
        depth += {"{": 1, "}": -1}.get(response[end], 0)
        if depth == 0:
            return response[start:end]
    return None
