"""The axes dataset and correctness (paper section 3)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Optional

from omegaconf import MISSING

from gradsweep.config.cot import CotLevel
from gradsweep.config.files import config_dir
from gradsweep.config.options import Effect, option
from gradsweep.config.typed_paths import read_typed_paths
from gradsweep.errors import ConfigError, ExcludedPointError
from gradsweep.whole_numbers import check_whole


class DatasetKind(Enum):
    """Which loader reads a dataset."""

    arithmetic = "arithmetic"
    jsonl = "jsonl"
    paper = "paper"


class PaperSource(Enum):
    """Where the paper's files come from. `auto` is the folder `root` if given, else the URL."""

    auto = "auto"
    root = "root"
    url = "url"
    hub = "hub"


class Release(Enum):
    """Which of the authors' releases the files are of: the study's, or its follow-up's."""

    layer_gradient = "layer_gradient"
    gradient_unified = "gradient_unified"


class Quality(Enum):
    """Which end of a dataset's samples, as something else than a gradient has rated them."""

    high = "high"
    low = "low"

    @property
    def label(self) -> str:
        """The end as it is typed, and as labels of the dataset axis end."""
        return f"quality={self.name}"


_IN_FILES = {Quality.high: "highest", Quality.low: "lowest"}
"""How the follow-up's files name the ends."""
_QUALITY = "{quality}"


class AnswerKind(Enum):
    """What a wrong answer looks like: decides the irrelevant-response rule (paper section 3)."""

    number = "number"
    choice = "choice"
    binary = "binary"
    text = "text"


class CorrectnessKind(Enum):
    """Which responses to a question a unit has; the last two are the objective's choice."""

    correct = "correct"
    irrelevant = "irrelevant"
    pair = "pair"
    group = "group"


class IrrelevantSource(Enum):
    """`auto` takes the paper's shuffled file when it is there and generates otherwise."""

    auto = "auto"
    paper = "paper"
    generated = "generated"


@dataclass
class FieldNames:
    """What the fields of a user's own file are called there, where not as here (kind=jsonl)."""

    question_id: Optional[str] = None
    """The question's own name."""
    prompt: Optional[str] = None
    """What the user asks."""
    response: Optional[str] = None
    """The response, of the level in `level` if there is one."""
    level: Optional[str] = None
    """The CoT level of `response`, in files with a row per prompt and level."""
    none: Optional[str] = None
    """The response without chain of thought: the bare answer."""
    simplified: Optional[str] = None
    """The response with a short rationale."""
    detailed: Optional[str] = None
    """The response with a long explanation."""
    messages: Optional[str] = None
    """The conversation, whose last turn of the assistant is the response."""
    chosen: Optional[str] = None
    """The preferred response of a pair."""
    rejected: Optional[str] = None
    """The other response of a pair."""
    responses: Optional[str] = None
    """The list of a group's responses."""
    rewards: Optional[str] = None
    """The list of their rewards."""
    reward: Optional[str] = None
    """The reward of the one response, in files with a row per response."""
    label: Optional[str] = None
    """Whether the one response is desirable; beside `steps`, which step is the first wrong one."""
    steps: Optional[str] = None
    """The list of the one response's steps."""
    ref_chosen_logps: Optional[str] = None
    """Log-probability of the chosen response under the reference model, summed, in nats."""
    ref_rejected_logps: Optional[str] = None
    """The same of the rejected one."""
    ref_logps: Optional[str] = None
    """The same of the one response; of a group, the list."""

    @property
    def given(self) -> dict[str, str]:
        """Our name of a field -> its name in the file, for those that have another."""
        names = {declared.name: getattr(self, declared.name) for declared in fields(self)}
        return {name: in_file for name, in_file in names.items() if in_file}


def own_data_name(name: str, path: str | None) -> str:
    """Name a dataset of one's own after its file: `mine` for /data/mine.jsonl.gz.

    A name that was given stays, and so does one that an option has.

    Args:
        name: of the option.
        path: of the user's own file, if there is one.
    """
    if name != DatasetKind.jsonl.name or not path:
        return name
    file = Path(path).name
    stem = file.partition(".")[0]
    taken = not stem or (config_dir() / "dataset" / f"{stem}.yaml").exists()
    return (file if taken else stem) or name


