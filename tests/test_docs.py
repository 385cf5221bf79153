"""The documents say what is there: links resolve, commands compose, fields exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gradsweep.cli.verbs import VERBS
from gradsweep.config.composition import compose_raw
from gradsweep.config.files import AXIS_GROUPS, options
from gradsweep.models.projections.adapters import ADAPTERS

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/*.md"),
    *ROOT.glob("launchers/*.md"),
    *ROOT.glob("notebooks/*.md"),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text()):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


def test_the_readme_counts_the_families() -> None:
    assert f"all {len(ADAPTERS)} supported families" in (ROOT / "README.md").read_text()


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
    real = [word for word in words if "<" not in word]
    overrides = [word for word in real if "=" in word and not word.startswith("-")]
    for override in overrides:
        key, _, value = override.partition("=")
        if key in AXIS_GROUPS:
            assert set(value.split(",")) <= set(options(key)), override
    # One value per axis is enough to know that every field exists.
    compose_raw([re.sub(r"=([^\[,]*),.*", r"=\1", o) for o in overrides])
