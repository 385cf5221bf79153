"""What is measured: a row for each gradient, a result for each unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import nan

from gradsweep.records.samples import SampleStatus, StepLabel

PROJECTIONS = ("q", "k", "v", "o")
"""Attention projections measured by default, in the order of the paper's tables."""

MORE_ATTENTION_PROJECTIONS = ("attn_gate", "q_a", "kv_a")
"""Optional: attn_gate gates the heads' outputs (Qwen3-Next); q_a and kv_a compress the input of q,
and of k and v, in multi-head latent attention (DeepSeek)."""

MLP_PROJECTIONS = ("gate", "up", "down", "fc1", "fc2")
"""Optional: gate up down of a gated MLP, fc1 fc2 of a plain one."""

ATTENTION_PROJECTIONS = PROJECTIONS + MORE_ATTENTION_PROJECTIONS

HEAD_PROJECTIONS = (*PROJECTIONS, "attn_gate")
"""Projections whose weights are cut into attention heads."""

ALL_PROJECTIONS = ATTENTION_PROJECTIONS + MLP_PROJECTIONS
"""Every projection that can be asked for, in reading order."""

ADAPTER_MATRICES = ("lora_a", "lora_b")
"""The two matrices of a LoRA adapter, W + s·BA: A (r×n) and B (m×r)."""


def adapter_name(projection: str, matrix: str) -> str:
    """Return what the rows of an adapter's own matrix are called: `q_lora_a`.

    They are in `update` rows of training points alone; nobody asks for them by name.
    """
    return f"{projection}_{matrix}"


READING_ORDER = tuple(
    name
    for projection in ALL_PROJECTIONS
    for name in (projection, *(adapter_name(projection, m) for m in ADAPTER_MATRICES))
)
"""Every name that a row's `projection` can have, an adapter's matrices after what they adapt."""

_METRIC = "metric"


@dataclass(frozen=True)
class MetricName:
    """How a metric is called for a reader."""

    words: str
    symbol: str = ""
    """Or unit; singular values of a gradient have no named unit."""
    option: str | None = None
    """What measures it, as typed; without that it is NaN in every row, and no table has it."""
    of_irrelevant: str | None = None
    """`larger` or `smaller`: what the study and its follow-up lead one to expect of an irrelevant
    response's, beside that of the correct one; None for no expectation."""


def _metric(
    words: str, symbol: str = "", option: str | None = None, of_irrelevant: str | None = None
) -> dict[str, MetricName]:
    return {_METRIC: MetricName(words, symbol, option, of_irrelevant)}


@dataclass(frozen=True)
class SpectrumRow:
    """Metrics of one sample's weight gradient G (m×n) in one layer and projection.

    σ are the singular values of G, descending; p = σ/Σσ. A zero gradient has zero
    norms and rank, and NaN where a metric divides by Σσ or σ₁.
    """

    layer: int
    projection: str
    nuclear_norm: float = field(metadata=_metric("nuclear norm", "Σσ", of_irrelevant="larger"))
    """Σσ (paper eq. for s_X)."""
    sigma_max: float = field(
        metadata=_metric("largest singular value", "σ₁", of_irrelevant="larger")
    )
    """σ₁, the spectral norm."""
    sigma_ratio: float = field(
        metadata=_metric("largest share of the spectrum", "σ₁/Σσ", of_irrelevant="larger")
    )
    """σ₁/Σσ (paper's r_X), in (0, 1]."""
    frobenius_norm: float = field(
        metadata=_metric("Frobenius norm", "√Σσ²", of_irrelevant="larger")
    )
    """‖G‖_F computed from the factors, not from the spectrum."""
    effective_rank: float = field(metadata=_metric("effective rank", of_irrelevant="smaller"))
    """exp(−Σ p log p) (arXiv 2504.10766)."""
    stable_rank: float = field(metadata=_metric("stable rank", "Σσ²/σ₁²", of_irrelevant="smaller"))
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
    spectral_radius: float = field(
        default=nan,
        metadata=_metric("spectral radius", "max |λ|", "gradients.spectral_radius=true"),
    )
    """Largest absolute value of an eigenvalue of G, where m = n; only in the unit's own rows, and
    only when `gradients.spectral_radius` is set. NaN for other shapes and for single heads."""
    nuclear_rank: float = field(
        default=nan,
        metadata=_metric("nuclear rank", "(Σσ)²/Σσ²", "gradients.optimizer_geometry=true"),
    )
    """(‖G‖_*/‖G‖_F)², in [1, rank] (arXiv 2512.04299); only in the unit's own rows, and only when
    `gradients.optimizer_geometry` is set. NaN for a zero gradient and for single heads."""
    input_stable_rank: float = field(
        default=nan,
        metadata=_metric(
            "stable rank of the input", "‖X‖²_F/σ₁(X)²", "gradients.optimizer_geometry=true"
        ),
    )
    """‖X‖²_F/σ₁(X)² of the input X (T×n) of the projection, all tokens of the unit (arXiv
    2512.04299): the same for q, k and v. As `nuclear_rank`, but a number for a zero gradient."""
    attention_to_first: float = field(
        default=nan,
        metadata=_metric("attention to the first token", option="gradients.attention_shares=true"),
    )
    """Share of the attention of the response's tokens, mean over these, that falls on the first
    token of the text; only in rows of q's single heads and only when `gradients.attention_shares`
    is set. NaN elsewhere, and for units of several responses."""
    attention_to_prompt: float = field(
        default=nan,
        metadata=_metric("attention to the prompt", option="gradients.attention_shares=true"),
    )
    """The same of the prompt's other tokens."""
    attention_to_earlier_steps: float = field(
        default=nan,
        metadata=_metric("attention to earlier steps", option="gradients.attention_shares=true"),
    )
    """The same of the response's steps before the token's own. NaN, too, where the length of the
    response was matched."""
    singular_values: list[float] | None = None
    """The whole spectrum with `gradients.save_spectra`, the largest k with `gradients.top_k`."""
    layer_cosines: list[float] | None = None
    """cos(G, G') with the same projection's gradient in layers i + 1, i + 2, … (arXiv 2504.10766);
    only in the unit's own rows, and only with `gradients.layer_cosines`. NaN as
    `cosine_next_layer`; empty in the last layer."""
    head: int | None = None
    """Attention head whose slice of the weight this is; None for the whole matrix."""
    member: str | None = None
    """Member of the unit whose share of the gradient this is: `chosen`, `rejected`, or its number
    from 1; None for the unit's own."""
    own_metrics: Mapping[str, float] = field(default_factory=dict)
    """Metrics of the user's own: name -> value. Each becomes a float column of rows.parquet."""


ROW_KEY = ("layer", "projection", "head", "member", "step_index")
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
    step_index: int | None = None
    """Place of the step that carries the loss in its response, from 0; None where the whole
    response does. Its rows have it, too."""
    step_label: StepLabel | None = None
    """What the data say of that step; None where they do not."""
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
