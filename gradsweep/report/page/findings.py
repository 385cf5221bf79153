"""The findings page as part of a larger one."""

from __future__ import annotations

from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from gradsweep.report.page.terms import with_terms

_DEEPER = {"h1": "h2", "h2": "h3", "h3": "h4"}


def findings_html(markdown: str) -> str:
    """Render `findings_markdown` as HTML: its overview open, every section below folded.

    HTML in the text (the name of a model, say) stays text.
    """
    parser, tokens = _parsed(markdown)
    for token in tokens:
        token.tag = _DEEPER.get(token.tag, token.tag)
    _explain(tokens)
    return str(parser.renderer.render(_folded(tokens), parser.options, {}))


def section_html(markdown: str) -> str:
    """Render one second-level section as HTML, open and without its heading."""
    parser, tokens = _parsed(markdown.partition("\n")[2])
    _explain(tokens)
    return str(parser.renderer.render(tokens, parser.options, {}))


def _parsed(markdown: str) -> tuple[MarkdownIt, list[Token]]:
    parser = MarkdownIt("js-default", {"linkify": False})
    tokens = parser.parse(markdown)
    for token in tokens:
        if token.type == "table_open":
            token.attrSet("class", "wide")
    return parser, tokens


def _explain(tokens: list[Token]) -> None:
    """Link the words of the glossary, each once in a section."""
    seen: set[str] = set()
    for before, token in pairwise(tokens):
        if before.tag == "h3":
            seen = set()
        if before.type != "heading_open" and token.children:
            for child in token.children:
                if child.type == "text":
                    child.type, child.content = "html_inline", str(with_terms(child.content, seen))


def _folded(tokens: list[Token]) -> list[Token]:
    """Sections (now `h3`) as `details`, with their heading as the summary."""
    folded: list[Token] = []
    inside = False
    for token in tokens:
        if token.tag == "h3" and token.nesting == 1:
            if inside:
                folded.append(_tag("</details>"))
            folded.append(_tag("<details><summary>"))
            inside = True
        folded.append(token)
        if token.tag == "h3" and token.nesting == -1:
            folded.append(_tag("</summary>"))
    return [*folded, _tag("</details>")] if inside else folded


def _tag(html: str) -> Token:
    return Token(type="html_block", tag="", nesting=0, content=html)
