"""Whether conditions differ in their texts: irrelevant responses, lengths of CoT levels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median

from gradsweep.data.answers import same, stated_answer
from gradsweep.data.sentences import split_sentences
from gradsweep.doctor.check import Check, CheckState, share
from gradsweep.records import Sample

IRRELEVANT = "irrelevant responses"
LEVELS = "CoT levels"

MOST_IDENTICAL = 0.2
"""From this share of unchanged responses on, the two conditions are partly the same one."""

CLEARLY_LONGER = 1.5
"""Ratio of median lengths from which a level is another amount of reasoning."""

_REAL_SENTENCE_WORDS = 4
"""Shorter sentences (`So.`, `Step 2.`) are in responses to many questions."""

_GENERATED = "correctness.source=generated never keeps an answer or a sentence"
_OWN_FILE = "compare the two files; " + _GENERATED


def check_irrelevant(
    correct: Sequence[Sample], irrelevant: Sequence[Sample], *, preferred: bool = False
) -> Check:
    """Count irrelevant responses that are, or end on, the correct one, or share a sentence with it.

    Where the correct one is only `preferred` to the other, as in pairs of one's own, the two may
    well have an answer or sentences in common: then only equal ones count.

    A problem from a fifth of responses that did not change on (with them, the conditions are
    alike by construction); a warning when some are unchanged, keep their final answer or a
    sentence of at least four words.
    """
    originals = {sample.question_id: sample.response for sample in correct}
    pairs = [
        (originals[s.question_id], s.response) for s in irrelevant if s.question_id in originals
    ]
    if not pairs:
        return Check(
            IRRELEVANT,
            CheckState.NOT_CHECKED,
            "correct and irrelevant responses have no question in common",
            "use data in which both kinds answer the same questions",
        )
    n = len(pairs)
    changed = [(one, other) for one, other in pairs if not same(one, other)]
    identical = n - len(changed)
    if preferred:
        changed = []
    answers = sum(_same_answer(one, other) for one, other in changed)
    sentences = sum(bool(_sentences(one) & _sentences(other)) for one, other in changed)
    found = [
        f"{share(count, n)} {words}"
        for count, words in (
            (identical, "are the correct response itself"),
            (answers, "keep the correct answer"),
            (sentences, "hold a sentence of the correct response"),
        )
        if count
    ]
    if not found:
        kept = "is the preferred one" if preferred else "keeps an answer or a sentence"
        return Check(IRRELEVANT, CheckState.OK, f"none of {n} {kept}")
    grave = identical >= MOST_IDENTICAL * n
    state = CheckState.PROBLEM if grave else CheckState.WARNING
    return Check(IRRELEVANT, state, ", ".join(found), _OWN_FILE if grave else _GENERATED)


def _same_answer(correct: str, irrelevant: str) -> bool:
    first, second = stated_answer(correct), stated_answer(irrelevant)
    return first is not None and second is not None and same(first, second)


def _sentences(response: str) -> set[str]:
    """A text's sentences in lower case, words alone, without those that anyone may write."""
    words = (re.findall(r"\w+", sentence.casefold()) for sentence in split_sentences(response))
    return {" ".join(found) for found in words if len(found) >= _REAL_SENTENCE_WORDS}


def check_levels(lengths: Mapping[str, Sequence[int]], unit: str = "tokens") -> Check:
    """Check whether the levels, given from fast to slow thinking, grow in length.

    Args:
        lengths: level -> lengths of its responses to the same questions, in `unit`.
        unit: tokens, or words where there is no tokenizer.
    """
    medians = {level: median(found) for level, found in lengths.items() if found}
    if len(medians) < 2:
        there = ", ".join(medians) or "none"
        return Check(LEVELS, CheckState.OK, f"these data have one level only ({there})")
    listed = " < ".join(f"{level} {value:g}" for level, value in medians.items())
    finding = f"median length in {unit}: {listed}"
    steps = [
        (shorter, longer, medians[longer] / max(medians[shorter], 1e-9))
        for shorter, longer in pairwise(medians)
    ]
    shorter, longer, ratio = min(steps, key=lambda step: step[2])
    if ratio >= CLEARLY_LONGER:
        return Check(LEVELS, CheckState.OK, finding)
    finding = f"{finding.replace(' <', ',')}; {longer} is {ratio:.2f} times as long as {shorter}"
    remedy = f"look whether the responses of {longer} are in the right field or file"
    return Check(LEVELS, CheckState.PROBLEM if ratio <= 1 else CheckState.WARNING, finding, remedy)
