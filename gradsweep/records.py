"""The records that flow through gradsweep: one type per arrow of the design.

    data ──Sample──► models ──EncodedSample──► gradients ──Factors──► spectra ──SpectrumRow──► store

`Factors` holds tensors and lives in `gradsweep.engine.factors`; everything
here is plain Python, so that the store, the analysis and the sweep never import torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from math import nan

PROJECTIONS = ("q", "k", "v", "o")
"""Attention projections measured by default, in the order of the paper's tables."""

MORE_ATTENTION_PROJECTIONS = ("attn_gate", "q_a", "kv_a")
"""Optional: attn_gate gates the heads' outputs (Qwen3-Next); q_a and kv_a compress the input of q,
and of k and v, in multi-head latent attention (DeepSeek)."""

MLP_PROJECTIONS = ("gate", "up", "down", "fc1", "fc2")
"""Optional: gate up down of a gated MLP, fc1 fc2 of a plain one."""

ATTENTION_PROJECTIONS = PROJECTIONS + MORE_ATTENTION_PROJECTIONS

ALL_PROJECTIONS = ATTENTION_PROJECTIONS + MLP_PROJECTIONS
"""Every projection that can be asked for, in reading order."""


@dataclass(frozen=True)
class Sample:
    """One (prompt, response) pair under a point's conditions (paper section 3)."""

    sample_id: str
    """Hash of question, prompt and response: the key by which a killed point resumes."""
    question_id: str
    """Identity of the question: the same in every condition, so that conditions pair up."""
    prompt: str
    """Instruction (and input, after a newline) as the user would type it; no template applied."""
    response: str
    """Text whose tokens carry the loss. May be empty: the sample is then recorded as bad."""
    index: int
    """Position in the point's sample order, from 0."""
    same_length_as: str | None = None
    """A text to whose number of tokens the response is repeated or cut (`cot.match_length`)."""
    reward: float = 1.0
    """What the response is worth to an objective that weighs responses: 1 correct, chosen or
    desirable, 0 irrelevant, rejected or undesirable, or as the data record it."""
    reference_log_prob: float | None = None
    """Σ_t log p(token_t) of the response under the reference model, in nats, where the data record
    it; None where the reference is the model itself."""


@dataclass(frozen=True)
class EncodedSample:
    """A sample as the model reads it. Labels are `input_ids[response_start:]`."""

    sample: Sample
    input_ids: list[int]
    """Prompt and response in one encoding, truncated at `model.max_length`, no EOS added."""
    response_start: int
    """Index of the first response token (>= 1: position 0 has no prediction)."""
    truncated: bool
    """Whether response tokens were cut off at `model.max_length`."""
    n_tokens_uncut: int = 0
    """What `model.max_length` would have to be for the whole response."""

    @property
    def n_response_tokens(self) -> int:
        return len(self.input_ids) - self.response_start


@dataclass(frozen=True)
class Unit:
    """The samples whose gradients add up to one: what an objective has one loss for.

    One sample under `sft`; chosen and rejected of a preference pair; all responses of a group.
    """

    samples: tuple[Sample, ...]

    @property
    def rewards(self) -> tuple[float, ...]:
        """One for each sample."""
        return tuple(sample.reward for sample in self.samples)

    @property
    def unit_id(self) -> str:
        """A lone sample's own id; else a hash of the members' ids, in their order."""
        if len(self.samples) == 1:
            return self.samples[0].sample_id
        joined = "\n".join(sample.sample_id for sample in self.samples)
        return hashlib.sha256(joined.encode()).hexdigest()[: len(self.samples[0].sample_id)]

    @property
    def question_id(self) -> str:
        """The first member's."""
        return self.samples[0].question_id

    @property
    def index(self) -> int:
        """The first member's."""
        return self.samples[0].index


@dataclass(frozen=True)
class EncodedUnit:
    """A unit as the model reads it: its members are rows of one batch, side by side."""

    unit: Unit
    rows: tuple[EncodedSample, ...]

    @property
    def n_tokens(self) -> int:
        """Of the longest row, which padding makes every row's length."""
        return max(len(row.input_ids) for row in self.rows)


