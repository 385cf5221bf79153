"""Splitting a response into sentences, the pieces that irrelevant responses are made of.

A sentence ends at `.`, `!` or `?` (with closing quotes, brackets, asterisks or a LaTeX
delimiter) before white space. Decimals, list numbers at the start of a line, initials and
common abbreviations do not end one. Line breaks do not either: a heading, a list marker or a
formula stays with the sentence it leads to, as in the paper's released files. The exception are
breaks written out as the two characters `\\n`, as in AQuA's rationales: each of their lines is a
sentence, and gets the full stop that it lacks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

_END = re.compile(r"""[.!?]+["'”’)\]*$]*(?:\s*\\[\])])?(?=\s|$)""")
_WRITTEN_BREAK = re.compile(r"\\n(?![a-z])")
"""A backslash and an n, but not the start of a LaTeX command such as `\\neq`."""
_LIST_NUMBER = re.compile(r"(?:^|\n)[ \t]*(?:[-*#]+ *)*\(?\d{1,2}$")
_INITIAL = re.compile(r"(?:^|[\s.(])[A-Z]$")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'])(?:mr|mrs|ms|dr|prof|st|jr|sr|vs|cf|fig|eq|vol|approx|rs|e\.g|i\.e|u\.s)$",
    re.IGNORECASE,
)


def split_sentences(text: str) -> list[str]:
    """The sentences of `text` in order, without the white space between them."""
    lines = [line.strip() for line in _WRITTEN_BREAK.split(text) if line.strip()]
    if len(lines) > 1:
        lines = [line if _END.search(line, len(line) - 1) else f"{line}." for line in lines]
    return [sentence for line in lines for sentence in _split_line(line)]


def sentence_ends(text: str) -> Iterator[int]:
    """Offsets behind the end mark of every sentence of `text`; written breaks are not asked."""
    start = 0
    for end in _END.finditer(text):
        if not _is_abbreviated(text[start : end.start()], end.group(), text[end.end() :]):
            yield end.end()
            start = end.end()


def _split_line(text: str) -> list[str]:
    borders = [0, *sentence_ends(text), len(text)]
    sentences = [text[start:end].strip() for start, end in pairwise(borders)]
    return [sentence for sentence in sentences if sentence]


def _is_abbreviated(before: str, mark: str, after: str) -> bool:
    """Whether a full stop belongs to a list number, an initial or an abbreviation."""
    if mark != "." or not after.strip():
        return False
    if _LIST_NUMBER.search(before) or _ABBREVIATION.search(before):
        return True
    return bool(_INITIAL.search(before)) and after.lstrip()[0].isupper()
