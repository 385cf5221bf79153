"""A path means what a person typed, in every field that takes one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from gradsweep import compose
from gradsweep.config import Config
from gradsweep.config.options import path_fields
from gradsweep.config.typed_paths import typed_path
from gradsweep.errors import ConfigError


def _places(kind: Any = Config, prefix: str = "") -> Iterator[str]:
    hints = get_type_hints(kind)
    yield from (f"{prefix}{name}" for name in path_fields(kind))
    for declared in fields(kind):
        if is_dataclass(hints[declared.name]):
            yield from _places(hints[declared.name], f"{prefix}{declared.name}.")


PLACES = list(_places())

STRANGE = ["lr=0.1", "data [old]", "a (copy)", "größe", "it's", "1e5", "[1]", "x; y & z", "{a}"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


BESIDE = {
    "model.source.path": ("model=folder",),
    "dataset.path": ("dataset=jsonl",),
    "dataset.root": ("dataset=gsm8k",),
    "dataset.hub": ("dataset=gsm8k", "dataset.source=hub"),
    "cot.path": ("cot=custom",),
}
"""What a path is read with: alone it would be refused as a setting that nothing reads."""


def read(place: str, text: str) -> str:
    node: Any = compose(*BESIDE.get(place, ()), f"{place}={text}")
    for name in place.split("."):
        node = getattr(node, name)
    assert isinstance(node, str)
    return node


def test_all_paths_of_the_config_are_known() -> None:
    expected = {"store.root", "model.source.path", "dataset.path", "dataset.root", "cot.path"}
    assert expected <= set(PLACES)


@pytest.mark.parametrize("place", PLACES)
def test_the_home_folder_and_variables_are_read(place: str, home: Path) -> None:
    for text, meant in {
        "~/mine": home / "mine",
        "$SCRATCH/'mine'": home.parent / "scratch/'mine'",
    }.items():
        assert read(place, text) == str(meant)


@pytest.mark.parametrize("name", STRANGE)
def test_a_folder_may_have_any_name(name: str, home: Path) -> None:
    assert read("store.root", f"/data/{name}/r") == f"/data/{name}/r"
    assert read("store.root", name) == name


def test_a_dollar_in_the_name_of_a_file_that_is_there_stays(home: Path) -> None:
    (home.parent / "$5").mkdir()
    assert typed_path("$5", "store.root") == "$5"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("$NOWHERE/r", r"store\.root=\$NOWHERE/r.*\$NOWHERE is not set"),
        ("~nobody_here/r", r"no user 'nobody_here'.*\./~nobody_here/r"),
        ("''", r"store\.root is empty.*store\.root=\."),
    ],
)
def test_what_means_no_path_is_an_error(text: str, message: str, home: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        compose(f"store.root={text}")