class SampleStatus(str, Enum):
    """What became of a sample. Only `OK` samples have rows."""

    OK = "ok"
    EMPTY_RESPONSE = "empty_response"
    PROMPT_FILLS_MAX_LENGTH = "prompt_fills_max_length"
    ALTERED_BY_TEMPLATE = "altered_by_template"
    TOKEN_WITHOUT_EMBEDDING = "token_without_embedding"
    NON_FINITE_LOSS = "non_finite_loss"
    OUT_OF_MEMORY = "out_of_memory"


_METRIC = "metric"


@dataclass(frozen=True)
class MetricName:
    """How a metric is called for a reader."""

    words: str
    symbol: str = ""
    """Or unit; singular values of a gradient have no named unit."""
    option: str | None = None
    """What measures it, as typed; without that it is NaN in every row, and no table has it."""


def _metric(words: str, symbol: str = "", option: str | None = None) -> dict[str, MetricName]:
    return {_METRIC: MetricName(words, symbol, option)}


@dataclass(frozen=True)
class SpectrumRow:
    """Metrics of one sample's weight gradient G (m×n) in one layer and projection.

    σ are the singular values of G, descending; p = σ/Σσ. A zero gradient has zero
    norms and rank, and NaN where a metric divides by Σσ or σ₁.
    """

    layer: int
    projection: str
    nuclear_norm: float = field(metadata=_metric("nuclear norm", "Σσ"))
    """Σσ (paper eq. for s_X)."""
    sigma_max: float = field(metadata=_metric("largest singular value", "σ₁"))
    """σ₁, the spectral norm."""
    sigma_ratio: float = field(metadata=_metric("largest share of the spectrum", "σ₁/Σσ"))
    """σ₁/Σσ (paper's r_X), in (0, 1]."""
    frobenius_norm: float = field(metadata=_metric("Frobenius norm", "√Σσ²"))
    """‖G‖_F computed from the factors, not from the spectrum."""
    effective_rank: float = field(metadata=_metric("effective rank"))
    """exp(−Σ p log p) (arXiv 2504.10766)."""
    stable_rank: float = field(metadata=_metric("stable rank", "Σσ²/σ₁²"))
    """‖G‖²_F/σ₁²."""
    spectral_entropy: float = field(metadata=_metric("spectral entropy", "(nats)"))
    """−Σ p log p, in nats."""
    condition_number: float = field(metadata=_metric("condition number"))
    """σ₁ over the smallest singular value above the rank tolerance."""
    rank: int = field(metadata=_metric("numerical rank"))
    """Number of singular values above `rank_tolerance`·σ₁."""
    checksum_error: float
    """|Σσ² − ‖G‖²_F| / ‖G‖²_F: the spectrum against the factors."""
    finite: bool
    """Whether the norms are finite and the checksum holds: filter on it before averaging."""
    solver: str
    """Route that gave the spectrum: token_gram, weight_gram or svd."""
    cosine_next_layer: float = field(
        default=nan,
        metadata=_metric(
            "cosine with the next layer's gradient", option="gradients.similarities=true"
        ),
    )
    """cos(G, G') with the same projection's gradient in layer i + 1 (arXiv 2504.10766); only when
    `gradients.similarities` is set. NaN in the last layer, where the next one has another shape
    or was not measured, and for a zero gradient."""
    cosine_partner: float = field(
        default=nan,
        metadata=_metric(
            "cosine with the partner's gradient", "(Q·O, K·V)", option="gradients.similarities=true"
        ),
    )
    """cos(G, G') of q with o, of k with v, in both rows (arXiv 2504.10766); only when
    `gradients.similarities` is set. NaN where the two have different shapes, without the partner,
    and for a zero gradient."""
    member_cosine: float = field(
        default=nan,
        metadata=_metric("cosine between members' gradients", option="objective.members=true"),
    )
    """Mean over the pairs of a unit's members of the cosine between their ∇Σ_t log p (of a pair,
    cos(g_w, g_l): arXiv 2410.13828); only in the unit's own rows, and only when
    `objective.members` is set. NaN where fewer than two members have a gradient."""
    member_effective_rank: float = field(
        default=nan,
        metadata=_metric(
            "effective rank of the members' gradients", option="objective.members=true"
        ),
    )
    """exp(−Σ p log p) of the eigenvalues of the members' Gram matrix ⟨G_i, G_j⟩, G_i being each
    one's share of the unit's gradient; in (0, members]. NaN as `member_cosine`."""
    singular_values: list[float] | None = None
    """The whole spectrum with `gradients.save_spectra`, the largest k with `gradients.top_k`."""
    head: int | None = None
    """Attention head whose slice of the weight this is; None for the whole matrix."""
    member: str | None = None
    """Member of the unit whose share of the gradient this is: `chosen`, `rejected`, or its number
    from 1; None for the unit's own."""
    own_metrics: Mapping[str, float] = field(default_factory=dict)
    """Metrics of the user's own: name -> value. Each becomes a float column of rows.parquet."""


