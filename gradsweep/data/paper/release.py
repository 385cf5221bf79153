"""The released files of the paper (arXiv 2410.23743) and its follow-up (2504.10766), from a copy of
their data folder or by address.

Layout: `<folder>/<file>.json` holds a list of {instruction, input, output} for one dataset and
CoT level; `<folder>_wrong_answer_shuffle/<file>.json` the paper's own irrelevant responses. The
follow-up has none of these, and files for either end of a rating.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gradsweep.config import AnswerKind, Config, CorrectnessKind, CotLevel, IrrelevantSource
from gradsweep.data.answers import stated_answer
from gradsweep.data.file_records import read_records
from gradsweep.data.paper.sources import PaperFolder, paper_folder
from gradsweep.data.questions import Dataset, Question, question_ids
from gradsweep.data.record import Record
from gradsweep.errors import ConfigError, DataError

_SHUFFLED = "_wrong_answer_shuffle"


@dataclass(frozen=True)
class PaperFiles:
    """The files that a point reads, named relative to `folder`."""

    folder: PaperFolder
    responses: str
    answers: str | None = None
    """The level without CoT: tells the bare answers when irrelevant responses are generated."""
    shuffled: str | None = None
    """The paper's own irrelevant responses, when they are used."""

    def content_hashes(self) -> list[str]:
        """SHA-256 of each file in the order of the fields; "" for one that is not read."""
        names = (self.responses, self.answers, self.shuffled)
        return [self.folder.content_hash(name) if name else "" for name in names]


def read_paper(config: Config) -> Dataset:
    """The questions of the paper's file for `dataset` and `cot.level`, in file order.

    Raises:
        DataError: a file cannot be had (says from where it could), or is malformed.
        ConfigError: the dataset names no file for the CoT level.
    """
    files = paper_files(config)
    folder, level = files.folder, config.cot.level
    records = read_records(folder.path(files.responses), folder.field)
    answers = _by_id(folder, files.answers, CotLevel.none) if files.answers else {}
    questions = tuple(_questions(records, level, answers))
    if files.shuffled is None:
        return Dataset(questions, questions, tuple(_source_messages(config)))
    shuffled = _by_id(folder, files.shuffled, level)
    return _with_shuffled(questions, shuffled, folder.path(files.shuffled), folder.field)


def paper_files(config: Config) -> PaperFiles:
    """Find the files that a point reads. Raises as `read_paper`."""
    folder = paper_folder(config.dataset)
    relative = config.dataset.file_of(config.cot.level, config.quality)
    if relative is None:
        raise ConfigError(
            f"dataset.files of {config.dataset.name} names no file for "
            f"cot={config.cot.level.name}; it has {', '.join(config.dataset.files) or 'none'}"
        )
    if config.correctness.kind is CorrectnessKind.correct:
        return PaperFiles(folder, relative)
    shuffled = _shuffled(config, folder, relative)
    return PaperFiles(folder, relative, None if shuffled else _answers(config, folder), shuffled)


def _shuffled(config: Config, folder: PaperFolder, relative: str) -> str | None:
    """The paper's irrelevant responses, if `correctness.source` lets them be used."""
    if config.correctness.source is IrrelevantSource.generated:
        return None
    parent, _, name = relative.rpartition("/")
    sibling = f"{parent}{_SHUFFLED}/{name}"
    insisted = config.correctness.source is IrrelevantSource.paper
    return sibling if insisted or folder.has(sibling) else None


def _answers(config: Config, folder: PaperFolder) -> str | None:
    bare = config.dataset.file_of(CotLevel.none, config.quality)
    asked = config.cot.level is not CotLevel.none and config.dataset.answer is not AnswerKind.text
    return bare if asked and bare and folder.has(bare) else None


def _by_id(folder: PaperFolder, relative: str, level: CotLevel) -> dict[str, str]:
    records = read_records(folder.path(relative), folder.field)
    return {question.question_id: question.response for question in _questions(records, level, {})}


def _questions(
    records: Sequence[Record], level: CotLevel, answers: dict[str, str]
) -> Iterator[Question]:
    ids = question_ids(record.prompt for record in records)
    for record, question_id in zip(records, ids, strict=True):
        response = record.response(level) or ""
        bare = response if level is CotLevel.none else answers.get(question_id)
        yield Question(question_id, record.prompt, response, bare or stated_answer(response))


def _with_shuffled(
    questions: tuple[Question, ...], shuffled: dict[str, str], path: Path, field: str
) -> Dataset:
    """`questions` that the paper's irrelevant responses cover."""
    covered = tuple(question for question in questions if question.question_id in shuffled)
    if not covered:
        raise DataError(f"{field}: {path} holds none of the questions of the correct responses")
    missing = len(questions) - len(covered)
    messages = (f"{missing} questions are not in {path}: left out",) if missing else ()
    return Dataset(covered, questions, messages, shuffled)


def _source_messages(config: Config) -> Iterator[str]:
    automatic = config.correctness.source is IrrelevantSource.auto
    if automatic and config.correctness.kind is not CorrectnessKind.correct:
        yield (
            f"no *{_SHUFFLED} file of {config.dataset.name} there: "
            "irrelevant responses are generated"
        )
