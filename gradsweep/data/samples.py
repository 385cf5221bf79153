"""The samples of a config: read the dataset, take the subset, apply the correctness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from gradsweep.config import (
    Config,
    CorrectnessKind,
    CotConfig,
    CotKind,
    DatasetKind,
    Resolution,
)
from gradsweep.data.ablation import Ablated, ablated, makes_one_step_wrong
from gradsweep.data.arithmetic import read_arithmetic
from gradsweep.data.correctness import irrelevant_texts, responses_of
from gradsweep.data.custom import custom_responses, questions_config, with_custom_responses
from gradsweep.data.irrelevant import (
    are_bare_answers,
    level_of_texts,
    rules_may_differ,
)
from gradsweep.data.jsonl import read_jsonl
from gradsweep.data.notes import (
    ablation_note,
    count_note,
    equal_pairs_note,
    equal_rewards_note,
    keeps_texts,
    kept_answers_note,
    reference_note,
    steps_note,
    whole_note,
)
from gradsweep.data.paper.originals import read_hub
from gradsweep.data.paper.release import read_paper
from gradsweep.data.questions import Dataset, Question, Response, digest
from gradsweep.data.sentences import TextRules
from gradsweep.data.step_samples import step_samples
from gradsweep.data.steps import keep_steps, step_ends
from gradsweep.errors import DataError, ExcludedPointError
from gradsweep.records import Sample

_READERS: dict[DatasetKind, Callable[[Config], Dataset]] = {
    DatasetKind.arithmetic: read_arithmetic,
    DatasetKind.jsonl: read_jsonl,
    DatasetKind.paper: read_paper,
}


@dataclass(frozen=True)
class LoadedSamples:
    """The samples of a point, in order."""

    samples: list[Sample]
    """One for each question; of pairs chosen and rejected, of groups every response, which lie
    together and have the question's `index`. With `gradients.by=step` one for each step."""
    messages: list[str] = field(default_factory=list)
    """What the user must be told, one sentence each."""


def load_samples(config: Config) -> LoadedSamples:
    """The samples of a point under its conditions (paper section 3).

    The same questions are taken, in the same order, for every CoT level and correctness.

    Raises:
        DataError: a data file is missing, empty or malformed, or too small for the conditions.
        ExcludedPointError: the user's file has nothing at this CoT level, or no question that
            also has a response at `cot.match_length`.
    """
    dataset = _read(config)
    lengths = _Lengths(config) if config.cot.match_length else None
    questions = _usable(dataset, lengths, config)
    taken = _take(questions, config)
    rules = rules_of(config)
    responses = responses_of(dataset, taken, config, rules)
    partners = lengths.partners(taken, responses) if lengths else _no_partners(responses)
    samples = [
        _sample(index, question, response, partner, config, rules)
        for index, (question, *of_one) in enumerate(zip(taken, responses, partners, strict=True))
        for response, partner in zip(*of_one, strict=True)
    ]
    texts = [response.text for of_one in responses for response in of_one]
    irrelevant = irrelevant_texts(taken, responses, config)
    notes = [
        count_note(len(questions), config),
        kept_answers_note(dataset, taken, irrelevant, config),
        whole_note(dataset, irrelevant, config),
        steps_note(texts, config.cot, rules) if config.cot.kind is CotKind.partial else "",
        ablation_note(samples, config.cot),
        lengths.note(len(dataset.questions) - len(questions)) if lengths else "",
        equal_pairs_note(samples, config),
        equal_rewards_note(samples, config),
        reference_note(responses, config),
    ]
    messages = [*dataset.messages, *(note for note in notes if note)]
    if config.gradients.attention_shares:
        samples = [
            replace(sample, step_ends=tuple(step_ends(sample.response, rules)))
            for sample in samples
        ]
    if config.gradients.by is Resolution.step:
        of_one = [response for of_one in responses for response in of_one]
        right = config.correctness.kind is CorrectnessKind.correct
        corrupted = right and makes_one_step_wrong(config.cot.ablation)
        samples = step_samples(samples, of_one, rules, corrupted=corrupted)
    return LoadedSamples(samples, messages)


def count_questions(config: Config) -> int:
    """Count the questions that a point can take, without making their texts.

    Raises what `load_samples` would raise about them.
    """
    lengths = _Lengths(config) if config.cot.match_length else None
    return len(_usable(_read(config), lengths, config))


def general_rules_matter(config: Config) -> bool:
    """Whether the user's own texts become other samples than by the rules of the paper's texts.

    Those served for all texts once, so a point for which this holds has another id since.
    Raises what `load_samples` would raise about the files, and nothing about their texts.
    """
    as_given = (
        config.correctness.kind is CorrectnessKind.correct
        and config.cot.kind is not CotKind.partial
    )
    if as_given or rules_of(config) is TextRules.paper:
        return False
    if config.dataset.kind is DatasetKind.paper:  # whose files are not fetched to know an id
        return any(map(rules_may_differ, custom_responses(config)))
    dataset = _read(config)
    is_partial = config.cot.kind is CotKind.partial
    if not is_partial and not _rules_may_differ(dataset, config):
        return False
    taken = _take(dataset.questions, config)

    def texts(rules: TextRules) -> list[str] | None:
        try:
            responses = responses_of(dataset, taken, config, rules)
        except DataError:
            return None
        return [
            _text(one.text, question.question_id, config, rules).text
            for question, of_one in zip(taken, responses, strict=True)
            for one in of_one
        ]

    return texts(TextRules.general) != texts(TextRules.paper)


