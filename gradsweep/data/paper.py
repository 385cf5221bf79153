"""The paper's released files (arXiv 2410.23743) as a source: `dataset.root=<its data folder>`.

Layout: `<folder>/<file>.json` holds a list of {instruction, input, output} for one dataset and
CoT level; `<folder>_wrong_answer_shuffle/<file>.json` the paper's own irrelevant responses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gradsweep.config import AnswerKind, Config, CorrectnessKind, CotLevel, IrrelevantSource
from gradsweep.data.answers import stated_answer
from gradsweep.data.json_records import Record, read_records
from gradsweep.data.questions import Dataset, Question, question_ids
from gradsweep.errors import ConfigError, DataError

FIELD = "dataset.root"
_SHUFFLED = "_wrong_answer_shuffle"


@dataclass(frozen=True)
class PaperFiles:
    """The files that a point reads."""

    responses: Path
    answers: Path | None
    """The level without CoT: tells the bare answers when irrelevant responses are generated."""
    shuffled: Path | None
    """The paper's own irrelevant responses, when they are used."""


def read_paper(config: Config) -> Dataset:
    """The questions of the paper's file for `dataset` and `cot`, in file order.

    Raises:
        DataError: no root is given, or a file below it is missing or malformed.
        ConfigError: the dataset names no file for the CoT level.
    """
    files = paper_files(config)
    records = read_records(files.responses, FIELD)
    answers = _by_id(files.answers, CotLevel.none) if files.answers else {}
    questions = tuple(_questions(records, config.cot.level, answers))
    if files.shuffled is None:
        return Dataset(questions, questions, tuple(_source_messages(config)))
    return _with_shuffled(questions, _by_id(files.shuffled, config.cot.level), files.shuffled)


def paper_files(config: Config) -> PaperFiles:
    """Which files a point reads; each of them exists. Raises as `read_paper`."""
    root = _root(config)
    relative = config.dataset.files.get(config.cot.level.name)
    if relative is None:
        raise ConfigError(
            f"dataset.files of {config.dataset.name} names no file for "
            f"cot={config.cot.level.name}; it has {', '.join(config.dataset.files) or 'none'}"
        )
    responses = _existing(root, relative)
    if config.correctness.kind is CorrectnessKind.correct:
        return PaperFiles(responses, None, None)
    shuffled = _shuffled(config, root, relative)
    answers = None if shuffled else _answers(config, root)
    return PaperFiles(responses, answers, shuffled)


def _root(config: Config) -> Path:
    hint = (
        "it is the data folder of the paper's release (arXiv 2410.23743, "
        "github.com/MingLiiii/Layer_Gradient) that holds cot_500, lighteval_math, wiki_popularity"
    )
    if config.dataset.root is None:
        raise DataError(
            f"dataset={config.dataset.name} needs the paper's files: pass dataset.root=<folder>; "
            f"{hint}"
        )
    root = Path(config.dataset.root).expanduser()
    if not root.is_dir():
        raise DataError(f"{FIELD}: {root} is not a folder; {hint}")
    return root


def _existing(root: Path, relative: str) -> Path:
    path = root / relative
    if path.is_file():
        return path
    folder = path.parent if path.parent.is_dir() else root
    there = ", ".join(sorted(entry.name for entry in folder.iterdir())) or "nothing"
    raise DataError(f"{FIELD}: {path} does not exist; in {folder} there is: {there}")


def _shuffled(config: Config, root: Path, relative: str) -> Path | None:
    """The paper's irrelevant responses, if `correctness.source` lets them be used."""
    if config.correctness.source is IrrelevantSource.generated:
        return None
    folder, _, name = relative.rpartition("/")
    sibling = f"{folder}{_SHUFFLED}/{name}"
    if config.correctness.source is IrrelevantSource.paper:
        return _existing(root, sibling)
    return root / sibling if (root / sibling).is_file() else None


def _answers(config: Config, root: Path) -> Path | None:
    bare = config.dataset.files.get(CotLevel.none.name)
    asked = config.cot.level is not CotLevel.none and config.dataset.answer is not AnswerKind.text
    return root / bare if asked and bare and (root / bare).is_file() else None


def _by_id(path: Path, level: CotLevel) -> dict[str, str]:
    records = read_records(path, FIELD)
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
    questions: tuple[Question, ...], shuffled: dict[str, str], path: Path
) -> Dataset:
    """`questions` that the paper's irrelevant responses cover."""
    covered = tuple(question for question in questions if question.question_id in shuffled)
    if not covered:
        raise DataError(f"{FIELD}: {path} holds none of the questions of the correct responses")
    missing = len(questions) - len(covered)
    messages = (f"{missing} questions are not in {path}: left out",) if missing else ()
    return Dataset(covered, questions, messages, shuffled)


def _source_messages(config: Config) -> Iterator[str]:
    automatic = config.correctness.source is IrrelevantSource.auto
    if automatic and config.correctness.kind is CorrectnessKind.irrelevant:
        yield (
            f"no *{_SHUFFLED} file of {config.dataset.name} below {FIELD}: "
            "irrelevant responses are generated"
        )
