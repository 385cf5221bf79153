"""The documents know the house: its rooms, and the files that an addition takes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from helpers.tiny_models import FAMILIES
from helpers.tiny_multimodal import MULTIMODAL

from gradsweep.models.projections import ADAPTERS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

PROGRAM = ("gradsweep", "conf", "launchers")
SUFFIXES = (".py", ".yaml", ".js", ".html", ".css", ".sh")
GRIDS = "conf/experiment/"
"""Experiments name options of every axis; that is use, and no place that knows them."""

MENTION = {
    "kind of dataset": r"DatasetKind\.{0}\b|\b{0} = '{0}'|\bread_{0}\b|^kind: {0}$",
    "word problem": r"\b{0}\b|\bANIMALS\b",
    "irrelevant rule": r"AnswerKind\.{0}\b|\b{0} = '{0}'",
    "chain-of-thought option": r"CotKind\.{0}\b|\b{0} = '{0}'|^kind: {0}$",
    "source of weights": r"SourceKind\.{0}\b|\b{0} = '{0}'|^  kind: {0}$",
    "figure": r"figures\.{0}\b|\bdraw_{0}\b",
    "scheduler": r"schedulers\.{0}\b|\bLocal[A-Z]?\w*Scheduler\b|'{0}'",
    "metric behind an option": r"\b{0}\b|\bcosine_partner\b",
    "verb": r"verbs\.{0}\b|'{0}': '",
    "tracker": r"\bWandbTracker\b|^kind: {0}$|\b{0} = '{0}'",
}
"""Kind -> how code names the example {0}, where its bare name also means something else."""


@dataclass(frozen=True)
class Addition:
    """A line of the table in CONTRIBUTING.md."""

    kind: str
    name: str
    """Something of this kind that is there."""
    files: tuple[str, ...]
    """Paths from the top of the checkout that adding it touched."""

    @property
    def program(self) -> set[str]:
        return {path for path in self.files if path.split("/")[0] in PROGRAM and path[-3:] != ".md"}

    @property
    def mention(self) -> str:
        return MENTION.get(self.kind, r"\b{0}\b").format(re.escape(self.name))


def additions() -> Iterator[Addition]:
    section = CONTRIBUTING.split("## What an addition takes")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][2:]
    for line in lines:
        kind, example, files = (cell.strip() for cell in line.strip("|").split("|"))
        name = example.strip("`")
        paths = re.findall(r"`([\w./]+/[\w./]+|README\.md)`", files.replace("NAME", name))
        if paths:
            yield Addition(kind, name, tuple(paths))


ADDITIONS = list(additions())


@cache
def program() -> dict[str, str]:
    """Every file of the program by its path, without comments and docstrings."""
    files = [path for room in PROGRAM for path in (ROOT / room).rglob("*")]
    return {
        str(path.relative_to(ROOT)): _code(path)
        for path in files
        if path.suffix in SUFFIXES and not path.name.endswith(".min.js")
    }


def _code(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return re.sub(r"(^|\s)(#|//).*", "", text)
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [part for part in body if not _is_text(part)] or [ast.Pass()]
    return ast.unparse(tree)


def _is_text(statement: ast.AST) -> bool:
    is_constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_constant and isinstance(statement.value.value, str)


def test_the_readmes_tree_shows_the_rooms_that_there_are() -> None:
    shown = re.findall(r"^[├└]── (\S+)", README, flags=re.MULTILINE)
    package = ROOT / "gradsweep"
    folders = [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]
    modules = [path.name for path in package.glob("*.py") if not path.name.startswith("__")]
    assert sorted(shown) == sorted(folders + modules)


def test_the_readmes_tree_names_every_document_and_notebook() -> None:
    tree = README.split("## Where things are")[1].split("\n## ")[0]
    for folder, suffix in (("docs", "md"), ("notebooks", "ipynb")):
        line = re.search(rf"^{folder}/ +(.*)$", tree, flags=re.MULTILINE)
        assert line is not None
        there = {path.stem for path in (ROOT / folder).glob(f"*.{suffix}")}
        assert set(re.findall(r"\w+", line[1])) == there


def test_the_table_is_read_and_linked() -> None:
    assert len(ADDITIONS) > 15
    assert "(CONTRIBUTING.md#what-an-addition-takes)" in README


@pytest.mark.parametrize("addition", ADDITIONS, ids=lambda addition: addition.kind)
def test_an_addition_takes_the_files_that_the_table_says(addition: Addition) -> None:
    for path in addition.files:
        assert (ROOT / path).is_file(), path
    known = {path for path, code in program().items() if _knows(path, code, addition)}
    used = {path for path in known if path.startswith(GRIDS)} - addition.program
    assert known - used == addition.program


def _knows(path: str, code: str, addition: Addition) -> bool:
    is_its_own = path in addition.files and Path(path).stem == addition.name
    return is_its_own or re.search(addition.mention, code, flags=re.MULTILINE) is not None


@pytest.mark.parametrize("addition", ADDITIONS, ids=lambda addition: addition.kind)
def test_tests_and_documents_of_the_table_know_the_example(addition: Addition) -> None:
    words = re.escape(addition.name.removeprefix("check_")).replace("_", "[ _]")
    for path in set(addition.files) - addition.program:
        text = path + (ROOT / path).read_text(encoding="utf-8")
        assert re.search(words, text, flags=re.IGNORECASE), path


def test_the_table_of_families_names_every_one() -> None:
    section = (ROOT / "docs" / "models.md").read_text(encoding="utf-8").split("## Families")[1]
    assert set(ADAPTERS) <= set(re.findall(r"`(\w+)`", section.split("\n## ")[0]))


def test_documents_count_families_and_tiny_models_as_they_are() -> None:
    assert f"all {len(ADAPTERS)} supported families" in README
    numerics = (ROOT / "docs" / "numerics.md").read_text(encoding="utf-8")
    assert f"{len(FAMILIES | MULTIMODAL)} tiny models of {len(ADAPTERS)} types" in numerics
