"""The model axis: where weights come from and how a prompt is written."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Optional

from omegaconf import MISSING

from gradsweep.config.options import Effect, option
from gradsweep.config.typed_paths import read_typed_paths
from gradsweep.errors import ConfigError
from gradsweep.records import ALL_PROJECTIONS
from gradsweep.whole_numbers import check_whole

LAYERS = "layers"
"""The key of `model.projections` that leads to the list of layers."""
NAMED_PATH = r"(?P<path>\w+(\.\w+)*)(\[(?P<start>\d+):(?P<stop>\d+)\])?"
"""A value of `model.projections`: a dotted path, and the output columns [start:stop) of it."""


class SourceKind(Enum):
    """Where a model's weights come from."""

    hub = "hub"
    folder = "folder"
    gguf = "gguf"
    package = "package"


class Prompt(Enum):
    """How prompt and response become one text: as they are, or in the model's chat template."""

    plain = "plain"
    chat = "chat"


class Dtype(Enum):
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class Quantization(Enum):
    """How weights are kept; activations are of `Dtype` either way."""

    none = "none"
    nf4 = "nf4"


class Weights(Enum):
    """Whether the source's weights are used, or only what it says of their shapes."""

    pretrained = "pretrained"
    random = "random"


class DeviceMap(Enum):
    """How one model is spread over devices."""

    auto = "auto"


class ModelPlacement(Enum):
    """How one model is shared out among processes."""

    fsdp = "fsdp"


@dataclass
class ModelSource:
    """One place to load a model and its tokenizer from. `kind` says which fields count."""

    kind: SourceKind = SourceKind.hub
    hub_id: Optional[str] = None
    """Hugging Face repository, `owner/name` (kind=hub)."""
    revision: Optional[str] = None
    """Branch, tag or commit of `hub_id`; None is the repository's default branch. A point records
    the commit that this stood for, and is measured with no other."""
    gated: bool = False
    """The hub gives `hub_id` only to accounts that accepted its terms: a token is needed."""
    path: Optional[str] = option(None, Effect(is_path=True))
    """A folder written by `save_pretrained` (kind=folder) or one GGUF file (kind=gguf). Its content
    counts, and not how it is typed."""
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
        read_typed_paths(self, "model.source")
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

    @property
    def is_gguf(self) -> bool:
        """Whether the weights are those of a GGUF file."""
        return self.kind in (SourceKind.gguf, SourceKind.package)

    def label(self) -> str:
        """A name for tables and file names that two different sources do not share.

        A folder or file has one name however its path is typed, through links too.
        """
        if self.kind is SourceKind.hub:
            revision = f"@{self.revision}" if self.revision else ""
            return f"{self.hub_id}{revision}".replace("/", "--")
        if self.kind is SourceKind.package:
            return str(self.package)
        path = _without_links(Path(str(self.path)))
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:6]
        return f"{path.name.removesuffix('.gguf')}-{digest}"


def _without_links(path: Path) -> Path:
    """The real path. Stores that name files by a hash (the hub's cache) keep the link's name."""
    real = Path(os.path.realpath(path))
    if path.suffix == ".gguf" and real.suffix != ".gguf":
        return Path(os.path.realpath(path.parent)) / path.name
    return real


TEMPLATE_DATE = "2024-07-26"
"""The date that Llama 3.1's template writes by itself. Those of later Llamas, Granite, gpt-oss and
others write the day of the run, which would make the gradients of a point depend on it."""


