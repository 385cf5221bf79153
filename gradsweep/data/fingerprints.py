"""What, apart from the config, decides the content of a point's samples."""

from __future__ import annotations

from gradsweep.config import Config, DatasetKind
from gradsweep.data.arithmetic.dataset import VERSION, require_version
from gradsweep.data.files import content_hash
from gradsweep.data.jsonl import FIELD as JSONL_FIELD
from gradsweep.data.jsonl import jsonl_file
from gradsweep.data.paper import FIELD as PAPER_FIELD
from gradsweep.data.paper import paper_files
from gradsweep.data.questions import digest


def fingerprint(config: Config) -> str:
    """16 hex digits that change when the data of a point change, and not when they move.

    Reads the files that the point reads (each once, while it stays the same), never where they
    lie. Cheap enough to call for every point of a grid before anything is launched, and raises
    what `load_samples` would raise about files and levels.
    """
    if config.dataset.kind is DatasetKind.arithmetic:
        require_version(config)
        return digest("arithmetic", str(VERSION), str(config.dataset.size), str(config.seed))
    if config.dataset.kind is DatasetKind.jsonl:
        return digest("jsonl", content_hash(jsonl_file(config), JSONL_FIELD))
    files = paper_files(config)
    roles = (files.responses, files.answers, files.shuffled)
    return digest("paper", *(content_hash(path, PAPER_FIELD) if path else "" for path in roles))