def _rules_may_differ(dataset: Dataset, config: Config) -> bool:
    """A quick look at the pool: False where its irrelevant responses are surely the same."""
    if len({question.prompt for question in dataset.pool}) < len(dataset.pool):
        return True
    bare = are_bare_answers(level_of_texts(config), config.dataset.answer)
    return not bare and any(rules_may_differ(question.response) for question in dataset.pool)


def _usable(dataset: Dataset, lengths: _Lengths | None, config: Config) -> Sequence[Question]:
    """The questions that can be samples; at least one.

    Raises:
        DataError: the dataset has none.
        ExcludedPointError: none has a response at `cot.match_length`.
    """
    if not dataset.questions:
        raise DataError(f"dataset={config.dataset.name} has no questions: nothing can be measured")
    return lengths.known(dataset.questions) if lengths else dataset.questions


def _sample(
    index: int,
    question: Question,
    response: Response,
    partner: str | None,
    config: Config,
    rules: TextRules,
) -> Sample:
    """The sample of a response; `partner` is the text whose length it gets."""
    made = _text(response.text, question.question_id, config, rules)
    more = (*(() if partner is None else (partner,)), *((made.unusable,) if made.unusable else ()))
    return Sample(
        sample_id=digest(question.question_id, question.prompt, made.text, *more),
        question_id=question.question_id,
        prompt=question.prompt,
        response=made.text,
        index=index,
        same_length_as=partner,
        reward=response.reward,
        reference_log_prob=response.reference_log_prob if keeps_texts(config) else None,
        unusable=made.unusable,
    )


def _read(config: Config) -> Dataset:
    if config.cot.kind is CotKind.custom:
        return with_custom_responses(config, _read(questions_config(config)))
    if config.dataset.from_hub:
        return read_hub(config)
    return _READERS[config.dataset.kind](config)


class _Lengths:
    """The responses at `cot.match_length`, whose lengths those of the point get."""

    def __init__(self, config: Config) -> None:
        assert config.cot.match_length is not None
        self._config = replace(config, cot=CotConfig(config.cot.match_length))
        self._dataset = _read(self._config)
        self._by_id = {q.question_id: q for q in self._dataset.questions}

    def known(self, questions: Sequence[Question]) -> Sequence[Question]:
        """Keep the questions that have a response at `cot.match_length` too.

        Raises:
            ExcludedPointError: none has.
        """
        shared = [question for question in questions if question.question_id in self._by_id]
        if not shared:
            raise ExcludedPointError(
                f"cot.match_length={self._config.cot.level.name}: none of the {len(questions)} "
                f"questions of dataset={self._config.dataset.name} has a response at this level; "
                "allowed is a level that some of them have"
            )
        return shared

    def partners(
        self, questions: Sequence[Question], responses: Sequence[Sequence[Response]]
    ) -> list[list[str | None]]:
        """Of each response the one at `cot.match_length`: correct, irrelevant or of the same place.

        Raises:
            ExcludedPointError: own responses (`cot=custom`) are not those of the data's groups.
        """
        same = [self._by_id[question.question_id] for question in questions]
        found = responses_of(self._dataset, same, self._config, rules_of(self._config))
        if any(len(one) != len(other) for one, other in zip(responses, found, strict=True)):
            raise ExcludedPointError(
                f"cot.match_length={self._config.cot.level.name}: dataset="
                f"{self._config.dataset.name} has groups of responses, and cot=custom a correct "
                "and an irrelevant one; allowed is cot.match_length=null"
            )
        return [[response.text for response in of_one] for of_one in found]

    def note(self, missing: int) -> str:
        level = self._config.cot.level.name
        return f"{missing} questions have no response at cot.match_length={level}: left out" * (
            missing > 0
        )


def _text(response: str, question_id: str, config: Config, rules: TextRules) -> Ablated:
    """The response as the CoT axis asks for it."""
    cot = config.cot
    if cot.kind is CotKind.partial:
        return Ablated(keep_steps(response, cot.steps_kept, rules))
    if cot.ablation is None:
        return Ablated(response)
    return ablated(response, cot.ablation, f"{config.seed} {question_id}", rules)


def _take(questions: Sequence[Question], config: Config) -> Sequence[Question]:
    """The first n questions, in an order that the seed and their ids alone decide.

    So a smaller n takes a part of what a larger n takes, whatever else the file holds.
    """
    if config.dataset.shuffle:
        questions = sorted(
            questions, key=lambda question: digest(str(config.seed), question.question_id)
        )
    return questions[: config.requested_samples]


def rules_of(config: Config) -> TextRules:
    """The user's own texts are of any form; the paper's and the bundled ones stay as they were."""
    own = config.dataset.kind is DatasetKind.jsonl or config.cot.kind is CotKind.custom
    return TextRules.general if own else TextRules.paper


def _no_partners(responses: Sequence[Sequence[Response]]) -> list[list[str | None]]:
    return [[None] * len(of_one) for of_one in responses]
