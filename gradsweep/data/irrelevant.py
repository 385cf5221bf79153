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
same), a response here never keeps its own answer and never holds a sentence of its own. Of a
prompt that the data have several times, every answer and sentence counts as its own. A thought is
made of sentences of other thoughts, so it begins and ends as it did.
The choice depends on the seed, the question and the pool alone, not on their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

from gradsweep.config import AnswerKind, Config, CotKind, CotLevel
from gradsweep.data.answers import split_final_line, wrong_answer
from gradsweep.data.questions import Question
from gradsweep.data.sentences import TextRules, join_sentences, split_sentences
from gradsweep.data.thoughts import split_thought
from gradsweep.errors import DataError

_TRIES = 20
"""Draws, before one that is a whole response of another question is taken after all."""


class IrrelevantResponses:
    """Generates the irrelevant response of any question of a dataset at one CoT level."""

    def __init__(
        self,
        pool: Iterable[Question],
        level: CotLevel,
        kind: AnswerKind,
        seed: int,
        rules: TextRules = TextRules.general,
    ) -> None:
        """`pool`: the questions whose answers and sentences are used, all at `level`."""
        self._pool = sorted(pool, key=lambda question: question.question_id)
        self._kind = kind
        self._seed = seed
        self._rules = rules
        self._are_bare_answers = are_bare_answers(level, kind)
        self._whole = whole_responses(self._pool)
        self._same_prompt: dict[str, list[Question]] = {}
        self._pieces: dict[str, tuple[set[str], set[str]]] = {}
        if rules is TextRules.general:
            for question in self._pool:
                self._same_prompt.setdefault(question.prompt, []).append(question)
        if not self._are_bare_answers:
            self._thoughts = _Sentences.of((_thought(q, rules) for q in self._pool), rules)
            answers = (_without_thought(q, rules) for q in self._pool)
            self._sentences = _Sentences.of(answers, rules)

    def __call__(self, question: Question) -> str:
        """The irrelevant response of `question`; an empty response stays empty.

        Raises:
            DataError: the data hold no wrong answer, or no sentence, of another question.
        """
        if not question.response.strip():
            return question.response
        wrong = self._wrong_answer(question)
        if self._are_bare_answers:
            return _needed(wrong, question)
        own_sentences, own_thoughts = self._own_pieces(question)
        answer = _without_thought(question, self._rules)
        rng = Random(f"{self._seed} sentences {question.question_id}")
        for _ in range(_TRIES if self._rules is TextRules.general else 1):
            drawn = self._sentences.shuffled(answer, wrong, self._kind, own_sentences, rng)
            response = join_sentences(drawn, self._rules)
            if parts := split_thought(question.response, self._rules):
                thought = self._thoughts.like(parts.thought, own_thoughts, rng)
                response = str(replace(parts, thought=thought, answer=response))
            if words_of(response) not in self._whole:
                break
        return response

    def _own_pieces(self, question: Question) -> tuple[set[str], set[str]]:
        """The sentences of all answers, and of all thoughts, to the prompt of `question`."""
        if question.prompt in self._pieces:
            return self._pieces[question.prompt]
        own = self._same_prompt.get(question.prompt, [question])
        answers = [_without_thought(q, self._rules) for q in own]
        thoughts = [_thought(q, self._rules) for q in own]
        pieces = (
            {sentence for q in answers for sentence in self._sentences.split(q)},
            {sentence for q in thoughts for sentence in self._thoughts.split(q)},
        )
        if len(own) > 1:
            self._pieces[question.prompt] = pieces
        return pieces

    def _wrong_answer(self, question: Question) -> str | None:
        if self._kind is AnswerKind.text:
            return None
        rng = Random(f"{self._seed} answer {question.question_id}")
        right = [q.answer for q in self._same_prompt.get(question.prompt, ()) if q.answer]
        return wrong_answer(question, self._kind, self._pool, rng, right)


