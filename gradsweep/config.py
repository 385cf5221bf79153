"""Types, units and cross-field checks of the configuration; values live in `conf/`.

Hydra composes YAML against these dataclasses (`register_configs`), and
`to_config` turns the result into plain objects whose `__post_init__` checks what
types alone cannot. Nothing here imports torch: a bad field fails before a model loads.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Optional

from omegaconf import MISSING

from gradsweep.errors import ConfigError, ExcludedPointError
from gradsweep.records import PROJECTIONS, Axes


class SourceKind(Enum):
    """Where a model's weights come from."""

    hub = "hub"
    folder = "folder"
    gguf = "gguf"
    package = "package"


class Prompt(Enum):
    """How prompt and response become one text (DESIGN, Conditions)."""

    plain = "plain"
    chat = "chat"


class Dtype(Enum):
    float32 = "float32"
    bfloat16 = "bfloat16"


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


class Solver(Enum):
    """`auto` routes every matrix by min(T, m, n); the others force one route."""

    auto = "auto"
    token_gram = "token_gram"
    weight_gram = "weight_gram"
    svd = "svd"


class TrackerKind(Enum):
    none = "none"
    wandb = "wandb"


class WandbMode(Enum):
    """`auto` is online with a key and a route, offline otherwise."""

    auto = "auto"
    online = "online"
    offline = "offline"


@dataclass
class ModelSource:
    """One place to load a model and its tokenizer from. `kind` says which fields count."""

    kind: SourceKind = SourceKind.hub
    hub_id: Optional[str] = None
    """Hugging Face repository, `owner/name` (kind=hub)."""
    revision: Optional[str] = None
    """Branch, tag or commit of `hub_id`; None is the repository's default branch."""
    path: Optional[str] = None
    """A folder written by `save_pretrained` (kind=folder) or one GGUF file (kind=gguf)."""
    package: Optional[str] = None
    """Name of an installed Python distribution that ships a GGUF file (kind=package)."""
    version: Optional[str] = None
    """Version of `package` the results are meant for; another one installed is an error."""
    files: list[str] = field(default_factory=list)
    """Files of `package`, as `distribution/path` globs; several are joined in this order."""
    sha256: Optional[str] = None
    """Checksum of the joined file; None skips the check."""
    install: Optional[str] = None
    """The command that installs `package`: shown when it is missing."""
    terms: Optional[str] = None
    """Licence terms that a user must see before the weights are used."""

    def __post_init__(self) -> None:
        needed = {
            SourceKind.hub: "hub_id",
            SourceKind.folder: "path",
            SourceKind.gguf: "path",
            SourceKind.package: "package",
        }[self.kind]
        if not getattr(self, needed):
            raise ConfigError(
                f"model.source.{needed} is needed when model.source.kind={self.kind.name}"
            )

    def identity(self) -> dict[str, Any]:
        """The fields that decide which weights these are: part of the point id."""
        fields_of = {
            SourceKind.hub: ("hub_id", "revision"),
            SourceKind.folder: ("path",),
            SourceKind.gguf: ("path",),
            SourceKind.package: ("package", "version", "files"),
        }[self.kind]
        return {"kind": self.kind.name} | {name: getattr(self, name) for name in fields_of}

    def label(self) -> str:
        """A name for tables and file names that two different sources do not share."""
        if self.kind is SourceKind.hub:
            revision = f"@{self.revision}" if self.revision else ""
            return f"{self.hub_id}{revision}".replace("/", "--")
        if self.kind is SourceKind.package:
            return str(self.package)
        path = Path(str(self.path)).expanduser().absolute()
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:6]
        return f"{path.name.removesuffix('.gguf')}-{digest}"


