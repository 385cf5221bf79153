"""What timing the ways to find eigenvalues has shown, kept on disk for the jobs that come later.

One record (`kept_records`) for each device and installed versions, in `trial_folder()`.
"""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from gradsweep import __version__
from gradsweep.cores import usable_cores
from gradsweep.models.kept_records import read_record, write_record
from gradsweep.models.source import cache_folder

log = logging.getLogger("gradsweep")


def trial_folder() -> Path:
    """Folder of results: `$XDG_CACHE_HOME` or `~/.cache`, then gradsweep/eigenvalues."""
    return cache_folder().parent / "eigenvalues"


def kept(device: torch.device, trial: str) -> str | None:
    """Return the name of the way that was fastest in such a trial on such a device; None where that
    is not known.
    """
    name = read_record(_record_of(device)).get(trial)
    return name if isinstance(name, str) else None


def keep(device: torch.device, trial: str, name: str) -> None:
    """Remember it. A folder that cannot be written costs later jobs a trial each."""
    path = _record_of(device)
    try:
        write_record(path, read_record(path) | _identity(device) | {trial: name})
    except OSError as error:
        log.warning(
            "%s cannot be written (%s): every job times the ways to find eigenvalues again. "
            "Another folder can be given with XDG_CACHE_HOME",
            path.parent,
            error.strerror,
        )


def _record_of(device: torch.device) -> Path:
    text = json.dumps(_identity(device), sort_keys=True)
    return trial_folder() / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def _identity(device: torch.device) -> dict[str, str]:
    """Everything that the fastest way depends on."""
    on_gpu = device.type == "cuda"
    triton = ""
    with suppress(PackageNotFoundError):
        triton = version("triton")
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else device.type,
        "cores": str(usable_cores()),
        "torch": torch.__version__,
        "CUDA": str(torch.version.cuda or torch.version.hip),
        "triton": triton,
        "gradsweep": __version__,
    }
