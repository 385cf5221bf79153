"""The results folder itself: whether it is one, and whether it can be written."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

from gradsweep.errors import StoreError
from gradsweep.store.atomic import NO_SPACE, no_space


def is_results_folder(word: str) -> bool:
    """Whether there is a folder of results, or of one sweep, under this name."""
    return any((Path(word) / inside).exists() for inside in ("points", "sweeps", "manifest.json"))


def is_override(word: str) -> bool:
    """Whether a word sets a field (`cot=detailed`, `+x=1`, `~tracking`) and is no place."""
    named = "=" in word or word.startswith("+") or (word.startswith("~") and "/" not in word)
    return named and not is_results_folder(word)


def require_writable(results: Path) -> None:
    """Make the results folder, and see that files can be written there, before work is spent.

    Raises:
        StoreError: it is no folder, or cannot be made or written; says which.
    """
    try:
        results.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=results) as probe:
            probe.write(b"gradsweep")
    except OSError as error:
        if error.errno in NO_SPACE:
            raise no_space(results) from error
        raise StoreError(f"store.root={results} {_what(results, error)}") from error


def require_possible(results: Path) -> None:
    """See that a path can be a results folder at all; nothing is made.

    Raises:
        StoreError: it is a file, lies below one, or is no name of a folder; says which.
    """
    try:
        if results.is_dir():
            return
        results.lstat()  # which says what is in the way, if anything is
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise StoreError(f"store.root={results} {_what(results, error)}") from error
    raise StoreError(f"store.root={results} {_what(results, OSError())}")


def _what(results: Path, error: OSError | ValueError) -> str:
    remedy = "give a folder that can be written, as store.root=~/results"
    if not isinstance(error, OSError) or error.errno == errno.ENAMETOOLONG:
        return f"is no name of a folder ({getattr(error, 'strerror', error)}); {remedy}"
    for path in (results, *results.parents):
        if path.is_symlink() and not path.exists():
            target = path.readlink()
            return f"goes through the link {path} to {target}, which is not there; {remedy}"
        if path.exists() and not path.is_dir():
            where = "is" if path == results else f"lies below {path}, which is"
            return f"{where} a file; {remedy}"
    return f"cannot be written: {error.strerror}; {remedy}"
