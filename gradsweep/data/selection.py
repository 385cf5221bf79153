"""What a point takes of a file: of each question the right, the rejected or all responses.

Records with a label (TRL's unpaired preference) are put together by question: the k-th response
to a prompt that is desirable and the k-th that is not belong to one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gradsweep.config import CorrectnessKind, CotLevel
from gradsweep.data.answers import stated_answer
from gradsweep.data.questions import Question, question_ids
from gradsweep.data.record import Record
from gradsweep.data.responses import RecordedResponse
from gradsweep.errors import DataError

_SINGLE = (CorrectnessKind.correct, CorrectnessKind.irrelevant)


@dataclass(frozen=True)
class Candidate:
    """A question of the file, and what it has for a point."""

    question_id: str
    place: str
    prompt: str
    correct: RecordedResponse | None
    rejected: RecordedResponse | None = None
    group: tuple[RecordedResponse, ...] = ()

    @property
    def all_sides(self) -> tuple[RecordedResponse, ...]:
        """Every response that the file has to the question."""
        return tuple(one for one in (self.correct, self.rejected, *self.group) if one is not None)

    def sides(self, *, needs_correct: bool, rejects: bool) -> tuple[RecordedResponse, ...]:
        """Return the responses that a point takes; arguments as `question`."""
        taken = (self.correct if needs_correct else None, self.rejected if rejects else None)
        return tuple(one for one in taken if one is not None)

    def question(self, level: CotLevel, *, needs_correct: bool, rejects: bool) -> Question | None:
        """The question at a level; None where it lacks what is needed.

        Args:
            level: of all its responses.
            needs_correct: whether the point has the correct response, or makes its own of it.
            rejects: whether the point has the rejected one.
        """
        correct = self.correct.at(level, 1.0) if self.correct else None
        rejected = self.rejected.at(level, 0.0) if rejects and self.rejected else None
        if (needs_correct and correct is None) or (rejects and rejected is None):
            return None
        if correct is None:
            return Question(self.question_id, self.prompt, "", None, rejected=rejected)
        is_bare = level is CotLevel.none
        bare = correct.text if is_bare else self.correct and self.correct.texts.get("none")
        return Question(
            *(self.question_id, self.prompt, correct.text, bare or stated_answer(correct.text)),
            reference_log_prob=correct.reference_log_prob,
            rejected=rejected,
            steps=correct.steps,
        )

    def grouped(self, level: CotLevel) -> Question | None:
        """The question with all its responses that were scored; None without one at the level."""
        scored = [one.at(level, one.reward) for one in self.group if one.reward is not None]
        responses = tuple(response for response in scored if response is not None)
        if not responses or len(responses) < len(scored):
            return None
        first = responses[0].text
        return Question(self.question_id, self.prompt, first, None, group=responses)


def is_labelled(records: Iterable[Record]) -> bool:
    """Whether a label tells which responses are not desirable."""
    return any(record.label is False for record in records)


def records_groups(records: Iterable[Record]) -> bool:
    """Whether a file holds rewards, or labels that stand for them, of several responses."""
    return any(
        record.group is not None or record.reward is not None or record.label is False
        for record in records
    )


def has_rejected(candidates: Iterable[Candidate]) -> bool:
    """Whether a file has irrelevant responses of its own."""
    return any(one.rejected is not None and one.rejected.texts for one in candidates)


def candidates(records: Sequence[Record], kind: CorrectnessKind, path: Path) -> list[Candidate]:
    """Each question of a file that is read for a right and, where it has one, a wrong response.

    Raises:
        DataError: two questions have one id.
    """
    if not is_labelled(records):
        return [_of_record(*one, kind) for one in _with_ids(records, path)]
    labelled = [[r for r in records if r.label is label] for label in (True, False)]
    ids = {r.place: known for half in labelled for r, known in _with_ids(half, path)}
    found: dict[str, Candidate] = {}
    for record in records:
        if record.label is not None:
            known, plain = ids[record.place], _plain(record)
            one = found.get(known) or Candidate(known, record.place, record.prompt, None)
            is_right = record.label
            found[known] = replace(one, correct=plain) if is_right else replace(one, rejected=plain)
    return list(found.values())


def grouped_candidates(records: Sequence[Record], path: Path) -> list[Candidate]:
    """Each question with its responses and their rewards, in the order of the file.

    Raises:
        DataError: two questions have one id.
    """
    groups: dict[tuple[str | None, str], list[Record]] = {}
    whole: list[Record] = []
    for record in records:
        if record.group is not None:
            whole.append(record)
        elif record.responses:
            key = (record.question_id, record.prompt)
            members = groups.setdefault(key, [])
            if not members:
                whole.append(record)
            members.append(record)
    return [
        Candidate(question_id, record.place, record.prompt, None, group=_group(record, groups))
        for record, question_id in _with_ids(whole, path)
    ]


def _group(
    record: Record, groups: dict[tuple[str | None, str], list[Record]]
) -> tuple[RecordedResponse, ...]:
    if record.group is not None:
        return record.group
    return tuple(
        replace(_plain(member), reward=_reward(member))
        for member in groups[record.question_id, record.prompt]
    )


def _reward(record: Record) -> float | None:
    if record.reward is None and record.label is not None:
        return float(record.label)
    return record.reward


def _of_record(record: Record, question_id: str, kind: CorrectnessKind) -> Candidate:
    """Points of single responses read a plain form, where a record has one beside its pair."""
    paired = record.chosen is not None and (kind not in _SINGLE or not record.responses)
    correct = record.chosen if paired else _plain(record)
    rejected = record.rejected if paired else None
    return Candidate(question_id, record.place, record.prompt, correct, rejected)


def _plain(record: Record) -> RecordedResponse:
    return RecordedResponse(record.responses, record.log_probs, steps=record.steps)


def _with_ids(records: Sequence[Record], path: Path) -> Iterator[tuple[Record, str]]:
    """Each record with its question's id, the file's own or the one that its prompt gives.

    Raises:
        DataError: a `question_id` comes twice, or is the one made from another prompt.
    """
    derived = question_ids(record.prompt for record in records)
    places: dict[str, str] = {}
    for record, known in zip(records, derived, strict=True):
        question_id = record.question_id or known
        if question_id in places:
            raise DataError(
                f"{path}: the questions in {places[question_id]} and {record.place} have the same "
                f"question_id {question_id!r}; give each record a question_id of its own, or none"
            )
        places[question_id] = record.place
        yield record, question_id
