"""Irrelevant responses: wrong answers, as many sentences, none of the question's own."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean

import pytest

from gradsweep.config import AnswerKind, Config, CotLevel
from gradsweep.data import LoadedSamples, load_samples
from gradsweep.data.answers import split_final_line, stated_answer
from gradsweep.data.irrelevant import IrrelevantResponses
from gradsweep.data.questions import Question
from gradsweep.data.sentences import split_sentences
from gradsweep.errors import DataError
from gradsweep.records import Sample

MakeConfig = Callable[..., Config]


def _questions(answers: list[str], prompt: str = "Question {}?") -> list[Question]:
    return [
        Question(question_id=f"q{i}", prompt=prompt.format(i), response=answer, answer=answer)
        for i, answer in enumerate(answers)
    ]


def _bare(questions: list[Question], kind: AnswerKind, seed: int = 0) -> list[str]:
    irrelevant = IrrelevantResponses(questions, CotLevel.none, kind, seed)
    return [irrelevant(question) for question in questions]


def test_a_number_becomes_the_answer_of_another_question() -> None:
    answers = [str(n) for n in (3, 3, 3, 4, 5, 3, 18)]
    wrong = _bare(_questions(answers), AnswerKind.number)
    assert all(a != b and b in answers for a, b in zip(answers, wrong, strict=True))


def test_a_binary_answer_flips_in_its_own_letter_case() -> None:
    answers = ["yes", "No", "TRUE", "false", "Yes"]
    assert _bare(_questions(answers), AnswerKind.binary) == ["no", "Yes", "FALSE", "true", "No"]
    assert _bare(_questions(["Sentence A", "Sentence B"]), AnswerKind.binary) == [
        "Sentence B",
        "Sentence A",
    ]
    with pytest.raises(DataError, match=r"dataset\.answer=binary needs exactly two"):
        _bare(_questions(["red", "green", "blue"]), AnswerKind.binary)


def test_a_lettered_option_becomes_another_option_of_the_question() -> None:
    questions = _questions(["(A)", "(B)", "(C)"] * 40, "Q{}?\nOptions:\n(A) 1\n(B) 2\n(C) 3")
    wrong = _bare(questions, AnswerKind.choice)
    pairs = Counter(zip([q.answer for q in questions], wrong, strict=True))
    assert all(own != other for own, other in pairs)
    assert len(pairs) == 6, "every other option is taken now and then"
    without_brackets = _questions(["A"], "Q{}? (A) 1 (B) 2")
    assert _bare(without_brackets, AnswerKind.choice) == ["B"]


def test_an_option_in_words_becomes_the_answer_of_another_question() -> None:
    answers = ["park", "store", "desk"]
    wrong = _bare(_questions(answers, "Q{}?\n- park\n- store\n- desk"), AnswerKind.choice)
    assert all(a != b and b in answers for a, b in zip(answers, wrong, strict=True))


def test_an_empty_response_stays_empty() -> None:
    assert _bare(_questions(["", "4", "5"]), AnswerKind.number)[0] == ""


@pytest.mark.parametrize("level", [CotLevel.none, CotLevel.simplified, CotLevel.detailed])
def test_data_without_another_answer_or_sentence_are_refused(level: CotLevel) -> None:
    question = Question("q", "Q?", "4" if level is CotLevel.none else "It is. So 4.", "4")
    with pytest.raises(DataError, match="correctness=irrelevant needs"):
        IrrelevantResponses([question], level, AnswerKind.number, 0)(question)


def test_reasoning_without_known_answers_ends_on_another_closing_sentence() -> None:
    texts = [f"Start {i}. Go on {i}. Thus it ends {i}." for i in range(9)] + ["A. So \\boxed{5}."]
    questions = [
        Question(f"q{i}", f"Q{i}?", text, stated_answer(text)) for i, text in enumerate(texts)
    ]
    irrelevant = IrrelevantResponses(questions, CotLevel.detailed, AnswerKind.number, 0)
    for question in questions:
        ending = split_sentences(irrelevant(question))[-1]
        assert ending in [split_sentences(text)[-1] for text in texts if text != question.response]


@pytest.mark.parametrize("level", [CotLevel.none, CotLevel.detailed])
def test_no_answer_or_sentence_to_the_same_prompt_is_irrelevant(level: CotLevel) -> None:
    primes = ["2", "3", "5"]
    bare = level is CotLevel.none
    texts = [n if bare else f"A prime, {n}. Thus it is {n}." for n in primes]
    same = [Question(n, "Name a prime.", t, n) for n, t in zip(primes, texts, strict=True)]
    other_texts = ["8"] * 2 if bare else ["An even one, 8. So I say 8.", "The cube. Then take 8."]
    others = [Question(f"o{i}", f"Even {i}?", text, "8") for i, text in enumerate(other_texts)]
    irrelevant = IrrelevantResponses([*same, *others], level, AnswerKind.number, 0)
    for question in same:
        response = irrelevant(question)
        assert "8" in response
        assert not any(n in response for n in primes)


def test_a_response_of_another_question_is_not_taken_whole_where_it_can_be_mixed() -> None:
    texts = [f"Alone {i}." for i in range(20)] + [f"First {i}. Then {i}." for i in range(3)]
    questions = [Question(f"q{i}", f"Q{i}?", text, None) for i, text in enumerate(texts)]
    irrelevant = IrrelevantResponses(questions, CotLevel.detailed, AnswerKind.text, 0)
    assert not {irrelevant(question) for question in questions} & set(texts)


def test_responses_that_cannot_be_mixed_are_counted(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    path = tmp_path / "thai.jsonl"
    texts = ["สวัสดี วันนี้", "ขอบคุณ มาก", "ไม่มี อะไร"]
    records = [{"prompt": t[:3], "responses": {"detailed": t}} for t in texts]
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    loaded = load_samples(
        make_config("jsonl", "detailed", "irrelevant", path=path, answer="text", n_samples=3)
    )
    assert {sample.response for sample in loaded.samples} <= set(texts)
    assert loaded.messages == [
        "3 of 3 irrelevant responses are a whole response of another question: texts of one "
        "sentence, or without end marks of sentences, cannot be mixed"
    ]


def _paired(config: Callable[[str], Config]) -> list[tuple[Sample, Sample]]:
    correct, irrelevant = (load_samples(config(kind)).samples for kind in ("correct", "irrelevant"))
    assert [s.question_id for s in correct] == [s.question_id for s in irrelevant]
    return list(zip(correct, irrelevant, strict=True))


@pytest.mark.parametrize("level", ["simplified", "detailed"])
def test_sentences_are_as_many_and_none_is_the_questions_own(
    level: str, make_config: MakeConfig
) -> None:
    pairs = _paired(lambda kind: make_config("arithmetic", level, kind, n_samples=40))
    answers = load_samples(make_config("arithmetic", n_samples=40)).samples
    for (correct, irrelevant), answer in zip(pairs, answers, strict=True):
        own, others = (
            split_sentences(split_final_line(sample.response)[0])
            for sample in (correct, irrelevant)
        )
        assert len(own) == len(others)
        assert not set(own) & set(others)
        ending = split_final_line(irrelevant.response)[2] or others[-1]
        assert not re.search(rf"\b{answer.response}\b", ending)


def test_the_wrong_answer_of_a_question_is_the_same_at_every_level(
    make_config: MakeConfig,
) -> None:
    none, simplified, detailed = (
        load_samples(make_config("arithmetic", level, "irrelevant", n_samples=40)).samples
        for level in ("none", "simplified", "detailed")
    )
    for bare, short, long in zip(none, simplified, detailed, strict=True):
        assert short.response.endswith(f" The final answer is {bare.response}")
        assert bare.response in split_sentences(long.response)[-1]


def test_neither_number_nor_order_of_samples_changes_a_response(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    records = [
        {"prompt": f"Q{i}?", "responses": {"detailed": f"Open {i}. Go on {i}. Thus {i}."}}
        for i in range(30)
    ]

    def responses(order: Sequence[object], n: int, seed: int = 0) -> dict[str, str]:
        path = tmp_path / "mine.jsonl"
        path.write_text("\n".join(map(json.dumps, order)), encoding="utf-8")
        config = make_config("jsonl", "detailed", "irrelevant", path=path, n_samples=n, seed=seed)
        return {sample.prompt: sample.response for sample in load_samples(config).samples}

    every = responses(records, 30)
    assert responses(records[::-1], 30) == every
    assert responses(records, 7).items() <= every.items()
    assert responses(records, 30, seed=1) != every


@pytest.mark.long
@pytest.mark.parametrize(
    ("dataset", "level"),
    [
        ("gsm8k", "simplified"),
        ("gsm8k", "detailed"),
        ("aqua", "simplified"),
        ("aqua", "detailed"),
        ("strategyqa", "simplified"),
        ("strategyqa", "detailed"),
        ("math_algebra", "simplified"),
        ("math_algebra", "detailed"),
        ("wiki_popular_100", "none"),
        ("wiki_unpopular", "none"),
    ],
)
def test_generated_responses_are_made_like_the_papers(
    dataset: str, level: str, shared_root: Path, loaded: Callable[..., LoadedSamples]
) -> None:
    """Sentence counts and lengths within 15 % of the paper's own files, and no answer kept."""
    correct, paper, generated = (
        [
            sample.response
            for sample in loaded(dataset, level, kind, source=source, root=shared_root).samples
        ]
        for kind, source in (
            ("correct", "auto"),
            ("irrelevant", "paper"),
            ("irrelevant", "generated"),
        )
    )
    for measure in (lambda text: len(split_sentences(text)), len):
        assert mean(map(measure, generated)) == pytest.approx(mean(map(measure, paper)), rel=0.15)
    stated = "The final answer is "
    assert sum(stated in text for text in generated) == sum(stated in text for text in correct)
    if stated in correct[0]:
        answers = [[text.split(stated)[1] for text in texts] for texts in (correct, generated)]
        assert all(own != wrong for own, wrong in zip(*answers, strict=True))
        assert set(answers[1]) <= set(answers[0]) | {"(A)", "(B)", "(C)", "(D)", "(E)"}
    if dataset.startswith("wiki"):
        return  # drawn from anywhere, so not with an opening sentence first
    openings = {text[:20] for text in correct}
    opened = [mean(text[:20] in openings for text in texts) for texts in (paper, generated)]
    assert opened[1] == pytest.approx(opened[0], abs=0.25)


@pytest.mark.parametrize(
    ("dataset", "leaks"), [("gsm8k", 4), ("aqua", 64), ("strategyqa", 250)], ids=str
)
def test_the_papers_own_files_keep_some_answers_and_generated_ones_none(
    dataset: str, leaks: int, shared_root: Path, make_config: MakeConfig
) -> None:
    def kept(source: str) -> int:
        pairs = _paired(
            lambda kind: make_config(dataset, "none", kind, source=source, root=shared_root)
        )
        return sum(correct.response == irrelevant.response for correct, irrelevant in pairs)

    assert (kept("paper"), kept("generated")) == (leaks, 0)
