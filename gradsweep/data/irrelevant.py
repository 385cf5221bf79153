"""Irrelevant responses (paper section 3), generated for any dataset and CoT level.

Checked against the paper's released `*_wrong_answer_shuffle` files, which are made so:

- A wrong final answer is chosen per question and kept at every CoT level.
- Without CoT the response is that answer.
- With CoT it has as many sentences as the original, from the whole dataset at the same level,
  joined by single spaces: an opening sentence of some question, then inner sentences, then the
  wrong answer: as `The final answer is …` where the original ends so, else as the closing
  sentence of a question that has this answer.
- Knowledge texts (wiki) have no answer: sentences from anywhere in the pool.

Unlike the paper's files (where half of the binary answers and one in eight options stay the
same), a response here never keeps its own answer and never holds a sentence of its own.
The choice depends on the seed, the question and the pool alone, not on their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from gradsweep.config import AnswerKind, CotLevel
from gradsweep.data.answers import split_final_line, wrong_answer
from gradsweep.data.questions import Question
from gradsweep.data.sentences import split_sentences
from gradsweep.errors import DataError


class IrrelevantResponses:
    """Generates the irrelevant response of any question of a dataset at one CoT level."""

    def __init__(
        self, pool: Iterable[Question], level: CotLevel, kind: AnswerKind, seed: int
    ) -> None:
        """`pool`: the questions whose answers and sentences are used, all at `level`."""
        self._pool = sorted(pool, key=lambda question: question.question_id)
        self._kind = kind
        self._seed = seed
        self._is_bare_answer = level is CotLevel.none and kind is not AnswerKind.text
        self._sentences = None if self._is_bare_answer else _Sentences.of(self._pool)

    def __call__(self, question: Question) -> str:
        """The irrelevant response of `question`; an empty response stays empty.

        Raises:
            DataError: the data hold no wrong answer, or no sentence, of another question.
        """
        if not question.response.strip():
            return question.response
        wrong = self._wrong_answer(question)
        if self._sentences is None:
            return _needed(wrong, question)
        rng = Random(f"{self._seed} sentences {question.question_id}")
        return " ".join(self._sentences.shuffled(question, wrong, self._kind, rng))

    def _wrong_answer(self, question: Question) -> str | None:
        if self._kind is AnswerKind.text:
            return None
        rng = Random(f"{self._seed} answer {question.question_id}")
        return wrong_answer(question, self._kind, self._pool, rng)


@dataclass(frozen=True)
class _Sentences:
    """The pooled sentences of a dataset at one level, by their place in a response."""

    opening: list[str]
    middle: list[str]
    any: list[str]
    closing: dict[str, list[str]]
    """Last sentences, by the answer of their question ("" where it is not known)."""

    @classmethod
    def of(cls, pool: Sequence[Question]) -> _Sentences:
        pooled = cls([], [], [], {})
        for question in pool:
            reasoning, _, final = split_final_line(question.response)
            sentences = split_sentences(reasoning)
            if sentences:
                pooled.opening.append(sentences[0])
                pooled.middle.extend(sentences[1:] if final is not None else sentences[1:-1])
                pooled.any.extend(sentences)
                pooled.closing.setdefault(_key(question.answer), []).append(sentences[-1])
        return pooled

    def shuffled(
        self, question: Question, wrong: str | None, kind: AnswerKind, rng: Random
    ) -> list[str]:
        """Draw as many sentences as `question`'s response has, none of them its own."""
        reasoning, introduction, answer = split_final_line(question.response)
        own = split_sentences(reasoning)
        if kind is AnswerKind.text:
            return _draw(rng, len(own), set(own), self.any)
        if answer is not None:
            final = f"{introduction}{_needed(wrong, question)}"
            return [*self._body(rng, len(own), own), final]
        end = rng.choice(self._endings(question.answer, wrong, kind, own))
        return [*self._body(rng, len(own) - 1, own), end]

    def _body(self, rng: Random, count: int, own: list[str]) -> list[str]:
        """`count` sentences, the first of them one that opens a response."""
        if count < 1:
            return []
        first = _draw(rng, 1, set(own), self.opening)
        return first + _draw(rng, count - 1, {*own, *first}, self.middle, self.any)

    def _endings(
        self, answer: str | None, wrong: str | None, kind: AnswerKind, own: list[str]
    ) -> list[str]:
        """Closing sentences that state `wrong`; failing that, ones with any other answer."""
        stating = self.closing.get(_key(wrong), []) if wrong else []
        known = {_key(answer)} - {""}
        others = [s for key, ends in self.closing.items() if key not in known for s in ends]
        for candidates in (stating, others):
            usable = [s for s in candidates if s not in own and not _states(s, answer, kind)]
            if usable:
                return usable
        raise _too_few(len(others))


def _key(answer: str | None) -> str:
    return (answer or "").strip().casefold()


def _states(sentence: str, answer: str | None, kind: AnswerKind) -> bool:
    """Whether a sentence names `answer`. Not asked of yes and no, which are everyday words."""
    if answer is None or kind is AnswerKind.binary:
        return False
    return bool(re.search(rf"(?<![\w.]){re.escape(answer)}(?!\w|\.\d)", sentence))


def _draw(rng: Random, count: int, excluded: set[str], *pools: list[str]) -> list[str]:
    """`count` sentences that are not excluded, from the first pool that has so many.

    If none has, from the last one with repeats.
    """
    allowed: list[str] = []
    for pool in pools:
        allowed = [sentence for sentence in pool if sentence not in excluded]
        if len(allowed) >= count:
            return rng.sample(allowed, count)
    if not allowed:
        raise _too_few(len(pools[-1]))
    return rng.choices(allowed, k=count)


def _needed(wrong: str | None, question: Question) -> str:
    if wrong is None:
        raise DataError(
            "correctness=irrelevant needs questions with different answers, but in these data no "
            f"other answer than {question.answer!r} is found for {question.prompt[:60]!r}"
        )
    return wrong


def _too_few(available: int) -> DataError:
    return DataError(
        "correctness=irrelevant needs sentences of other questions to draw from, and the data "
        f"hold none for some question ({available} in all): use data with more, different responses"
    )