ROW_KEY = ("layer", "projection", "head", "member")
"""What tells the rows of one sample apart. The store and the analysis read it here."""


METRIC_NAMES: dict[str, MetricName] = {
    declared.name: declared.metadata[_METRIC]
    for declared in fields(SpectrumRow)
    if _METRIC in declared.metadata
}
METRICS = tuple(METRIC_NAMES)
"""Metric columns of a row, in the order in which tables show them."""

OPTIONAL_METRICS = {name: m.option for name, m in METRIC_NAMES.items() if m.option is not None}
"""What measures them; without it they are NaN in every row, and no table or summary has them."""


@dataclass(frozen=True)
class SampleResult:
    """The outcome of one unit, which under `sft` is one sample, and its rows when it is OK.

    The engine knows no ids: it leaves the first three fields to `gradsweep.engine.run`.
    """

    sample_id: str = ""
    """`Unit.unit_id`."""
    question_id: str = ""
    index: int = -1
    status: SampleStatus = SampleStatus.OK
    reason: str = ""
    """Why a sample that is not OK has no rows; empty otherwise."""
    loss: float = field(default=nan, metadata=_metric("loss", "(nats)"))
    """The objective's; under `sft`, the mean cross-entropy over the response tokens, in nats."""
    n_prompt_tokens: int = 0
    n_response_tokens: int = 0
    """Tokens that carried loss (after truncation); the sum-reduced loss is `loss` times this."""
    truncated: bool = False
    seconds: float = float("nan")
    """Wall time of this sample's share of its batch."""
    rows: tuple[SpectrumRow, ...] = field(default=(), repr=False)


SAMPLE_METRIC_NAMES: dict[str, MetricName] = {
    declared.name: declared.metadata[_METRIC]
    for declared in fields(SampleResult)
    if _METRIC in declared.metadata
}
SAMPLE_METRICS = tuple(SAMPLE_METRIC_NAMES)
"""Metrics of a sample as a whole: no layer and no projection has one of its own."""

WHOLE_SAMPLE = "sample"
"""What stands in a projection's place for them."""


@dataclass(frozen=True)
class Shard:
    """The share of a point's samples that one process measures; the first of one is all of them."""

    index: int = 0
    count: int = 1

    @property
    def suffix(self) -> str:
        """ "-2of4" of file names; empty for the whole point."""
        return f"-{self.index + 1}of{self.count}" if self.count > 1 else ""


WHOLE = Shard()

STUDY_OBJECTIVE = "sft"
"""The study's objective; points from when it was the only one name none."""


@dataclass(frozen=True)
class Axes:
    """The choice on every axis of the grid that names a point for a reader."""

    model: str
    dataset: str
    cot: str
    correctness: str
    objective: str = STUDY_OBJECTIVE

    def __str__(self) -> str:
        return " · ".join(axis_words(asdict(self)))


def axis_words(axes: Mapping[str, str]) -> list[str]:
    """Return the values of some axes for a line of text; the study's own objective needs no word.

    Args:
        axes: axis -> value, in the order of `AXES`.
    """
    return [v for axis, v in axes.items() if (axis, v) != ("objective", STUDY_OBJECTIVE)]


AXES = tuple(f.name for f in fields(Axes))


def full_axes(stored: Mapping[str, str]) -> dict[str, str]:
    """Return the value on every axis; one that a record from before it does not name is the
    study's."""
    unnamed = {"objective": STUDY_OBJECTIVE}
    return {axis: str(stored[axis] if axis in stored else unnamed[axis]) for axis in AXES}


POINT_LABELS = (*AXES, "series")
"""Columns that name a condition in a frame: its axes, and its series (`n_samples=2`; empty for the
one that needs no name). Points of a condition differ in seed, or in what more was measured."""
