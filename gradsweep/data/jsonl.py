"""The user's own file (`dataset=jsonl dataset.path=…`): formats in docs/data.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from gradsweep.config import Config, CorrectnessKind, CotLevel, IrrelevantSource
from gradsweep.data.file_records import read_records
from gradsweep.data.files import content_hash, version_of
from gradsweep.data.questions import Dataset, digest
from gradsweep.data.record import Record
from gradsweep.data.responses import ANY_LEVEL, LEVELS, RecordedResponse
from gradsweep.data.selection import (
    Candidate,
    candidates,
    grouped_candidates,
    has_rejected,
    is_labelled,
    records_groups,
)
from gradsweep.data.table_numbers import WHOLE, whole_numbers_note
from gradsweep.errors import ExcludedPointError
from gradsweep.records import STUDY_OBJECTIVE

FIELD = "dataset.path"
_SCORES = {"label": "neither true nor false", "reward": "no finite number"}
"""What a response is worth -> what it is where it cannot be that."""


def read_jsonl(config: Config) -> Dataset:
    """The questions of `dataset.path` with what the point takes of each at `cot.level`.

    In the order of the file; `correctness` says what is taken.

    Raises:
        DataError: the file is missing, empty or malformed; says where.
        ExcludedPointError: no record has a response at the level, or none of the kind that the
            point takes; lists what there is.
    """
    path = _path(config)
    names = tuple(config.dataset.fields.given.items())
    choices = (config.correctness.kind, config.correctness.source, config.cot.level)
    # Read before its version is asked for, so that the name of the file is checked first.
    records = read_records(path, FIELD, config.dataset.fields.given)
    dataset = _read(path, names, version_of(path, FIELD), *choices)
    # The study's objective takes responses by their labels, and reads no rewards.
    scores = [n for n in _SCORES if n == "label" or config.objective_name != STUDY_OBJECTIVE]
    unread = [told for name in scores for told in _unread(records, name, path)]
    whole = sum(WHOLE in record.text_rules for record in records)
    numbers = whole_numbers_note(whole, len(records), "records", path.name)
    return replace(dataset, messages=(*dataset.messages, *unread, *numbers))


def jsonl_fingerprint(config: Config) -> str:
    """A hash of what the file holds and of how its fields are read. Raises as above."""
    read_jsonl(config)
    names = sorted(config.dataset.fields.given.items())
    records = read_records(_path(config), FIELD, config.dataset.fields.given)
    rules = {record.later_rule for record in records} - {""}
    rules.update(*(record.text_rules for record in records))
    if is_labelled(records):
        rules.add("labels")
    if records_groups(records) and any(record.label_is_number for record in records):
        rules.add("labels 1 and 0")
    content = content_hash(_path(config), FIELD)
    read_as = (f"{name}={in_file}" for name, in_file in names)
    return digest("jsonl", content, *read_as, *sorted(rules))


def _path(config: Config) -> Path:
    assert config.dataset.path, "checked when the config was made"
    return Path(config.dataset.path)


@lru_cache(maxsize=8)
def _read(
    path: Path,
    names: tuple[tuple[str, str], ...],
    version: tuple[tuple[int, int], ...],
    kind: CorrectnessKind,
    source: IrrelevantSource,
    level: CotLevel,
) -> Dataset:
    """`read_jsonl`, once for the points of a grid that differ in nothing of this."""
    records = read_records(path, FIELD, dict(names))
    own = source is not IrrelevantSource.generated
    if kind is CorrectnessKind.group and own and records_groups(records):
        return _groups(records, level, path)
    found = candidates(records, kind, path)
    rejects = own and kind is not CorrectnessKind.correct and has_rejected(found)
    needs_correct = kind is not CorrectnessKind.irrelevant or not rejects
    questions = tuple(
        question
        for one in found
        if (question := one.question(level, needs_correct=needs_correct, rejects=rejects))
    )
    needed = _needed(needs_correct, rejects, records)
    if not questions:
        raise _nothing(records, found, needed, kind, level, path)
    sides = [one.sides(needs_correct=needs_correct, rejects=rejects) for one in found]
    messages = (
        *_labels(records, path),
        *_left_out(len(found) - len(questions), len(found), f"no {needed}", level, path),
        *_unnamed([side for side in sides if side], level, path),
    )
    return Dataset(questions, questions, messages)


def _groups(records: Sequence[Record], level: CotLevel, path: Path) -> Dataset:
    """The questions with all their responses and rewards."""
    found = grouped_candidates(records, path)
    questions = tuple(question for one in found if (question := one.grouped(level)))
    needed = "response with a reward"
    if not questions:
        raise _not_at_level(found, needed, CorrectnessKind.group, level, path)
    rewards = [response.reward for one in found for response in one.group]
    messages = (
        *_left_out(len(found) - len(questions), len(found), f"no {needed}", level, path),
        *_unscored(rewards, path),
        *_unnamed([one.group for one in found if one.group], level, path),
    )
    return Dataset(questions, questions, messages)


def _needed(needs_correct: bool, rejects: bool, records: Sequence[Record]) -> str:
    """What a question must have, in words."""
    labelled = is_labelled(records)
    if labelled and not (needs_correct and rejects):
        numbered = any(record.label_is_number for record in records)
        true, false = ("true or 1", "false or 0") if numbered else ("true", "false")
        return f"response with label {true if needs_correct else false}"
    if labelled:
        return "response of each label"
    if rejects:
        return "chosen and rejected response" if needs_correct else "rejected response"
    return "response"


def _nothing(
    records: Sequence[Record],
    found: Sequence[Candidate],
    needed: str,
    kind: CorrectnessKind,
    level: CotLevel,
    path: Path,
) -> ExcludedPointError:
    """Why no question of a file is one of a point that takes one or two responses."""
    if all(record.group is None for record in records):
        return _not_at_level(found, needed, kind, level, path)
    held = f"{FIELD}: {path} has lists of responses with rewards"
    if kind is CorrectnessKind.group:
        return ExcludedPointError(
            f"{held} and no other, of which irrelevant ones could be made; allowed is "
            "correctness.source=auto, which takes these"
        )
    takes = "a chosen and a rejected one" if kind is CorrectnessKind.pair else "one"
    return ExcludedPointError(
        f"{held}, and correctness={kind.name} takes {takes}; allowed are objectives of groups, as "
        "objective=grpo, and records with one response, or with the fields chosen and rejected"
    )


def _not_at_level(
    found: Sequence[Candidate], needed: str, kind: CorrectnessKind, level: CotLevel, path: Path
) -> ExcludedPointError:
    texts = [side.texts for one in found for side in one.all_sides]
    levels = [name for name in LEVELS if any(name in names for names in texts)]
    if any(ANY_LEVEL in names for names in texts) or level.name in levels:
        return ExcludedPointError(
            f"{FIELD}: no question in {path} has a {needed} at cot={level.name}, which "
            f"correctness={kind.name} takes"
        )
    return ExcludedPointError(
        f"{FIELD}: {path} has no response at cot={level.name}: "
        f"its levels are {', '.join(levels) or 'none at all'}"
    )


def _left_out(count: int, total: int, lack: str, level: CotLevel, path: Path) -> Iterator[str]:
    if count:
        yield (
            f"{count} of {total} questions in {path.name} have {lack} at cot={level.name}: left out"
        )


def _labels(records: Sequence[Record], path: Path) -> Iterator[str]:
    """Says how labels were read, and how many records of a labelled file have none."""
    if not is_labelled(records):
        return
    if numbered := sum(record.label_is_number for record in records):
        yield (
            f"field 'label' is 1 or 0 in {numbered} of {len(records)} records of {path.name}: read "
            "as true and false, so that correctness=correct takes 1 and irrelevant 0; rename the "
            "field where it says something else"
        )
    if missing := sum(record.label is None for record in records):
        yield (
            f"{missing} of {len(records)} records in {path.name} have no label that could be read, "
            "and others have one: left out"
        )


def _unscored(rewards: Sequence[float | None], path: Path) -> Iterator[str]:
    if missing := sum(reward is None for reward in rewards):
        yield f"{missing} of {len(rewards)} responses in {path.name} have no reward: left out"


def _unnamed(
    sides: Sequence[Sequence[RecordedResponse]], level: CotLevel, path: Path
) -> Iterator[str]:
    """Says so where responses count as whatever level is asked for; of each question, its own."""
    unnamed = sum(any(ANY_LEVEL in side.texts for side in one) for one in sides)
    if unnamed == len(sides):
        yield f"{path.name} names no CoT levels: its responses are used as cot={level.name}"
    elif unnamed:
        yield (
            f"{unnamed} of {len(sides)} questions in {path.name} name no CoT level: their "
            f"responses are used as cot={level.name}"
        )


def _unread(records: Sequence[Record], name: str, path: Path) -> Iterator[str]:
    """Says so where a field that would count holds what cannot."""
    if unread := sum(name in record.unread for record in records):
        yield (
            f"field {name!r} is {_SCORES[name]} in {unread} of {len(records)} records of "
            f"{path.name}: not read"
        )
