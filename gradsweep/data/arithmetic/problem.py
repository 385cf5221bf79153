"""Word problems: what a template writes down, and the problem that chance makes of it.

A template gives every step of the solution as an expression; its value is computed from that
expression here, so a solution cannot say one number and mean another.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from random import Random

from gradsweep.data.arithmetic.people import Person

Values = dict[str, object]
"""What the `{fields}` of a template's texts stand for."""


@dataclass(frozen=True)
class Step:
    """One computation of a solution. In a template its texts hold `{fields}`, in a problem none."""

    key: str
    """Field by which later steps refer to this step's value."""
    title: str
    """What the step does, as an instruction: `Find the cost of the mugs`."""
    expression: str
    """Numbers, `+ - * /` and brackets: `3 * 12`."""
    unit: str
    """Plural noun that the value counts: `dollars`."""
    says: str
    """The result as a clause, with `{value}` for the number: `the mugs cost {value} dollars`."""
    why: str
    """Whole sentences: why this is the computation to do."""


@dataclass(frozen=True)
class SolvedStep:
    """A step with its numbers: texts are final, save for `{value}` in `says`."""

    title: str
    expression: str
    value: int
    unit: str
    says: str
    why: str


@dataclass(frozen=True)
class Template:
    """A kind of word problem. Every text may hold the fields of `choose`, of the people, and
    (in steps and conclusion) the keys of earlier steps."""

    choose: Callable[[Random], Values]
    """Draws the numbers and nouns: every step's value must be whole and at least 2."""
    prompts: tuple[str, ...]
    """Wordings of the same question; chance takes one."""
    facts: tuple[str, ...]
    """What the prompt says, as short notes without a full stop."""
    goal: str
    """What is asked, as an indirect question: `how much change {name} gets`."""
    steps: tuple[Step, ...]
    conclusion: str
    """The answer as a clause, with `{value}`: `{name} gets {value} dollars in change`."""


@dataclass(frozen=True)
class Problem:
    """One question with its solution, before a CoT level turns the solution into a response."""

    prompt: str
    facts: tuple[str, ...]
    goal: str
    steps: tuple[SolvedStep, ...]
    conclusion: str
    """Text is final, save for `{value}`."""

    @property
    def answer(self) -> int:
        return self.steps[-1].value


def make_problem(template: Template, rng: Random, person: Person, other: Person) -> Problem:
    """Fill `template` with the numbers that `rng` draws, about `person` (and `other`)."""
    values = _people(person, other) | template.choose(rng)
    prompt = rng.choice(template.prompts).format_map(values)
    facts = tuple(fact.format_map(values) for fact in template.facts)
    goal = template.goal.format_map(values)
    steps = []
    for step in template.steps:
        solved = _solve(step, values)
        values[step.key] = solved.value
        steps.append(solved)
    return Problem(prompt, facts, goal, tuple(steps), _fill(template.conclusion, values))


def evaluate(expression: str) -> Fraction:
    """The exact value of an expression of numbers, `+ - * /` and brackets."""

    def value(node: ast.expr) -> Fraction:
        if isinstance(node, ast.BinOp):
            return _OPERATORS[type(node.op)](value(node.left), value(node.right))
        assert isinstance(node, ast.Constant), ast.dump(node)
        return Fraction(str(node.value))

    return value(ast.parse(expression, mode="eval").body)


_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def _people(person: Person, other: Person) -> Values:
    return {
        "name": person.name,
        "she": person.subject,
        "She": person.subject.capitalize(),
        "her": person.possessive,
        "Her": person.possessive.capitalize(),
        "other": other.name,
    }


def _solve(step: Step, values: Mapping[str, object]) -> SolvedStep:
    expression = step.expression.format_map(values)
    value = evaluate(expression)
    assert value.denominator == 1, f"{step.key}: {expression} = {value} (no 2.5 buses)"
    assert value >= 2, f"{step.key}: {expression} = {value} (no 1 dollars)"
    return SolvedStep(
        title=step.title.format_map(values),
        expression=expression,
        value=int(value),
        unit=step.unit.format_map(values),
        says=_fill(step.says, values),
        why=step.why.format_map(values),
    )


def _fill(clause: str, values: Mapping[str, object]) -> str:
    """Fill every field but `{value}`, whose number a renderer may dress up."""
    return clause.format_map({**values, "value": "{value}"})
