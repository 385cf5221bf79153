"""The detailed CoT level: a solution explained at length, 150 to 300 words.

It follows the habits of the paper's GPT-4o responses: restate the goal, list what is known, one
titled step after the other with its formula in LaTeX, a conclusion that carries the answer.
Layout and phrases vary from question to question.
"""

from __future__ import annotations

import re
from random import Random

from gradsweep.data.arithmetic.problem import Problem, SolvedStep

_ENOUGH_WORDS = 160
"""Below this many words the solution also checks its result."""

_OPENINGS = (
    "To find out {goal}, we can go through the problem one step at a time.",
    "To determine {goal}, we need to follow these steps.",
    "Let's work out {goal} step by step.",
    "The question is {goal}. Let's break the problem down into smaller parts.",
    "We want to know {goal}, so let's look at the solution in detail.",
    "To see {goal}, it helps to split the problem into {count} steps.",
    "Let's figure out {goal} by solving one part of the problem after another.",
    "This problem asks {goal}, so let's collect the numbers first and then combine them.",
)
_KNOWN = (
    "Here is what we know:",
    "First, let's list what is given:",
    "The problem gives us this information:",
    "**Given:**",
    "These are the numbers that matter:",
)
_LAYOUTS = (
    "{i}. **{title}**\n\n   {why}\n   \\[\n   {formula}\n   \\]\n   {so}",
    "### Step {i}: {title}\n\n{why}\n\n\\[\n{formula}\n\\]\n\n{so}",
    "**Step {i}: {title}**\n\n{why} As a formula, this is \\( {formula} \\). {so}",
    "{i}. **{title}:**\n   - {why}\n   - Calculation: \\( {formula} \\).\n   - {so}",
)
_RESULTS = (
    "So {says}.",
    "This means that {says}.",
    "Hence, {says}.",
    "In other words, {says}.",
    "We can see that {says}.",
    "This shows that {says}.",
)
_BRIDGES = (
    "We will need this number in a moment.",
    "With this result, we can go on to the next step.",
    "This brings us closer to the answer, but we are not there yet.",
    "Let's keep this value in mind.",
    "That settles this part of the problem.",
)
_CHECKS = (
    "Let's go through the calculations once more to be sure: {chain}. Every step uses only what "
    "the problem states or what was found before, so the result is consistent.",
    "As a check, we can write the whole chain in one line: {chain}. The numbers fit together, and "
    "nothing that the problem mentions has been left out.",
    "Before we finish, here is a short summary of the computation: {chain}. All the given "
    "information has been used exactly once where it belongs.",
)
_CONCLUSIONS = (
    "Therefore, {conclusion}.",
    "Thus, {conclusion}.",
    "### Conclusion\n\nAfter all the steps, {conclusion}.",
    "In conclusion, {conclusion}.",
    "Putting everything together, {conclusion}.",
    "**Answer:** In the end, {conclusion}.",
)
_EMPHASES = ("**{}**", "\\( \\boxed{{{}}} \\)", "{}")


def detailed(problem: Problem, rng: Random) -> str:
    """The explained solution of `problem`, in a layout and with phrases that `rng` takes."""
    steps = _steps(problem.steps, rng)
    opening = rng.choice(_OPENINGS).format(goal=problem.goal, count=len(problem.steps))
    known = "\n".join([rng.choice(_KNOWN), *(f"- {fact}" for fact in problem.facts)])
    check = rng.choice(_CHECKS).format(chain=_chain(problem.steps))
    answer = rng.choice(_EMPHASES).format(problem.answer)
    conclusion = rng.choice(_CONCLUSIONS).format(conclusion=problem.conclusion.format(value=answer))
    parts = [opening, known, *steps, conclusion]
    if sum(len(part.split()) for part in parts) < _ENOUGH_WORDS:
        parts.insert(-1, check)
    return "\n\n".join(parts)


def _steps(steps: tuple[SolvedStep, ...], rng: Random) -> list[str]:
    layout = rng.choice(_LAYOUTS)
    results = rng.sample(_RESULTS, len(steps))
    bridged = rng.randrange(len(steps) - 1)
    texts = []
    for i, (step, result) in enumerate(zip(steps, results, strict=True)):
        so = result.format(says=step.says.format(value=step.value))
        if i == bridged:
            so = f"{so} {rng.choice(_BRIDGES)}"
        texts.append(
            layout.format(i=i + 1, title=step.title, why=step.why, formula=formula(step), so=so)
        )
    return texts


def formula(step: SolvedStep) -> str:
    """A step's equation in LaTeX, with its unit."""
    left = re.sub(r"(\d+) / (\d+)", r"\\frac{\1}{\2}", step.expression)
    return f"{left.replace('*', chr(92) + 'times')} = {step.value} \\text{{ {step.unit}}}"


def _chain(steps: tuple[SolvedStep, ...]) -> str:
    equations = [f"{step.expression} = {step.value}" for step in steps]
    return ", ".join(equations[:-1]) + f", and finally {equations[-1]}"
