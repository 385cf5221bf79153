"""How a point is measured, kept and followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any, Optional

from gradsweep.config.named_objects import check_named_object, identity_of
from gradsweep.config.options import Effect, Science, option
from gradsweep.config.typed_paths import read_typed_paths
from gradsweep.errors import ConfigError
from gradsweep.records import (
    ALL_PROJECTIONS,
    HEAD_PROJECTIONS,
    PROJECTIONS,
    SpectrumRow,
)
from gradsweep.whole_numbers import check_whole

_ROW_COLUMNS = {f.name for f in fields(SpectrumRow)} | {
    *("sample_id", "question_id", "step_index", "point_id")
}

NO_TRACKER = "none"
"""`tracking.kind` of points that are only stored."""


_NOT_IN_A_PROJECT, _LONGEST_PROJECT = "/\\#?%:", 128
"""What W&B refuses in the name of a project."""


class Solver(Enum):
    """`auto` routes every matrix by min(T, m, n); the others force one route."""

    auto = "auto"
    token_gram = "token_gram"
    weight_gram = "weight_gram"
    svd = "svd"


class Resolution(Enum):
    """What a gradient is of: a whole response, or each of its steps."""

    sample = "sample"
    step = "step"


def _own_metrics_identity(nodes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: identity_of(node, f"gradients.own_metrics.{name}") for name, node in nodes.items()
    }


class WandbMode(Enum):
    """`auto` is online with a key and a route, offline otherwise."""

    auto = "auto"
    online = "online"
    offline = "offline"


@dataclass
class SpectraOptions:
    """How spectra are computed and what is kept of them."""

    solver: Solver = option(Solver.auto, Effect(Science.always))
    rank_tolerance: Optional[float] = option(None, Effect(Science.always))
    """Relative to σ₁; None is eps(model dtype)·max(m, n), as in `numpy.linalg.matrix_rank`."""
    save_spectra: bool = option(False, Effect(Science.always, stored=True, adds=True))
    """Keep every singular value in the rows, not only the metrics."""
    top_k: Optional[int] = option(None, Effect(Science.when_set, stored=True, adds=True))
    """Keep the k largest singular values in the rows; fewer where a gradient has fewer."""
    similarities: bool = option(
        False, Effect(Science.when_set, spectra=1.0, layers_of_factors=1.0, adds=True)
    )
    """Cosines of each gradient with that of the next layer and of its partner (q with o, k with
    v). Costs about the time of the spectra again (twice that in wide models), and the memory of
    one more layer's factors in float64."""
    layer_cosines: bool = option(
        False,
        Effect(
            Science.when_set, spectra=2.0, layers_of_factors=float("inf"), stored=True, adds=True
        ),
    )
    """Cosines of each gradient with that of every later layer (column `layer_cosines`), for maps of
    layers by layers. Costs some times the spectra, and the memory of all layers' factors, or
    gradients where these are smaller, in float64."""
    heads: bool = option(False, Effect(Science.when_set, spectra=1.0, stored=True, adds=True))
    """Beside the rows of whole matrices, one row for each attention head's part of q, k, v and o
    (column `head`). Costs about the time of the spectra again, and several times the rows on
    disk."""
    spectral_radius: bool = option(False, Effect(Science.when_set, spectra=15.0, adds=True))
    """Largest |eigenvalue| of square gradients. Slow: eigenvalues of a matrix that is not symmetric
    take some thirty times those of one that is."""
    optimizer_geometry: bool = option(False, Effect(Science.when_set, spectra=0.5, adds=True))
    """Nuclear rank of each gradient and stable rank of its input: where the first is the larger
    one, an update by singular vectors lowers the loss more than one by the gradient
    (arXiv 2512.04299)."""
    attention_shares: bool = option(False, Effect(Science.when_set, passes=0.7, adds=True))
    """Of each attention head, the shares of a response's attention that fall on the first token, on
    the rest of the prompt and on earlier steps, in the rows of q's heads. Takes a forward pass
    more, in plain attention; samples are measured one batch at a time."""
    own_metrics: dict[str, Any] = option(
        effect=Effect(Science.when_set, canonical=_own_metrics_identity), default_factory=dict
    )
    """Metrics of your own: column name -> {_target_: package.module.function, options …}. Called
    with a `Spectrum`, it returns a float; each becomes a column of the rows."""

    def __post_init__(self) -> None:
        check_whole("gradients.top_k", self.top_k)
        if self.top_k is not None and self.save_spectra:
            raise ConfigError(
                f"gradients.top_k={self.top_k} keeps some singular values and "
                "gradients.save_spectra=true all of them: give one of the two"
            )
        if self.rank_tolerance is not None and not 0 < self.rank_tolerance < 1:
            raise ConfigError(
                f"gradients.rank_tolerance must be in (0, 1), got {self.rank_tolerance}"
            )
        for name, node in self.own_metrics.items():
            if not name.isidentifier() or name in _ROW_COLUMNS:
                raise ConfigError(
                    f"gradients.own_metrics.{name}: a metric is named by letters, digits and '_', "
                    f"and not as another column of a row ({', '.join(sorted(_ROW_COLUMNS))})"
                )
            check_named_object(node, f"gradients.own_metrics.{name}")

    @property
    def asks_for_factor_metrics(self) -> bool:
        """Whether rows have metrics that come from the factors, and not from the spectrum."""
        return self.spectral_radius or self.optimizer_geometry

    @property
    def kept(self) -> int | None:
        """Singular values that a row keeps; None for all."""
        return None if self.save_spectra else self.top_k or 0


