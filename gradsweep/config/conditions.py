"""The axes of what is asked: dataset, chain of thought, correctness (paper section 3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Optional

from omegaconf import MISSING

from gradsweep.errors import ConfigError


class DatasetKind(Enum):
    """Which loader reads a dataset."""

    arithmetic = "arithmetic"
    jsonl = "jsonl"
    paper = "paper"


class AnswerKind(Enum):
    """What a wrong answer looks like: decides the irrelevant-response rule (paper section 3)."""

    number = "number"
    choice = "choice"
    binary = "binary"
    text = "text"


class CotLevel(Enum):
    none = "none"
    simplified = "simplified"
    detailed = "detailed"


class CorrectnessKind(Enum):
    correct = "correct"
    irrelevant = "irrelevant"


class IrrelevantSource(Enum):
    """`auto` takes the paper's shuffled file when it is there and generates otherwise."""

    auto = "auto"
    paper = "paper"
    generated = "generated"


@dataclass
class DatasetConfig:
    name: str = MISSING
    kind: DatasetKind = DatasetKind.jsonl
    levels: list[CotLevel] = field(default_factory=list)
    """CoT levels the dataset has; empty means that the file itself says (jsonl)."""
    answer: AnswerKind = AnswerKind.number
    n_samples: int = 500
    """Samples a point takes when `n_samples` is not given (paper: 500; 454 for wiki_unpopular)."""
    files: dict[str, str] = field(default_factory=dict)
    """Level -> file below `root`, in the layout of the paper's release (kind=paper)."""
    root: Optional[str] = None
    """Local copy of the `data` folder of the paper's release (kind=paper)."""
    path: Optional[str] = None
    """The user's own .jsonl, or a .json list in the paper's form (kind=jsonl)."""
    size: int = 500
    """Questions that the arithmetic generator makes: the pool of irrelevant sentences."""
    version: int = 1
    """Version of the arithmetic templates; part of the point id."""
    shuffle: bool = True
    """Take a seeded subset; false takes the first samples in file order."""

    def __post_init__(self) -> None:
        if self.n_samples < 1:
            raise ConfigError(f"dataset.n_samples must be at least 1, got {self.n_samples}")
        if self.kind is DatasetKind.jsonl and not self.path:
            raise ConfigError(
                "dataset.path is needed with dataset=jsonl: a .jsonl file with "
                "{prompt, responses} or a .json list of {instruction, input, output}"
            )


@dataclass
class CotConfig:
    level: CotLevel = CotLevel.none


@dataclass
class CorrectnessConfig:
    kind: CorrectnessKind = CorrectnessKind.correct
    source: IrrelevantSource = IrrelevantSource.auto
