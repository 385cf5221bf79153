"""Whether data may be downloaded: the user's environment says so, or a caller for a while.

Nothing of the process is changed for longer than the caller's block: an environment variable would
be read by whatever is imported in the meantime, and stay.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
_ON = {"1", "on", "yes", "true"}
_refused: ContextVar[bool] = ContextVar("downloads refused", default=False)


@contextmanager
def no_downloads() -> Iterator[None]:
    """Within it, data that are not on this machine are a `DataError`."""
    token = _refused.set(True)
    try:
        yield
    finally:
        _refused.reset(token)


def refusal() -> str | None:
    """Why nothing may be downloaded now; None when it may."""
    if _refused.get():
        return "nothing is downloaded for this"
    names = (name for name in _OFFLINE_VARIABLES if os.environ.get(name, "").lower() in _ON)
    return next((f"{name} is set" for name in names), None)


@contextmanager
def hub_as_allowed() -> Iterator[None]:
    """Keep the clients of the hub to their local cache while `no_downloads` holds.

    They read the user's environment when they are imported, which is now at the latest.
    """
    if not _refused.get():
        yield
        return
    import datasets  # type: ignore[import-untyped]
    from huggingface_hub import constants

    clients: tuple[Any, ...] = (constants, datasets.config)
    before = {settings: settings.HF_HUB_OFFLINE for settings in clients}
    try:
        for settings in before:
            settings.HF_HUB_OFFLINE = True
        yield
    finally:
        for settings, offline in before.items():
            settings.HF_HUB_OFFLINE = offline