@dataclass
class ModelConfig:
    """A model: its weights, and how they are kept, spread and asked (`conf/model`)."""

    name: str = MISSING
    """Short name in tables and paths: the option's name. Empty takes one from the source."""
    source: ModelSource = MISSING
    prompt: Prompt = Prompt.plain
    """`plain` for base models, `chat` for instruct models, unless a run says otherwise."""
    dtype: Dtype = Dtype.float32
    """Of weights and activations: float32, bfloat16 or float16 (with loss scaling). The small
    spectral problems are float64 whatever this is."""
    quantization: Quantization = Quantization.none
    """`nf4` keeps the weights of linear modules in 4 bits; embeddings and head stay in `dtype`, and
    every product is made in it. The gradients are those of the dequantised weights."""
    weights: Weights = Weights.pretrained
    """`random` draws all weights as the family does before training, the same ones every time: a
    control for what pretraining adds. Tokenizer and shapes are the source's."""
    device_map: Optional[DeviceMap] = None
    """`auto` spreads the layers over all GPUs of the node, for models that one does not hold; None
    puts the whole model on `gradients.device`. Does not change results."""
    placement: Optional[ModelPlacement] = None
    """`fsdp` shares out the weights among the processes of torchrun or srun, each of which measures
    its own samples (docs/models.md); None keeps them in one process. Does not change results."""
    template_date: str = TEMPLATE_DATE
    """YYYY-MM-DD: what a chat template takes for today. It is part of what a point is."""
    max_length: int = 1024
    """Tokens of prompt and response together; longer samples lose response tokens at the end."""
    allow_unused_weights: bool = False
    """Measure although the checkpoint holds tensors that the model has no place for: a layer, bias
    or head that is left out. They are listed either way."""
    parameters: Optional[int] = None
    """All of the model's parameters, tied ones once: for estimates of memory. None is unknown."""
    projections: dict[str, Optional[str]] = field(
        default_factory=lambda: dict.fromkeys((LAYERS, *ALL_PROJECTIONS))
    )
    """The modules of a family that gradsweep does not know: `layers` is the dotted path from the
    model to its list of layers, `q`, `k`, … that from a layer to a linear module, with
    `[start:stop]` for some of its output columns. Compared with autograd before a point starts."""

    def __post_init__(self) -> None:
        if not self.name:
            self.name = self.source.label()
        try:
            date.fromisoformat(self.template_date)
        except ValueError:
            raise ConfigError(
                f"model.template_date must be a date as {TEMPLATE_DATE}, got {self.template_date!r}"
            ) from None
        check_whole("model.parameters", self.parameters)
        check_whole("model.max_length", self.max_length, least=2)
        if self.quantization is not Quantization.none and self.source.is_gguf:
            raise ConfigError(
                f"model.quantization={self.quantization.name}: the weights of model={self.name} "
                "come from a GGUF file, which is quantised already and dequantised to model.dtype; "
                "allowed are model.quantization=none, or a source of safetensors "
                "(model.source.kind=hub or folder)"
            )
        self._check_weights()
        self._check_projections()
        self._check_placement()

    @property
    def label(self) -> str:
        """The value of the model axis: `smollm2_135m_instruct`, or with ` weights=random`."""
        if self.weights is Weights.pretrained:
            return self.name
        return f"{self.name} weights={self.weights.name}"

    def _check_weights(self) -> None:
        if self.weights is Weights.pretrained:
            return
        if self.quantization is not Quantization.none:
            raise ConfigError(
                f"model.weights={self.weights.name}: there is nothing to quantise; allowed with it "
                "is model.quantization=none"
            )
        if self.device_map is not None:
            raise ConfigError(
                f"model.weights={self.weights.name} draws the whole model on one device; allowed "
                "with it is model.device_map=null"
            )

    def _check_placement(self) -> None:
        """Raises ConfigError where shards, or ranks in step, cannot do what another field asks."""
        if self.placement is None:
            return
        asked = f"model.placement={self.placement.name}"
        if self.device_map is not None:
            raise ConfigError(
                f"{asked} gives every process a shard of the weights, and model.device_map="
                f"{self.device_map.name} one process all GPUs of a node; type "
                "model.device_map=null beside it, or leave it out"
            )
        if self.quantization is not Quantization.none:
            raise ConfigError(
                f"{asked}: weights in 4 bits ({self.quantization.name}) lie packed, and cannot be "
                "cut into shards; allowed is model.quantization=none (model.dtype=bfloat16 takes "
                "half), or model.device_map=auto with 4 bits"
            )
        if self.dtype is Dtype.float16:
            raise ConfigError(
                f"{asked}: in float16 a process repeats passes where gradients overflow, and the "
                "others would wait for it for ever; allowed are model.dtype=float32 and bfloat16"
            )
        if self.named_projections:
            raise ConfigError(
                f"{asked}: the modules that model.projections names are compared with autograd's "
                "whole gradient, of which a process has a shard; allowed is a family of "
                "docs/models.md, or model.device_map=auto"
            )

    @property
    def named_projections(self) -> dict[str, str]:
        """`projections` without those that are not named; empty for a family that is known."""
        return {name: path for name, path in self.projections.items() if path is not None}

    def _check_projections(self) -> None:
        named = self.named_projections
        for name, path in named.items():
            if name not in (LAYERS, *ALL_PROJECTIONS):
                raise ConfigError(
                    f"model.projections.{name}: allowed are {LAYERS}, {', '.join(ALL_PROJECTIONS)}"
                )
            if not _is_path(path, below_layer=name != LAYERS):
                raise ConfigError(
                    f"model.projections.{name}={path}: allowed is a dotted path "
                    "(self_attn.q_proj), below a layer also with output columns "
                    "(self_attn.qkv_proj[0:64])"
                )
        if named and (LAYERS not in named or len(named) == 1):
            missing = "a projection, as q" if LAYERS in named else LAYERS
            raise ConfigError(
                f"model.projections names {', '.join(named)}, and {missing} is needed too: "
                "model.projections.layers=model.layers model.projections.q=self_attn.q_proj"
            )


def _is_path(text: str, below_layer: bool) -> bool:
    found = re.fullmatch(NAMED_PATH, text)
    if found is None or found["start"] is None:
        return found is not None
    return below_layer and int(found["start"]) < int(found["stop"])
