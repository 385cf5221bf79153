"""What a user must be told about the samples of a point, one sentence each; "" for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from gradsweep.config import Config, CorrectnessKind, CotConfig, CotKind, CotLevel
from gradsweep.data.answers import same, stated_answer
from gradsweep.data.irrelevant import are_bare_answers, level_of_texts, whole_responses, words_of
from gradsweep.data.questions import Dataset, Question, Response
from gradsweep.data.sentences import TextRules
from gradsweep.data.steps import count_steps
from gradsweep.records import Sample


def count_note(available: int, config: Config) -> str:
    asked = config.requested_samples
    if asked <= available:
        return ""
    field_name = "n_samples" if config.n_samples is not None else "dataset.n_samples"
    return (
        f"asked for {field_name}={asked}, {config.dataset.name} has {available}: using {available}"
    )


def kept_answers_note(
    dataset: Dataset, taken: Sequence[Question], irrelevant: Sequence[str], config: Config
) -> str:
    """Says so when the paper's irrelevant responses are partly correct, as some are."""
    if dataset.shuffled is None:
        return ""

    def final(response: str) -> str:
        bare = response if config.cot.level is CotLevel.none else None
        return bare or stated_answer(response) or response

    kept = sum(
        same(final(question.response), final(response))
        for question, response in zip(taken, irrelevant, strict=True)
    )
    if not kept:
        return ""
    return (
        f"{kept} of {len(taken)} irrelevant responses in the paper's file end on the correct "
        "answer; correctness.source=generated never does"
    )


def whole_note(dataset: Dataset, irrelevant: Sequence[str], config: Config) -> str:
    """Says so when irrelevant responses are responses of other questions, as they stand there."""
    bare = are_bare_answers(level_of_texts(config), config.dataset.answer)
    if not irrelevant or bare or dataset.shuffled is not None:
        return ""
    whole = whole_responses(dataset.pool)
    count = sum(words_of(response) in whole for response in irrelevant)
    if not count:
        return ""
    return (
        f"{count} of {len(irrelevant)} irrelevant responses are a whole response of another "
        "question: texts of one sentence, or without end marks of sentences, cannot be mixed"
    )


def steps_note(responses: Sequence[str], cot: CotConfig, rules: TextRules) -> str:
    """Says so when responses stay whole because they have no more steps than are kept."""
    whole = sum(count_steps(response, rules) <= cot.steps_kept for response in responses)
    if not whole:
        return ""
    return (
        f"{whole} of {len(responses)} responses have no more than "
        f"cot.steps_kept={cot.steps_kept} steps: they stay whole"
    )


def ablation_note(samples: Sequence[Sample], cot: CotConfig) -> str:
    """Says so when responses have nothing that could be ablated, so that they are not measured."""
    unusable = [sample.unusable for sample in samples if sample.unusable]
    if not unusable or cot.ablation is None:
        return ""
    return (
        f"cot.ablate={cot.ablation.name} leaves {len(unusable)} of {len(samples)} responses "
        f"unmeasured, as recorded; the first: {unusable[0]}"
    )


def equal_pairs_note(samples: Sequence[Sample], config: Config) -> str:
    """Says so when chosen and rejected are the same text, so that neither is preferred."""
    if config.correctness.kind is not CorrectnessKind.pair:
        return ""
    pairs = _by_question(samples)
    equal = sum(chosen.sample_id == rejected.sample_id for chosen, rejected in pairs)
    if not equal:
        return ""
    return f"{equal} of {len(pairs)} pairs have two equal responses: their gradient is zero"


def equal_rewards_note(samples: Sequence[Sample], config: Config) -> str:
    """Says so when no response of a group is better than another."""
    if config.correctness.kind is not CorrectnessKind.group:
        return ""
    groups = _by_question(samples)
    equal = sum(len({sample.reward for sample in group}) == 1 for group in groups)
    if not equal:
        return ""
    return (
        f"{equal} of {len(groups)} groups have one response or equal rewards: what an objective "
        "measures against the group's other rewards is zero there"
    )


def keeps_texts(config: Config) -> bool:
    """Whether responses are measured as the data have them, and so what was recorded of them."""
    cot = config.cot
    return cot.kind is CotKind.level and cot.match_length is None and cot.ablation is None


def reference_note(responses: Sequence[Sequence[Response]], config: Config) -> str:
    """Says so when recorded log-probabilities of a reference are lacking, or cannot be used."""
    lacking = [any(one.reference_log_prob is None for one in of_one) for of_one in responses]
    if "reference" not in config.objective or all(lacking):
        return ""
    if not keeps_texts(config):
        cot = config.cot
        option = f"cot.ablate={cot.ablation.name}" if cot.ablation else f"cot={cot.kind.name}"
        option = "cot.match_length" if cot.match_length else option
        return (
            "the recorded reference log-probabilities are of whole responses, which are others "
            f"with {option}: not used"
        )
    if not any(lacking):
        return ""
    return (
        f"{sum(lacking)} of {len(lacking)} questions have no recorded reference log-probabilities"
    )


def _by_question(samples: Sequence[Sample]) -> list[list[Sample]]:
    return [list(members) for _, members in groupby(samples, key=attrgetter("index"))]
