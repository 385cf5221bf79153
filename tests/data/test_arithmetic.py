"""The bundled word problems: right answers, clean language, and text that a seed alone decides."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from fractions import Fraction
from functools import cache

import pytest

from gradsweep.config import Config, CotLevel
from gradsweep.data import fingerprint, load_samples
from gradsweep.data.arithmetic import VERSION
from gradsweep.data.arithmetic.generate import problem, response
from gradsweep.data.arithmetic.problem import evaluate
from gradsweep.data.arithmetic.templates import TEMPLATES
from gradsweep.data.sentences import split_sentences
from gradsweep.errors import ConfigError

SEEDS = (0, 7)
INDICES = range(0, 640)
"""Twenty times every template."""

EQUATION = re.compile(r"([\d.()]+(?: [-+*/] [\d.()]+)+) = (\d+)")


@cache
def _response(level: str, seed: int, index: int) -> str:
    return response(problem(seed, index), CotLevel[level], seed, index)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_equation_is_true_and_the_last_one_gives_the_answer(seed: int) -> None:
    for index in INDICES:
        steps, final = _response("simplified", seed, index).split("\nThe final answer is ")
        equations = EQUATION.findall(steps)
        assert 2 <= len(equations) <= 5
        for left, right in equations:
            assert Fraction(eval(left.replace("1.5", "Fraction(3, 2)"))) == int(right), left
        assert equations[-1][1] == final == _response("none", seed, index)


@pytest.mark.parametrize("seed", SEEDS)
def test_steps_use_only_numbers_that_the_problem_or_earlier_steps_give(seed: int) -> None:
    constants = {"2", "3", "12", "100", "1000", "1.5", "1"}
    for index in INDICES:
        known = set(re.findall(r"\d+", problem(seed, index).prompt)) | constants
        for step in problem(seed, index).steps:
            used = set(re.findall(r"\d+(?:\.\d+)?", step.expression))
            assert used <= known, (problem(seed, index).prompt, step.expression)
            known.add(str(step.value))


@pytest.mark.parametrize("seed", SEEDS)
def test_detailed_explains_the_same_solution_at_length(seed: int) -> None:
    for index in INDICES:
        text, answer = _response("detailed", seed, index), _response("none", seed, index)
        assert 150 <= len(text.split()) <= 300
        assert re.search(rf"(?<!\d){answer}(?!\d)", split_sentences(text)[-1])
        for step in problem(seed, index).steps:
            assert step.title in text
            assert f"= {step.value} \\text{{ {step.unit}}}" in text


def test_detailed_formulas_say_what_the_equations_say() -> None:
    for index in INDICES:
        text = _response("detailed", 0, index)
        formulas = re.findall(r"(\S.*) = (\d+) \\text\{", text)
        assert len(formulas) == len(problem(0, index).steps)
        for left, right in formulas:
            plain = re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"\1 / \2", left.split("\\( ")[-1])
            assert evaluate(plain.replace("\\times", "*")) == int(right)


@pytest.mark.parametrize("seed", SEEDS)
def test_prompts_are_distinct_and_short(seed: int) -> None:
    prompts = [problem(seed, index).prompt for index in range(3200)]
    assert len(set(prompts)) == len(prompts)
    lengths = [len(prompt.split()) for prompt in prompts]
    assert min(lengths) >= 15
    assert max(lengths) <= 60


UNCLEAN = {
    "an unfilled field": r"\{[a-z_]+\}",
    "a before a vowel": r"\b[Aa] [aeio]\w*",
    "one of a plural": r"(?<![\w/.*+-])(?<![-+*/] )1 [a-z]+s\b",
    "a negative number": r"(?<!\w)-\d",
    "a doubled space or full stop": r"\S  +\S|\.\.",
    "a sentence that begins small": r"[.?] [a-z]",
}


@pytest.mark.parametrize("level", ["prompt", "none", "simplified", "detailed"])
@pytest.mark.parametrize("fault", UNCLEAN)
def test_language_is_clean(level: str, fault: str) -> None:
    for index in INDICES:
        text = problem(3, index).prompt if level == "prompt" else _response(level, 3, index)
        assert not re.search(UNCLEAN[fault], re.sub(r" \\text\{.*?\}", "", text)), text


def test_every_template_comes_once_before_any_comes_again() -> None:
    assert len(TEMPLATES) >= 20
    count = len(TEMPLATES)
    goals = [problem(0, index).steps[-1].title for index in range(2 * count)]
    assert sorted(goals[:count]) == sorted(goals[count:])
    assert goals[:count] != goals[count:]


def test_a_question_depends_on_seed_and_index_only() -> None:
    assert problem(0, 40) == problem(0, 40)
    assert problem(0, 40).prompt != problem(1, 40).prompt
    openings = {_response("detailed", 0, index).split("\n")[0] for index in range(32)}
    assert len(openings) > 24, "detailed responses must not begin alike"


def test_the_text_of_this_version_has_not_changed() -> None:
    """Stored results refer to these texts: whoever changes one raises VERSION (and this hash)."""
    texts = [problem(0, index).prompt for index in range(96)]
    texts += [_response(level.name, 0, index) for level in CotLevel for index in range(96)]
    found = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    assert (VERSION, found) == (1, "2cf0a6b24d072229")


def test_another_version_is_refused(make_config: Callable[..., Config]) -> None:
    for call in (fingerprint, load_samples):
        with pytest.raises(ConfigError, match=r"dataset\.version=9.*version 1"):
            call(make_config("arithmetic", version=9))
