"""Where the authors' files are read from: a local copy of a folder, or an address and a cache.

Each release is pinned to a commit, and the SHA-256 of each of its files ships with gradsweep
(`<release>.sha256`). So a point has the same id whether its data come from a copy or from
the address, planning a grid needs no network, and a file that arrives broken is noticed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Protocol

from gradsweep.config import DatasetConfig, PaperSource, Release
from gradsweep.data.files import content_hash
from gradsweep.data.network import refusal
from gradsweep.data.questions import digest
from gradsweep.errors import DataError

_RAW = "https://raw.githubusercontent.com/MingLiiii"


@dataclass(frozen=True)
class PinnedRelease:
    """A release at a fixed commit, whose files are known by their checksums."""

    commit: str
    repository: str
    inside: str
    """Its data folder."""
    title: str
    holds: str
    """Some of what is in the folder, by which a reader knows it."""

    @property
    def url(self) -> str:
        return f"{_RAW}/{self.repository}/{self.commit}/{self.inside}"

    @property
    def hint(self) -> str:
        """Says which folder a copy of it is."""
        return (
            f"the folder {self.inside} of {self.title} (github.com/MingLiiii/{self.repository}), "
            f"which holds {self.holds}"
        )


RELEASES: Mapping[Release, PinnedRelease] = {
    Release.layer_gradient: PinnedRelease(
        "0fb19e1e4710570353b8dbdd3fbd8a39bfc71039",
        "Layer_Gradient",
        "data",
        "the paper's release (arXiv 2410.23743)",
        "cot_500, lighteval_math, wiki_popularity",
    ),
    Release.gradient_unified: PinnedRelease(
        "f86e985b7b7de720e0178de4afb8d953083da070",
        "Gradient_Unified",
        "_data/10k_version",
        "the follow-up's release (arXiv 2504.10766)",
        "ifd_gpt2, instag, diff, reward, reasoning",
    ),
}
TIMEOUT = 30.0
"""Seconds without an answer after which an address counts as unreachable."""


class PaperFolder(Protocol):
    """A folder in the layout of the paper's release; files are named relative to it."""

    @property
    def field(self) -> str:
        """The config field that names the folder, for messages."""
        ...

    def has(self, relative: str) -> bool: ...

    def path(self, relative: str) -> Path:
        """The file on this machine. Raises `DataError` when it cannot be had."""
        ...

    def content_hash(self, relative: str) -> str:
        """SHA-256 of its bytes. Raises `DataError` when it cannot be had."""
        ...


def paper_folder(dataset: DatasetConfig) -> PaperFolder:
    """The folder that `dataset.source` names; nothing is downloaded yet.

    Raises:
        DataError: `dataset.root` is not a folder.
    """
    wants_root = dataset.source is PaperSource.root or (
        dataset.source is PaperSource.auto and dataset.root
    )
    if not wants_root:
        return RemoteFolder(dataset)
    root = Path(str(dataset.root))
    if not root.is_dir():
        hint = RELEASES[dataset.release].hint
        raise DataError(f"dataset.root: {root} is not a folder; it is {hint}")
    return LocalFolder(root)


@dataclass(frozen=True)
class LocalFolder:
    """A copy of the paper's folder on this machine."""

    root: Path
    field: str = "dataset.root"

    def has(self, relative: str) -> bool:
        return (self.root / relative).is_file()

    def path(self, relative: str) -> Path:
        path = self.root / relative
        if path.is_file():
            return path
        folder = path.parent if path.parent.is_dir() else self.root
        there = ", ".join(sorted(entry.name for entry in folder.iterdir())) or "nothing"
        raise DataError(f"{self.field}: {path} does not exist; in {folder} there is: {there}")

    def content_hash(self, relative: str) -> str:
        return content_hash(self.path(relative), self.field)


@dataclass(frozen=True)
class RemoteFolder:
    """The paper's folder at an address; what was read once stays in a local cache."""

    dataset: DatasetConfig
    field: str = "dataset.url"

    def has(self, relative: str) -> bool:
        if self._checksums:
            return relative in self._checksums
        return self._cached(relative).is_file() or self._download(relative)

    def path(self, relative: str) -> Path:
        path = self._cached(relative)
        if self._is_whole(path, relative):
            return path
        if not self._download(relative):
            raise self._unavailable(relative, "there is no such file at that address")
        return path

    def content_hash(self, relative: str) -> str:
        known = self._checksums.get(relative)
        if known is None:
            return content_hash(self.path(relative), self.field)
        # Said while a grid is planned rather than when its first point runs.
        if (reason := refusal()) and not self._cached(relative).is_file():
            raise self._unavailable(relative, f"{reason} and it is not in the cache")
        return known

    @cached_property
    def url(self) -> str:
        return (self.dataset.url or self._release.url).rstrip("/")

    @property
    def _release(self) -> PinnedRelease:
        return RELEASES[self.dataset.release]

    @cached_property
    def _checksums(self) -> Mapping[str, str]:
        """SHA-256 by file, of the pinned release; nothing is known about another address."""
        pinned = self.url == self._release.url
        return release_checksums(self.dataset.release) if pinned else {}

    @cached_property
    def _cache(self) -> Path:
        from huggingface_hub import constants  # not needed to plan the release's points

        key = self._release.commit[:7] if self._checksums else digest(self.url)
        return Path(constants.HF_HOME) / "gradsweep" / f"{self.dataset.release.name}-{key}"

    def _cached(self, relative: str) -> Path:
        return self._cache / relative

    def _is_whole(self, path: Path, relative: str) -> bool:
        expected = self._checksums.get(relative)
        return path.is_file() and expected in (None, content_hash(path, self.field))

    def _download(self, relative: str) -> bool:
        """Fetch a file into the cache; False when the address does not have it."""
        data = self._fetched(relative)
        if data is None:
            return False
        path = self._cached(relative)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(data)
        os.replace(file.name, path)  # another process may be doing the same
        if not self._is_whole(path, relative):
            path.unlink()
            raise self._unavailable(
                relative, "what came is not the release's file (another SHA-256)"
            )
        return True

    def _fetched(self, relative: str) -> bytes | None:
        from huggingface_hub import errors, get_session

        if reason := refusal():
            raise self._unavailable(relative, f"{reason} and it is not in the cache")
        try:
            answer = get_session().get(f"{self.url}/{relative}", timeout=TIMEOUT)
            if answer.status_code == 404:
                return None
            answer.raise_for_status()
        # HTTPError is the base of whatever HTTP library the hub's client is built on.
        except (OSError, errors.HTTPError) as error:  # type: ignore[attr-defined]
            why = " ".join(str(error).split())[:200]
            raise self._unavailable(relative, f"no answer ({why})") from error
        return bytes(answer.content)

    def _unavailable(self, relative: str, why: str) -> DataError:
        hub = (
            f"; or dataset.source=hub for other questions from the original {self.dataset.hub} "
            "(cot=none and simplified)"
            if self.dataset.hub
            else ""
        )
        return DataError(
            f"dataset={self.dataset.name} needs {self.url}/{relative}: {why}. Provide one of: "
            f"dataset.root=<folder>, {self._release.hint}; dataset.url=<address of a copy of it>; "
            f"a network, once (the file is then kept in {self._cache}){hub}"
        )


def release_checksums(release: Release) -> dict[str, str]:
    """SHA-256 of every data file of a release, by its path (`sha256sum` format)."""
    file = resources.files("gradsweep.data.paper") / f"{release.name}.sha256"
    pairs = (line.split() for line in file.read_text("utf-8").splitlines())
    return {path: checksum for checksum, path in pairs}
