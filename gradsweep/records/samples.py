"""What data give and a model reads: samples, and the units whose gradients add up."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum


class StepLabel(str, Enum):
    """What the data say of a step of a response."""

    RIGHT = "right"
    WRONG = "wrong"
    """The first wrong one."""
    AFTER_WRONG = "after_wrong"
    """Behind the first wrong one, whatever it says itself."""


@dataclass(frozen=True)
class Step:
    """The part of a response whose tokens alone carry the loss (`gradients.by=step`)."""

    index: int
    """Its place in the response, from 0; the last one is the final answer."""
    start: int
    """Its first character in the response, white space before its text included."""
    end: int
    """Past its last character, where the next step starts."""
    label: StepLabel | None = None
    """None where the data do not say."""


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
    step: Step | None = None
    """The step that is measured, of the whole `response`; None where all of it is."""
    step_ends: tuple[int, ...] = ()
    """Offsets in `response` at which its steps end, where somebody asks for them; the last one is
    its length."""
    unusable: str = ""
    """Why the response is not what the point asks for; the sample is then recorded as bad."""


@dataclass(frozen=True)
class EncodedSample:
    """A sample as the model reads it. Labels are `input_ids[response_start:]`.

    Of a step, the text ends with the step, and the labels are the step's tokens.
    """

    sample: Sample
    input_ids: list[int]
    """Prompt and response in one encoding, truncated at `model.max_length`, no EOS added."""
    response_start: int
    """Index of the first response token (>= 1: position 0 has no prediction)."""
    truncated: bool
    """Whether response tokens were cut off at `model.max_length`."""
    n_tokens_uncut: int = 0
    """What `model.max_length` would have to be for the whole response."""
    step_of_token: tuple[int, ...] = ()
    """For each response token the step that holds its first character, where `sample.step_ends` are
    known; empty elsewhere."""
    reference_log_probs: tuple[float, ...] | None = None
    """log p of each response token under a reference model that was run here, in nats."""

    @property
    def reference(self) -> float | tuple[float, ...] | None:
        """What is known of the reference: tokens, a recorded sum, or nothing."""
        return self.reference_log_probs or self.sample.reference_log_prob

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

    @property
    def step(self) -> Step | None:
        """What is measured of a lone sample; None for all of it."""
        return self.samples[0].step


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
    CANNOT_BE_ABLATED = "cannot_be_ablated"
    STEP_WITHOUT_TOKENS = "step_without_tokens"
    STEP_BEYOND_MAX_LENGTH = "step_beyond_max_length"
    PROMPT_FILLS_MAX_LENGTH = "prompt_fills_max_length"
    ALTERED_BY_TEMPLATE = "altered_by_template"
    TOKEN_WITHOUT_EMBEDDING = "token_without_embedding"
    REFERENCE_OF_WHOLE_RESPONSE = "reference_of_whole_response"
    NON_FINITE_LOSS = "non_finite_loss"
    OUT_OF_MEMORY = "out_of_memory"