@dataclass
class GradientsConfig(SpectraOptions):
    """What is measured of every sample, and how the work is laid out."""

    projections: list[str] = option(
        effect=Effect(Science.always, canonical=sorted, adds=True),
        default_factory=lambda: list(PROJECTIONS),
    )
    """Which weight matrices to measure in every layer: q k v o, and of the MLP gate up down or
    fc1 fc2."""
    by: Resolution = option(Resolution.sample, Effect(Science.when_set, stored=True))
    """`step` measures each step of a response by itself, by the mean cross-entropy over that step's
    tokens: steps before the final answer, and the final answer as the last one."""
    batch_tokens: int = option(512)
    """Padded tokens per batch; a longer sample is a batch of its own. Smaller batches are tried
    where memory runs out. Does not change results."""
    checkpointing: bool = option(False, Effect(passes=1.0))
    """Gradient checkpointing: a layer's activations are computed again in the backward pass instead
    of kept. Less memory, about a third more time. Does not change results."""
    workers: Optional[int] = option(None)
    """Batches measured at the same time on a CPU, each with one core; None is one per core for
    a small model and 1 for a large one, whose operations fill the cores. Does not change results.
    """
    check_memory: bool = option(True)
    """Refuse a model that is expected to need more memory than this machine has, before it is
    loaded; false tries it anyway. Does not change results."""
    device: str = option("auto")
    """`auto` is cuda when there is one, else cpu."""

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [name for name in self.projections if name not in ALL_PROJECTIONS]
        if unknown or not self.projections:
            raise ConfigError(
                f"gradients.projections: {unknown or 'empty'}; "
                f"allowed are {', '.join(ALL_PROJECTIONS)}"
            )
        if self.heads and not set(self.projections) & set(HEAD_PROJECTIONS):
            raise ConfigError(
                f"gradients.heads=true, and gradients.projections is {self.projections}, which "
                f"have no attention heads: add one of {', '.join(HEAD_PROJECTIONS)}, or leave "
                "gradients.heads out"
            )
        self._check_attention_shares()
        if len(set(self.projections)) != len(self.projections):
            raise ConfigError(f"gradients.projections names one twice: {self.projections}")
        check_whole("gradients.batch_tokens", self.batch_tokens)
        check_whole("gradients.workers", self.workers)

    def _check_attention_shares(self) -> None:
        """Raises ConfigError where there are no rows that could have them, or no whole response."""
        if not self.attention_shares:
            return
        if not self.heads or "q" not in self.projections:
            raise ConfigError(
                "gradients.attention_shares=true stands in the rows of q's single heads: type "
                "gradients.heads=true beside it, with q in gradients.projections"
            )
        if self.by is Resolution.step:
            raise ConfigError(
                "gradients.attention_shares=true is of whole responses: leave out "
                "gradients.by=step, or measure the shares in a point of their own"
            )


@dataclass
class StoreConfig:
    """The place of results (`conf/store`)."""

    root: str = option("results", Effect(is_path=True))
    """Folder of all results; points and sweeps lie below it."""

    def __post_init__(self) -> None:
        if not self.root.strip():
            raise ConfigError(
                "store.root is empty: allowed is a folder for the results; store.root=. is the "
                "current one"
            )
        read_typed_paths(self, "store")


@dataclass
class TrackingConfig:
    """Whether points can be followed elsewhere, and where (`conf/tracking`)."""

    kind: str = NO_TRACKER
    """`none`, or the name of a folder of gradsweep/tracking."""
    project: str = "gradsweep"
    """W&B's project; WANDB_PROJECT where it is not given."""
    entity: Optional[str] = None
    """User or team; WANDB_ENTITY where it is not given, else the API key's own."""
    mode: WandbMode = WandbMode.auto
    samples: bool = True
    """A history row per sample, live; false leaves curves, summary, table and rows at the end."""

    def __post_init__(self) -> None:
        self.project = self.project or TrackingConfig.project
        self.entity = self.entity or None
        if self.kind != NO_TRACKER:
            check_project(self.project, "tracking.project (or WANDB_PROJECT)")
        if self.kind not in tracker_kinds():
            raise ConfigError(
                f"tracking.kind={self.kind}: allowed are {', '.join(tracker_kinds())}"
            )


def check_project(project: str | None, field_name: str) -> None:
    """Raise ConfigError where W&B would refuse the name when the first point is opened."""
    refused = sorted(set(project or "") & set(_NOT_IN_A_PROJECT))
    if refused or len(project or "") > _LONGEST_PROJECT:
        raise ConfigError(
            f"{field_name}={project!r}: allowed are at most {_LONGEST_PROJECT} characters, none of "
            f"them {' '.join(_NOT_IN_A_PROJECT)}"
        )


def tracker_kinds() -> list[str]:
    """`none` and the trackers there are: folders of gradsweep/tracking, which is not imported."""
    room = Path(__file__).resolve().parent.parent / "tracking"
    return [NO_TRACKER, *sorted(path.parent.name for path in room.glob("*/tracker.py"))]
