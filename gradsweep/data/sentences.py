"""Splitting a response into sentences, the pieces that irrelevant responses are made of.

A sentence ends at `.`, `!` or `?` (with closing quotes, brackets, asterisks or a LaTeX
delimiter) before white space. Decimals, list numbers at the start of a line, initials and
common abbreviations do not end one. Line breaks do not either: a heading, a list marker or a
formula stays with the sentence it leads to, as in the paper's released files. The exception are
breaks written out as the two characters `\\n`, as in AQuA's rationales: each of their lines is a
sentence, and gets the full stop that it lacks.

The user's own texts are of any language and form (`TextRules.general`). There a sentence also ends
at the end marks of every script (Unicode's Sentence_Terminal: `。` `।` `؟` `။` …), for which no
white space need follow, and never inside a formula, fenced code or a thought; dots of omission
before a small letter end none. The texts of the paper keep the rules that its own files show.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import pairwise

import regex


class TextRules(Enum):
    """Which rules split a text, and mix the pieces of several."""

    paper = "paper"
    """Those of the paper's files: for its texts and the bundled ones, which stay as they were."""
    general = "general"
    """Those for texts of any language and form."""


_CLOSERS = r"""["'”’)\]*$]*(?:\s*\\[\])])?"""
_ANY_CLOSERS = r"""[\p{Pe}\p{Pf}"'*$]*"""
_WITHOUT_SPACES = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
"""Letters of the scripts that put no space between sentences."""
_END = {
    TextRules.paper: regex.compile(rf"(?P<mark>[.!?]+){_CLOSERS}(?=\s|$)"),
    TextRules.general: regex.compile(
        rf"(?P<mark>[.!?…]+){_ANY_CLOSERS}(?:\s*\\[\])])?(?=\s|$)"
        # Marks of other scripts: no white space need follow.
        r"|(?P<mark>(?:[\p{Sentence_Break=STerm}--[!?]]|．(?!\d))"
        rf"[.!?…．\p{{Sentence_Break=STerm}}]*){_ANY_CLOSERS}"
        # Latin marks between letters of scripts without spaces.
        rf"|(?P<mark>[!?]+|(?<={_WITHOUT_SPACES})\.){_ANY_CLOSERS}(?={_WITHOUT_SPACES})",
        regex.VERSION1,
    ),
}
_WHOLE = regex.compile(
    r"^[ \t]*(?P<fence>`{3,}|~{3,})[^\n]*\n(?:.*?\n)??[ \t]*(?P=fence)[`~]*[ \t]*$"  # code
    r"|<think>.*?</think>"
    r"|\\begin\{(?P<name>\w+\*?)\}.*?\\end\{(?P=name)\}"
    r"|\\\[.*?\\\]|\\\(.*?\\\)|\$\$.+?\$\$"
    # A formula between single dollars, by Pandoc's rule, which knows prices from it.
    r"|(?<![\\$\d])\$(?=[^\s$])(?:[^$\n\\]|\\.)*?(?<=\S)\$(?![\d$])"
    r"|`[^`\n]+`",
    regex.DOTALL | regex.MULTILINE,
)
"""What no sentence ends inside of."""
WRITTEN_BREAK = regex.compile(r"\\n(?![a-z])")
"""A backslash and an n, but not the start of a LaTeX command such as `\\neq`."""
_LIST_NUMBER = regex.compile(r"(?:^|\n)[ \t]*(?:[-*#]+ *)*\(?\d{1,2}$")
_INITIAL = regex.compile(r"(?:^|[\s.(])[A-Z]$")
_ABBREVIATION = regex.compile(
    r"(?:^|[\s(\"'])(?:mr|mrs|ms|dr|prof|st|jr|sr|vs|cf|fig|eq|vol|approx|rs|e\.g|i\.e|u\.s)$",
    regex.IGNORECASE,
)
_LONGEST_ABBREVIATION = 12
"""Characters: more than any has with the one before it."""
_FENCES = ("```", "~~~")
_ENDS_WIDE = regex.compile(rf"(?:[。！？｡．…]|{_WITHOUT_SPACES}[.!?]+)[\p{{Pe}}\p{{Pf}}]*$")
_BEGINS_WIDE = regex.compile(rf"[\p{{Ps}}\p{{Pi}}]*{_WITHOUT_SPACES}")
_OMISSION = regex.compile(r"(?:\.{2,}|…+)(?![.!?…])")


