"""The documents say what is there: links resolve, commands compose, fields exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from pkgutil import resolve_name

import pytest
from helpers.places import REPOSITORY

from gradsweep.cli.verbs import VERBS
from gradsweep.config.composition import compose_raw
from gradsweep.config.files import AXIS_GROUPS, options
from gradsweep.config.overrides import refuse_ellipsis

DOCUMENTS = [
    *REPOSITORY.glob("*.md"),
    *REPOSITORY.glob("docs/*.md"),
    *REPOSITORY.glob("launchers/*.md"),
    *REPOSITORY.glob("notebooks/*.md"),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text()):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


def dotted_names() -> set[str]:
    """Every `gradsweep.room.module.name` of the documents and notebooks."""
    texts = [path.read_text() for path in (*DOCUMENTS, *REPOSITORY.glob("notebooks/*.ipynb"))]
    return {name for text in texts for name in re.findall(r"\bgradsweep(?:\.[a-z_A-Z]+)+", text)}


@pytest.mark.parametrize("name", sorted(dotted_names()))
def test_dotted_names_are_there(name: str) -> None:
    if not (REPOSITORY / name).exists():  # gradsweep.egg-info and the like are files
        assert resolve_name(name) is not None


def commands() -> list[str]:
    """Every `python -m gradsweep …` of the documents, without comments and ellipses."""
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    found = re.findall(r"python -m gradsweep ([^\n`]*)", text.replace("\\\n", " "))
    cleaned = {re.sub(r"\s#.*|…|\[results\]", "", command).strip() for command in found}
    return sorted(command for command in cleaned if command)


@pytest.mark.parametrize("command", commands())
def test_commands_name_verbs_axes_and_fields_that_exist(command: str) -> None:
    words = shlex.split(command)
    if "=" not in words[0] and not words[0].startswith("-"):
        assert words[0] in VERBS
    if "--config-dir" in words:
        return  # options of a user's own, which are tested with that user's files
    real = [word for word in words if "<" not in word]
    overrides = [word for word in real if "=" in word and not word.startswith("-")]
    for override in overrides:
        key, _, value = override.partition("=")
        if key in AXIS_GROUPS:
            assert set(value.split(",")) <= set(options(key)), override
    # One value per axis is enough to know that every field exists.
    compose_raw([re.sub(r"=([^\[,]*),.*", r"=\1", o) for o in overrides])


def pasted_lines() -> list[str]:
    """Every line of the documents' blocks of code that is the command, as somebody copies it."""
    texts = [document.read_text().replace("\\\n", " ") for document in DOCUMENTS]
    blocks = [block for text in texts for block in re.findall(r"^```.*?^```", text, re.S | re.M)]
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith(("python -m gradsweep", "gradsweep "))]


@pytest.mark.parametrize("line", pasted_lines())
def test_lines_can_be_pasted(line: str) -> None:
    for word in shlex.split(line, comments=True):
        refuse_ellipsis(word)
        assert not re.search(r"^\[|^\w+\|", word), f"{word}: a grammar, not a command"
