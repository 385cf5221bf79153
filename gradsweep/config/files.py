"""Where the YAML files are, and what their first lines say to a reader of --help."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

AXIS_GROUPS = ("model", "dataset", "cot", "correctness", "objective")
"""Config groups that a grid varies, in the order of `gradsweep.records.AXES`."""


def config_dir() -> Path:
    """The packaged `gradsweep/conf` of a wheel, or the repository's `conf/`."""
    package = Path(__file__).resolve().parent.parent
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parent / "conf"


@lru_cache(maxsize=1)
def config_groups() -> frozenset[str]:
    """Config groups of our own."""
    folders = (path.name for path in config_dir().iterdir() if path.is_dir())
    return frozenset(name for name in folders if name != "hydra")


def options(group: str) -> dict[str, str]:
    """Options of a config group -> the plain sentence on the first line of each file."""
    files = sorted((config_dir() / group).glob("*.yaml"), key=_reading_order)
    return {path.stem: _first_comment(path) for path in files}


def option_values(group: str, field: str) -> dict[str, str]:
    """Options of a config group -> the text of one plain top-level `field: value`, where given.

    Read line by line: --help answers before any YAML library is imported.
    """
    values = {}
    for path in sorted((config_dir() / group).glob("*.yaml")):
        for line in path.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(": ")
            if key == field:
                values[path.stem] = value.strip()
    return values


def _reading_order(path: Path) -> tuple[int, str]:
    """Sorts by name, but the levels of reasoning from none to most."""
    levels = ("none", "simplified", "detailed")
    return (levels.index(path.stem) if path.stem in levels else len(levels), path.stem)


def _first_comment(path: Path) -> str:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("#") and not line.startswith("# @package"):
                return line.lstrip("# ").strip()
    return ""