@dataclass
class DatasetConfig:
    """A dataset, and how its questions are read and chosen (`conf/dataset`)."""

    name: str = MISSING
    kind: DatasetKind = DatasetKind.jsonl
    levels: list[CotLevel] = field(default_factory=list)
    """CoT levels the dataset has; empty means that the file itself says (jsonl)."""
    answer: AnswerKind = AnswerKind.number
    n_samples: int = 500
    """Samples a point takes when `n_samples` is not given (paper: 500; 454 for wiki_unpopular)."""
    tokens: dict[str, int] = field(default_factory=dict)
    """Level -> mean tokens of prompt and response together, without a chat template: for estimates
    of time. Those of the options were counted by SmolLM2's tokenizer, which splits numbers."""
    files: dict[str, str] = field(default_factory=dict)
    """Level -> file below `root`, in the layout of the paper's release (kind=paper). `{quality}`
    stands for the end that the point's `quality` names."""
    release: Release = Release.layer_gradient
    """Whose files these are, in whose layout (kind=paper)."""
    source: PaperSource = PaperSource.auto
    """Where the files are read from (kind=paper); `hub` takes the original dataset instead."""
    root: Optional[str] = option(None, Effect(is_path=True))
    """Local copy of the release's data folder: `data` of the study's, `_data/10k_version` of the
    follow-up's (source=root)."""
    url: Optional[str] = None
    """Address of such a folder (source=url); None is the release itself at a fixed commit."""
    hub: Optional[str] = option(None, Effect(is_path=True))
    """The original dataset: a Hugging Face id, or a folder with its files (source=hub)."""
    hub_revision: Optional[str] = None
    """Branch, tag or commit of `hub`; None is its default branch."""
    path: Optional[str] = option(None, Effect(is_path=True))
    """The user's own file: JSON lines, a JSON list, CSV, Parquet, Arrow or a folder that
    `datasets` saved (kind=jsonl; docs/data.md)."""
    fields: FieldNames = field(default_factory=FieldNames)
    """Names of its fields, where they are not those of docs/data.md; part of the point id."""
    size: int = 500
    """Questions that the arithmetic generator makes: the pool of irrelevant sentences."""
    version: int = 1
    """Version of the arithmetic templates; part of the point id."""
    shuffle: bool = True
    """Take a seeded subset; false takes the first samples in file order."""

    def __post_init__(self) -> None:
        read_typed_paths(self, "dataset")
        for name in ("n_samples", "size", "version"):
            check_whole(f"dataset.{name}", getattr(self, name))
        for level, tokens in self.tokens.items():
            if level not in CotLevel.__members__:
                raise ConfigError(
                    f"dataset.tokens.{level}={tokens}: allowed are a number of at least 1 for "
                    f"each of {', '.join(CotLevel.__members__)}"
                )
            check_whole(f"dataset.tokens.{level}", tokens)
        if self.kind is DatasetKind.jsonl and not self.path:
            raise ConfigError(
                "dataset.path is needed with dataset=jsonl: a .jsonl file with "
                "{prompt, responses}, a .json list of {instruction, input, output}, or one of the "
                "other files and forms of docs/data.md"
            )
        if self.source is PaperSource.hub and self.kind is DatasetKind.paper and not self.hub:
            raise ExcludedPointError(
                f"dataset.source=hub: dataset={self.name} has no original on the hub that is "
                "known here; allowed are root and url"
            )
        if self.source is PaperSource.root and not self.root:
            raise ConfigError(
                "dataset.root is needed with dataset.source=root: the data folder of the paper's "
                "release (github.com/MingLiiii/Layer_Gradient), which holds cot_500"
            )

    @property
    def has_qualities(self) -> bool:
        """Whether there are files for either end, and none for the whole."""
        return any(_QUALITY in file for file in self.files.values())

    def file_of(self, level: CotLevel, quality: Quality | None) -> str | None:
        """The file below `root` of a level, of the end that is asked for; None without one."""
        file = self.files.get(level.name)
        return (
            file if file is None or quality is None else file.replace(_QUALITY, _IN_FILES[quality])
        )

    def label(self, quality: Quality | None) -> str:
        """The value of the dataset axis: the option's name, or that of the user's own file, with
        the end of it that a point takes: `wizardlm_ifd quality=high`."""
        name = own_data_name(self.name, self.path)
        return name if quality is None else f"{name} {quality.label}"

    @property
    def from_hub(self) -> bool:
        """Whether the original dataset is read instead of the paper's files."""
        return self.kind is DatasetKind.paper and self.source is PaperSource.hub

    @property
    def available_levels(self) -> list[CotLevel]:
        """`levels`, without the detailed texts that only the paper has (written by GPT-4o)."""
        detailed = {CotLevel.detailed} if self.from_hub else set()
        return [level for level in self.levels if level not in detailed]


@dataclass
class CorrectnessConfig:
    kind: CorrectnessKind = CorrectnessKind.correct
    source: IrrelevantSource = IrrelevantSource.auto