@dataclass(frozen=True)
class _Sentences:
    """The pooled sentences of a dataset at one level, by their place in a response."""

    rules: TextRules
    opening: list[str]
    middle: list[str]
    any: list[str]
    closing: dict[str, list[str]]
    """Last sentences, by the answer of their question ("" where it is not known)."""

    @classmethod
    def of(cls, pool: Iterable[Question], rules: TextRules) -> _Sentences:
        pooled = cls(rules, [], [], [], {})
        for question in pool:
            final = split_final_line(question.response)[2]
            sentences = pooled.split(question)
            if sentences:
                pooled.opening.append(sentences[0])
                pooled.middle.extend(sentences[1:] if final is not None else sentences[1:-1])
                pooled.any.extend(sentences)
                pooled.closing.setdefault(_key(question.answer), []).append(sentences[-1])
        return pooled

    def split(self, question: Question) -> list[str]:
        """The sentences of a question's reasoning."""
        return split_sentences(split_final_line(question.response)[0], self.rules)

    def like(self, text: str, excluded: set[str], rng: Random) -> str:
        """Draw a text of as many sentences as `text` has, none of them `excluded`."""
        count = len(split_sentences(text, self.rules))
        return join_sentences(_draw(rng, count, excluded, self.any), self.rules)

    def shuffled(
        self,
        question: Question,
        wrong: str | None,
        kind: AnswerKind,
        excluded: set[str],
        rng: Random,
    ) -> list[str]:
        """Draw as many sentences as `question`'s response has, none of them `excluded`."""
        _, introduction, answer = split_final_line(question.response)
        count = len(self.split(question))
        if not count and answer is None:
            return []  # behind a thought that was cut off
        if kind is AnswerKind.text:
            return _draw(rng, count, excluded, self.any)
        if answer is not None:
            final = f"{introduction}{_needed(wrong, question)}"
            return [*self._body(rng, count, excluded), final]
        end = rng.choice(self._endings(question.answer, wrong, kind, excluded))
        return [*self._body(rng, count - 1, excluded), end]

    def _body(self, rng: Random, count: int, excluded: set[str]) -> list[str]:
        """`count` sentences, the first of them one that opens a response."""
        if count < 1:
            return []
        first = _draw(rng, 1, excluded, self.opening)
        return first + _draw(rng, count - 1, {*excluded, *first}, self.middle, self.any)

    def _endings(
        self, answer: str | None, wrong: str | None, kind: AnswerKind, excluded: set[str]
    ) -> list[str]:
        """Closing sentences that state `wrong`; failing that, ones with any other answer."""
        stating = self.closing.get(_key(wrong), []) if wrong else []
        known = {_key(answer)} - {""}
        others = [s for key, ends in self.closing.items() if key not in known for s in ends]
        for candidates in (stating, others):
            usable = [s for s in candidates if s not in excluded and not _states(s, answer, kind)]
            if usable:
                return usable
        raise _too_few(len(others))


def _without_thought(question: Question, rules: TextRules) -> Question:
    parts = split_thought(question.response, rules)
    return replace(question, response=parts.answer) if parts else question


def _thought(question: Question, rules: TextRules) -> Question:
    """A question whose response is its thought alone, and empty without one."""
    parts = split_thought(question.response, rules)
    return replace(question, response=parts.thought if parts else "")


def level_of_texts(config: Config) -> CotLevel:
    """The user's own responses may be of any form: they are mixed like those with reasoning."""
    return CotLevel.detailed if config.cot.kind is CotKind.custom else config.cot.level


def are_bare_answers(level: CotLevel, kind: AnswerKind) -> bool:
    """Whether irrelevant responses at a level are answers of other questions, and nothing else."""
    return level is CotLevel.none and kind is not AnswerKind.text


def whole_responses(pool: Iterable[Question]) -> set[str]:
    """The words of every response: what no irrelevant response should be."""
    return {words_of(question.response) for question in pool}


def rules_may_differ(response: str) -> bool:
    """Whether the rules of splitting and mixing can make other texts of a pool with it. Quick."""
    sentences = split_sentences(response)
    may_be_drawn_whole = len(sentences) < 3
    return (
        may_be_drawn_whole
        or split_thought(response) is not None
        or sentences != split_sentences(response, TextRules.paper)
    )


def words_of(text: str) -> str:
    """`text` without its kinds of white space."""
    return " ".join(text.split())


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
