"""Responses whose steps are fewer, in another order or flawed (`cot.ablate`).

What is done depends on the seed and the question alone: a response that is right and one that is
irrelevant lose the same place, where they have as many steps.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from gradsweep.config import Ablation
from gradsweep.data.sentences import TextRules
from gradsweep.data.steps import SteppedResponse, end_of_text, split_response

_FEWEST_STEPS = 2
"""Below, there is no other order, and a step that is left out leaves no reasoning."""
_NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?")
_ENUMERATION = re.compile(r"^\W*\d{1,2}[.):](?=\s)|\bsteps? \d+", re.IGNORECASE | re.MULTILINE)
"""Numbers of list items and steps: another one is no wrong calculation."""
_BREAKS = ("\n", "\\n")


@dataclass(frozen=True)
class Ablated:
    """What became of a response."""

    text: str
    """The ablated response; as it was where that is not possible."""
    unusable: str = ""
    """Why it is not possible; empty otherwise."""


def ablated(response: str, ablation: Ablation, seed: str, rules: TextRules) -> Ablated:
    """Ablate the steps before the final answer, which stays as it is.

    drop: one step is left out, of three and more neither the first nor the last. shuffle: the steps
    in another order, never in their own. corrupt: one digit of one number in one step becomes
    another digit, so that the length stays; numbers of list items do not count.

    Args:
        response: of a level with steps.
        ablation: what is done.
        seed: of the point and the question; the same ones give the same text.
        rules: of its texts.
    """
    parts = split_response(response, rules)
    rng = Random(f"{seed} {ablation.name}")
    made = _ABLATIONS[ablation](parts, rng)
    if made is not None:
        return Ablated(made)
    has = f"of the {len(parts.steps)} steps before the final answer"
    why = {
        Ablation.drop: f"{has} none can be left out: {_FEWEST_STEPS} or more are needed",
        Ablation.shuffle: f"{has} there is no other order: {_FEWEST_STEPS} different ones or more "
        "are needed",
        Ablation.corrupt: f"{has} none has a number",
    }[ablation]
    return Ablated(response, f"cot.ablate={ablation.name}: {why}")


def makes_one_step_wrong(ablation: Ablation | None) -> bool:
    """Whether an ablation leaves all steps where they are, and what one of them says is wrong."""
    return ablation is Ablation.corrupt


def _dropped(parts: SteppedResponse, rng: Random) -> str | None:
    n_steps = len(parts.steps)
    if n_steps < _FEWEST_STEPS:
        return None
    inner = range(1, n_steps - 1) or range(n_steps)
    left_out = rng.choice(inner)
    return _joined(parts, [place for place in range(n_steps) if place != left_out])


def _shuffled(parts: SteppedResponse, rng: Random) -> str | None:
    texts = [step[: end_of_text(step)] for step in parts.steps]
    if len(set(texts)) < _FEWEST_STEPS:
        return None
    order = list(range(len(texts)))
    while [texts[place] for place in order] == texts:
        rng.shuffle(order)
    return _joined(parts, order)


def _corrupted(parts: SteppedResponse, rng: Random) -> str | None:
    found = [(place, span) for place, step in enumerate(parts.steps) for span in _numbers(step)]
    if not found:
        return None
    place, (start, end) = rng.choice(found)
    steps = list(parts.steps)
    step = steps[place]
    steps[place] = f"{step[:start]}{_other_number(step[start:end], rng)}{step[end:]}"
    return f"{parts.opening}{''.join(steps)}{parts.final}"


_ABLATIONS = {
    Ablation.drop: _dropped,
    Ablation.shuffle: _shuffled,
    Ablation.corrupt: _corrupted,
}


def _numbers(step: str) -> list[tuple[int, int]]:
    enumerated = [match.span() for match in _ENUMERATION.finditer(step)]
    spans = [match.span() for match in _NUMBER.finditer(step)]
    return [
        (start, end)
        for start, end in spans
        if not any(first <= start < last for first, last in enumerated)
    ]


def _other_number(number: str, rng: Random) -> str:
    """The number with another digit at one place; a first digit of several is never 0."""
    places = [place for place, character in enumerate(number) if character.isdigit()]
    place = rng.choice(places)
    allowed = "123456789" if place == 0 and len(places) > 1 else "0123456789"
    digit = rng.choice([other for other in allowed if other != number[place]])
    return f"{number[:place]}{digit}{number[place + 1 :]}"


def _joined(parts: SteppedResponse, order: Sequence[int]) -> str:
    """The steps in this order, then the final answer; a line of its own stays one."""
    texts = [step[: end_of_text(step)] for step in parts.steps]
    behind = [step[end_of_text(step) :] for step in parts.steps]
    before = ["", *behind]
    written = [parts.opening]
    for place, following in zip(order, [*order[1:], None], strict=True):
        written.append(texts[place])
        if following is not None:
            written.append(_border(behind[place], before[following]))
    end = _border(behind[-1], behind[order[-1]]) if behind[-1] else ""
    return "".join([*written, end, parts.final])


def _border(behind: str, before: str) -> str:
    """What stands between two steps: a line break where one of them has it there, else a blank."""
    breaks = [space for space in (behind, before) if any(b in space for b in _BREAKS)]
    return max(breaks, key=len) if breaks else behind or before or " "