def split_sentences(text: str, rules: TextRules = TextRules.general) -> list[str]:
    """The sentences of `text` in order, without the white space between them."""
    lines = [line.strip() for line in _written_lines(text, rules) if line.strip()]
    if len(lines) > 1:
        end = _END[rules]
        lines = [line if end.search(line, len(line) - 1) else f"{line}." for line in lines]
    return [sentence for line in lines for sentence in _split_line(line, rules)]


def join_sentences(sentences: Sequence[str], rules: TextRules = TextRules.general) -> str:
    """A text of `sentences`, with a space between them where their script has one.

    Fenced code stays on lines of its own.
    """
    if rules is TextRules.paper:
        return " ".join(sentences)
    text = "".join(sentences[:1])
    for sentence in sentences[1:]:
        text += f"{_space_between(text, sentence)}{sentence}"
    return text


def sentence_ends(text: str, rules: TextRules = TextRules.general) -> Iterator[int]:
    """Offsets behind the end mark of every sentence of `text`; written breaks are not asked."""
    whole = WholeParts(text, rules)
    start = 0
    for end in _END[rules].finditer(text):
        before, after = text[start : end.start()], text[end.end() :]
        if whole.hold(end.start("mark"), end.end()) or _goes_on(end.group(), before, after, rules):
            continue
        yield end.end()
        start = end.end()


class WholeParts:
    """The parts of a text that are not split: fenced code, formulas, thoughts.

    By the paper's rules there are none.
    """

    def __init__(self, text: str, rules: TextRules) -> None:
        general = rules is TextRules.general
        self._spans = [match.span() for match in _WHOLE.finditer(text)] if general else []
        self._starts = [start for start, _ in self._spans]

    def hold(self, start: int, end: int) -> bool:
        """Whether text from `start` to `end` lies in such a part, and ends before it does."""
        index = bisect_right(self._starts, start) - 1
        return index >= 0 and end < self._spans[index][1]


def _written_lines(text: str, rules: TextRules) -> list[str]:
    whole = WholeParts(text, rules)
    breaks = [b.span() for b in WRITTEN_BREAK.finditer(text) if not whole.hold(*b.span())]
    starts, ends = [0, *(end for _, end in breaks)], [*(start for start, _ in breaks), len(text)]
    return [text[start:end] for start, end in zip(starts, ends, strict=True)]


def _split_line(text: str, rules: TextRules) -> list[str]:
    borders = [0, *sentence_ends(text, rules), len(text)]
    sentences = [text[start:end].strip() for start, end in pairwise(borders)]
    return [sentence for sentence in sentences if sentence]


def _goes_on(end: str, before: str, after: str, rules: TextRules) -> bool:
    """Whether a sentence goes on behind `end`: the mark of an abbreviation, dots of omission."""
    if end == "." and after and not after.isspace():
        return _is_abbreviated(before, after)
    omits = rules is TextRules.general and _OMISSION.match(end)
    return bool(omits) and after.lstrip()[:1].islower()


def _is_abbreviated(before: str, after: str) -> bool:
    """Whether a full stop belongs to a list number, an initial or an abbreviation."""
    # What these expressions match is the end of a text; most of a long one need not be searched.
    if before[-1:].isdecimal() and _LIST_NUMBER.search(before):
        return True
    if _ABBREVIATION.search(before[-_LONGEST_ABBREVIATION:]):
        return True
    return bool(_INITIAL.search(before[-2:])) and after.lstrip()[0].isupper()


def _space_between(text: str, sentence: str) -> str:
    if text.endswith(_FENCES) or sentence.startswith(_FENCES):
        return "\n"
    return "" if _ENDS_WIDE.search(text[-8:]) and _BEGINS_WIDE.match(sentence) else " "