@dataclass
class ModelConfig:
    name: str = MISSING
    """Short name in tables and paths: the option's name. Empty takes one from the source."""
    source: ModelSource = MISSING
    prompt: Prompt = Prompt.plain
    """`plain` for base models, `chat` for instruct models, unless a run says otherwise."""
    dtype: Dtype = Dtype.float32
    """Of weights and activations. The small spectral problems are float64 whatever this is."""
    max_length: int = 1024
    """Tokens of prompt and response together; longer samples lose response tokens at the end."""

    def __post_init__(self) -> None:
        if not self.name:
            self.name = self.source.label()
        if self.max_length < 2:
            raise ConfigError(f"model.max_length must be at least 2 tokens, got {self.max_length}")


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
    """Local copy of the paper's data folder, `data/layer_gradient` (kind=paper)."""
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
                "dataset.path is needed with dataset=jsonl: "
                "a .jsonl file with {prompt, responses} or a .json list of {instruction, input, output}"
            )


@dataclass
class CotConfig:
    level: CotLevel = CotLevel.none


@dataclass
class CorrectnessConfig:
    kind: CorrectnessKind = CorrectnessKind.correct
    source: IrrelevantSource = IrrelevantSource.auto


@dataclass
class GradientsConfig:
    projections: list[str] = field(default_factory=lambda: list(PROJECTIONS))
    """Which weight matrices to measure in every layer."""
    solver: Solver = Solver.auto
    rank_tolerance: Optional[float] = None
    """Relative to σ₁; None is eps(model dtype)·max(m, n), as in `numpy.linalg.matrix_rank`."""
    save_spectra: bool = False
    """Keep every singular value in the rows, not only the metrics."""
    batch_tokens: int = 512
    """Padded tokens per batch; a longer sample is a batch of its own. Does not change results."""
    device: str = "auto"
    """`auto` is cuda when there is one, else cpu."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.projections if name not in PROJECTIONS]
        if unknown or not self.projections:
            raise ConfigError(
                f"gradients.projections: {unknown or 'empty'}; allowed are {', '.join(PROJECTIONS)}"
            )
        if len(set(self.projections)) != len(self.projections):
            raise ConfigError(f"gradients.projections names one twice: {self.projections}")
        if self.batch_tokens < 1:
            raise ConfigError(f"gradients.batch_tokens must be positive, got {self.batch_tokens}")
        if self.rank_tolerance is not None and not 0 < self.rank_tolerance < 1:
            raise ConfigError(
                f"gradients.rank_tolerance must be in (0, 1), got {self.rank_tolerance}"
            )


@dataclass
class StoreConfig:
    root: str = "results"
    """Folder of all results; points and sweeps lie below it."""


@dataclass
class TrackingConfig:
    kind: TrackerKind = TrackerKind.none
    project: str = "gradsweep"
    entity: Optional[str] = None
    mode: WandbMode = WandbMode.auto


@dataclass
class Config:
    """One point: the choice on every axis, and how to run it."""

    model: ModelConfig = MISSING
    dataset: DatasetConfig = MISSING
    cot: CotConfig = field(default_factory=CotConfig)
    correctness: CorrectnessConfig = field(default_factory=CorrectnessConfig)
    gradients: GradientsConfig = field(default_factory=GradientsConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    n_samples: Optional[int] = None
    """Samples of this point; None is the dataset's own number."""
    seed: int = 0
    """Of the subset, the generated questions and the irrelevant responses."""
    sweep: Optional[str] = None
    """Name of the sweep this point belongs to; set by a multirun when not given."""

    def __post_init__(self) -> None:
        if self.n_samples is not None and self.n_samples < 1:
            raise ConfigError(f"n_samples must be at least 1, got {self.n_samples}")
        levels = [level.name for level in self.dataset.levels]
        if levels and self.cot.level.name not in levels:
            raise ExcludedPointError(
                f"dataset={self.dataset.name} has no cot={self.cot.level.name}: "
                f"its levels are {', '.join(levels)}"
            )

    @property
    def axes(self) -> Axes:
        return Axes(
            self.model.name, self.dataset.name, self.cot.level.name, self.correctness.kind.name
        )

    @property
    def requested_samples(self) -> int:
        """How many samples this point asks for; the data may have fewer."""
        return self.n_samples if self.n_samples is not None else self.dataset.n_samples

    @property
    def results(self) -> Path:
        return Path(self.store.root)
