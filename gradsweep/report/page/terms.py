"""The words of a page that not every reader knows, explained where they stand and in a glossary."""

from __future__ import annotations

import re
from collections.abc import Iterator

from markupsafe import Markup, escape

TERMS = {
    "nuclear norm": (
        "Sum of all singular values of a weight gradient (Σσ): how large it is. Larger means that "
        "the response asks for a larger change of this matrix."
    ),
    "σ₁/Σσ": (
        "Largest singular value over the sum of all: near 1, the gradient has one direction that "
        "matters; near 0, many."
    ),
    "effective rank": (
        "Number of directions that a gradient spreads over: exp of the entropy of its singular "
        "values as shares of their sum. 1 where one direction has everything."
    ),
    "MAD": (
        "Mean absolute difference of a curve between neighbouring layers, in the metric's unit: "
        "how uneven gradients are over the layers. Larger curves have a larger MAD."
    ),
    "MAD over the mean": (
        "MAD divided by the curve's mean over layers: unevenness without the size. 0.2 says that a "
        "step from one layer to the next is a fifth of the mean."
    ),
    "RD": (
        "Relative difference |s − s′|/s between the curves of correct (s) and irrelevant (s′) "
        "responses to the same questions, by layer, then averaged: how well gradients tell them "
        "apart. It is positive for noise too."
    ),
    "noise removed": (
        "RD without what chance alone would give: a question's difference is never multiplied with "
        "itself, so that noise averages to zero. Below zero it is less than chance would give."
    ),
    "d_z": (
        "Effect size of paired differences: their mean over their standard deviation. 0.2 is "
        "small, 0.5 medium, 0.8 large."
    ),
    "95 % interval": (
        "Range that the number falls into in 95 of 100 draws of as many questions (bootstrap). "
        "Intervals that do not overlap are a sign of a difference that would be found again."
    ),
    "irrelevant": (
        "A response that belongs to another question, or another choice: fluent text that does "
        "not answer this one."
    ),
    "CoT": (
        "Chain of thought: reasoning before the answer. none has the answer alone, simplified a "
        "short reasoning, detailed a long one, partial_k the first k steps of it."
    ),
    "objective": (
        "The loss that a gradient belongs to: sft is the study's cross-entropy of one response; "
        "others take a pair of responses, correct and irrelevant, or a group with rewards."
    ),
    "series": (
        "Points that agree on every setting but model, dataset, CoT level, correctness, objective "
        "and seed. "
        "Only points of one series are compared; a series is named by what sets it apart."
    ),
    "probe": (
        "Fixed questions that are not trained on, whose gradients are measured at several steps: "
        "what differs between steps is the model alone."
    ),
    "held-out loss": (
        "Mean loss over questions of the same data that are kept out of training: it falls where "
        "what is learnt holds for others, too."
    ),
    "point": (
        "One model on one dataset at one CoT level, with correct or irrelevant responses, under "
        "one objective."
    ),
    "early, middle, late": (
        "Thirds of the layers; for the paper's models, its own cuts. Layer 0 is nearest to the "
        "input."
    ),
    "projection": (
        "A weight matrix of a layer: Q, K, V and O of attention, gate, up and down of the MLP."
    ),
}
"""Term -> what it means, in the order of the glossary."""

_WORD = re.compile(
    "|".join(rf"(?<![\w-]){re.escape(t)}(?![\w-])" for t in sorted(TERMS, key=len, reverse=True))
)


def anchor(term: str) -> str:
    """Give the id of a term's place in the glossary."""
    return "term-" + "-".join(re.findall(r"\w+", term.replace("σ₁", "sigma1"))).lower()


def term_link(term: str, shown: str | None = None) -> Markup:
    """Link a term to the glossary; the pointer over it shows what it means."""
    text = Markup('<a class="term" href="#{}" title="{}">{}</a>')
    return text.format(anchor(term), TERMS[term], shown or term)


def with_terms(text: str, seen: set[str]) -> Markup:
    """Escape `text` and link each term in it that is not in `seen`, which grows by them."""
    return Markup("").join(_pieces(text, seen))


def _pieces(text: str, seen: set[str]) -> Iterator[Markup]:
    end = 0
    for found in _WORD.finditer(text):
        if found[0] in seen:
            continue
        seen.add(found[0])
        yield escape(text[end : found.start()])
        yield term_link(found[0])
        end = found.end()
    yield escape(text[end:])
