"""The steps of a rationale, where each ends, and responses that keep only the first of them
(`cot=partial`).

A step is a sentence, or a line of its own: an item of a list, a paragraph, a written-out break
(`gradsweep.data.sentences`). A heading, and a line that ends in a colon, belong to what they
lead to. Lines count here, unlike in irrelevant responses, because the detailed texts of the
paper are full of lists and formulas without a full stop: their last *sentence* is often half of
the text, their last *step* is the answer (12 words in the median).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from gradsweep.data.answers import split_final_line
from gradsweep.data.sentences import TextRules, WholeParts, sentence_ends
from gradsweep.data.thoughts import split_thought

_NEW_LINE = re.compile(
    r"\n(?=[ \t]*\n|[ \t]*(?:[-*+]|\(?\d{1,2}[.)])[ \t])"  # before an empty line or a list item
    r"|(?:\\n(?![a-z]))+"  # breaks written out as backslash and n
)
_LEADS_ON = re.compile(r"[:：]\W*$|^[ \t]*#|^[ \t]*\*\*.*\*\*[ \t]*$")
_SPACE = re.compile(r"(?:\s|\\n(?![a-z]))+")


def split_steps(text: str, rules: TextRules = TextRules.general) -> list[str]:
    """The steps of `text` in order, each with the white space behind it: joined, they are `text`.

    A text of white space alone, or an empty one, has no steps.
    """
    steps, start = [], 0
    for end in _ends(text, rules):
        space = _SPACE.match(text, end)
        end = space.end() if space else end
        if text[start:end].strip() and text[end:].strip():
            steps.append(text[start:end])
            start = end
    return [*steps, text[start:]] if text[start:].strip() else steps


@dataclass(frozen=True)
class SteppedResponse:
    """A response in its parts, which joined are the response."""

    opening: str
    """`<think>` and the white space around it; empty without a thought."""
    steps: tuple[str, ...]
    """Those before the final answer, each with the white space behind it."""
    final: str
    """`The final answer is …` with the white space around it, else the last step; behind a
    thought, whose steps are counted, all that follows it."""


def split_response(response: str, rules: TextRules = TextRules.general) -> SteppedResponse:
    """Part a response into its steps and its final answer, which is all of it without steps."""
    if (parts := split_thought(response, rules)) and parts.answer.strip():
        steps = split_steps(parts.thought, rules)
        return SteppedResponse(parts.opening, tuple(steps), f"{parts.closing}{parts.answer}")
    reasoning, _, answer = split_final_line(response)
    steps = split_steps(reasoning, rules)
    if not steps:
        return SteppedResponse("", (), response)
    final = steps.pop() if answer is None else response[len(reasoning) :]
    return SteppedResponse("", tuple(steps), final)


def step_ends(response: str, rules: TextRules = TextRules.general) -> list[int]:
    """Offsets in `response` at which its steps end, ascending; the last one is its length.

    The white space between two steps belongs to the second: many tokenizers have the blank before
    a word in the word's token.
    """
    parts = split_response(response, rules)
    ends, start = [], len(parts.opening)
    for step in parts.steps:
        ends.append(start + end_of_text(step))
        start += len(step)
    return [*ends, len(response)]


def count_steps(response: str, rules: TextRules = TextRules.general) -> int:
    """Steps before the final answer."""
    return len(split_response(response, rules).steps)


def keep_steps(response: str, count: int, rules: TextRules = TextRules.general) -> str:
    """The first `count` steps of `response`, then its final answer as it stands there.

    The final answer is `The final answer is …` where the response ends so, else its last step;
    behind a thought, whose steps are counted, it is all that follows. A response with no more
    than `count` steps before it stays as it is.
    """
    if (parts := split_thought(response, rules)) and parts.answer.strip():
        steps = split_steps(parts.thought, rules)
        if count >= len(steps):
            return response
        kept = "".join(steps[:count]).rstrip()
        return str(replace(parts, thought=kept)) if count else parts.answer
    reasoning, introduction, answer = split_final_line(response)
    steps = split_steps(reasoning, rules)
    final = f"{introduction}{answer}"
    if answer is None:
        final = steps.pop() if steps else ""
    if count >= len(steps):
        return response
    if not count:
        return final
    kept = "".join(steps[:count])
    end = end_of_text(kept)
    before_final = response[: len(response.rstrip()) - len(final.rstrip())]
    border = before_final[end_of_text(before_final) :]
    # A line that is no sentence stays a line: `- 4 apples` does not run into the answer.
    space = border if "\n" in border else kept[end:]
    return f"{kept[:end]}{space or ' '}{final}"


def _ends(text: str, rules: TextRules) -> list[int]:
    """Offsets at which a step may end, ascending."""
    ends = {end for end in sentence_ends(text, rules) if not _inside_lead(text, end)}
    whole = WholeParts(text, rules)
    for line in _NEW_LINE.finditer(text):
        before = text[: line.start()].rstrip()
        last_line = before.rpartition("\n")[2]
        leads_on = line.group() == "\n" and _LEADS_ON.search(last_line)
        if not leads_on and not whole.hold(*line.span()):
            ends.add(len(before))
    return sorted(ends)


def _inside_lead(text: str, end: int) -> bool:
    """Whether a sentence that ends at `end` is a heading, which belongs to what follows."""
    line_start = text.rfind("\n", 0, end) + 1
    following = text[end:].partition("\n")[0]
    heading = text[line_start:end]
    return not following.strip() and bool(_LEADS_ON.search(heading))


def end_of_text(text: str) -> int:
    """Length of `text` without the white space and written breaks at its end."""
    end = len(text.rstrip())
    while (shorter := text[:end].removesuffix("\\n").rstrip()) != text[:end]:
        end = len(shorter)
    return end
