"""Which code gave a result: recorded with every point and sweep."""

from __future__ import annotations

import hashlib
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

COMMIT_FILE = "COMMIT"
"""In a copy of the package: the commit of the checkout that it was taken from."""
_PACKAGES = ("gradsweep", "torch", "transformers", "numpy", "polars", "hydra-core", "wandb")
_OPTIONAL = ("bitsandbytes", "peft")


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Installed versions of what decides the numbers, and this checkout's commit if it is one."""
    found = {}
    for package in _PACKAGES + _OPTIONAL:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            if package in _PACKAGES:
                found[package] = "not installed"
    commit = _git_commit()
    return found | ({"git_commit": commit} if commit else {})


@lru_cache(maxsize=1)
def code_digest() -> str:
    """First 12 hex digits of the SHA-256 of every source file of the package."""
    return digest_of(("**/*.py", "**/*.cu"))


@lru_cache(maxsize=8)
def digest_of(patterns: tuple[str, ...], packages: tuple[str, ...] = ()) -> str:
    """First 12 hex digits of the SHA-256 of some source files and of packages' versions.

    Args:
        patterns: of files below the package, as `Path.glob` takes them.
        packages: names of installed packages.
    """
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parent
    for path in sorted({path for pattern in patterns for path in package.glob(pattern)}):
        digest.update(str(path.relative_to(package)).encode())
        digest.update(path.read_bytes())
    for name in packages:
        digest.update(f"{name} {version(name)}".encode())
    return digest.hexdigest()[:12]


def _git_commit() -> str | None:
    """The commit of an editable checkout or of a copy of one; None for an installed wheel."""
    copied = Path(__file__).resolve().parent / COMMIT_FILE
    if copied.exists():
        return copied.read_text(encoding="utf-8").strip()
    repository = Path(__file__).resolve().parent.parent
    if not (repository / ".git").exists():
        return None
    command = ["git", "-C", str(repository), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
