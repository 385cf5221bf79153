"""Question number `index` of a seed, and its response at each CoT level."""

from __future__ import annotations

from random import Random

from gradsweep.config import CotLevel
from gradsweep.data.arithmetic.detailed import detailed
from gradsweep.data.arithmetic.people import PEOPLE
from gradsweep.data.arithmetic.problem import Problem, make_problem
from gradsweep.data.arithmetic.templates import TEMPLATES

_STRIDE = 37
"""Coprime to the number of people: neighbouring questions are about different people."""


def problem(seed: int, index: int) -> Problem:
    """Question `index` (from 0) of `seed`. Depends on nothing else.

    Every block of `len(TEMPLATES)` questions holds each template once, and a template meets
    another person in every block: no prompt comes twice in the first
    `len(TEMPLATES) * len(PEOPLE)` questions.
    """
    block, place = divmod(index, len(TEMPLATES))
    kind = _order(f"{seed} templates {block}", len(TEMPLATES))[place]
    people = _order(f"{seed} people", len(PEOPLE))
    first = (block + _STRIDE * kind) % len(PEOPLE)
    rng = Random(f"{seed} question {index}")
    second = (first + rng.randrange(1, len(PEOPLE))) % len(PEOPLE)
    return make_problem(TEMPLATES[kind], rng, PEOPLE[people[first]], PEOPLE[people[second]])


def response(solved: Problem, level: CotLevel, seed: int, index: int) -> str:
    """The answer to `problem(seed, index)` at a CoT level."""
    if level is CotLevel.none:
        return str(solved.answer)
    if level is CotLevel.simplified:
        return f"{_equations(solved)}\nThe final answer is {solved.answer}"
    return detailed(solved, Random(f"{seed} wording {index}"))


def _equations(solved: Problem) -> str:
    clauses = (step.says.format(value=f"{step.expression} = {step.value}") for step in solved.steps)
    return " ".join(f"{clause[0].upper()}{clause[1:]}." for clause in clauses)


def _order(key: str, count: int) -> list[int]:
    order = list(range(count))
    Random(key).shuffle(order)
    return order
