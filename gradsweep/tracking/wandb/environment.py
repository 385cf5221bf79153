"""The environment in which the W&B client starts: which variables count, and which must not.

One point is one run, whose id is the point's. What an agent, a launcher or an earlier program has
left in the environment would give it another id, or make it a part of another run.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import wandb

DEFAULTS = {
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "30",
}
"""Read before settings of a run apply: no messages, no reports of the client's own errors, and
seconds between two requests of a run, each with all rows since (the client's own default is 15)."""
SET_ASIDE = (
    *("WANDB_RUN_ID", "WANDB_RESUME", "WANDB_RESUME_FROM", "WANDB_FORK_FROM", "WANDB_NAME"),
    *("WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_CONFIG_PATHS"),
    *("WANDB_LAUNCH", "WANDB_LAUNCH_CONFIG_PATH", "WANDB_CONFIG"),
    *("WANDB_JOB_TYPE", "WANDB_TAGS", "WANDB_DIR", "WANDB_X_SKIP_TRANSACTION_LOG"),
    *("WANDB_X_PRIMARY", "WANDB_X_LABEL", "WANDB_INIT_TIMEOUT", "WANDB_MODE"),
)
"""Variables that the client does not see: they say which run it is and where its files lie, which
the point says itself. The mode is read by `mode.choose_mode`."""
_SESSION = {
    "sweep_id": None,
    "sweep_param_path": None,
    "config_paths": None,
    "launch": False,
    "resume_from": None,
    "fork_from": None,
}
"""What a session that another part of the program has started may have read of these."""

_ASIDE = "variables set aside"
_changing = threading.Lock()
_users: Counter[str] = Counter()
"""How many blocks need an environment variable that we have set."""
_aside: dict[str, str] = {}
"""Variables that are set aside, while there are blocks that need them to be."""


def given(name: str) -> str:
    """A variable as the user has set it, set aside or not; empty when it is not."""
    with _changing:
        return _aside.get(name) or os.environ.get(name, "")


@contextmanager
def client_environment() -> Iterator[None]:
    """Inside the block the client may read its settings: `DEFAULTS` are set, `SET_ASIDE` is not."""
    with environment_defaults(DEFAULTS), environment_without(SET_ASIDE):
        yield


@contextmanager
def own_run() -> Iterator[None]:
    """Inside the block a run that is opened belongs to no sweep, launch or fork of another one."""
    session = wandb.setup().settings
    kept = {name: getattr(session, name) for name in _SESSION}
    try:
        for name, value in _SESSION.items():
            setattr(session, name, value)
        yield
    finally:
        for name, value in kept.items():
            setattr(session, name, value)


@contextmanager
def environment_without(names: Sequence[str]) -> Iterator[None]:
    """Variables are set aside inside the block; they come back when the last thread leaves one."""
    with _changing:
        _users[_ASIDE] += 1
        theirs = [name for name in names if name in os.environ and not _users[name]]
        _aside.update({name: os.environ.pop(name) for name in theirs})
    try:
        yield
    finally:
        with _changing:
            _users[_ASIDE] -= 1
            if not _users[_ASIDE]:
                os.environ.update({n: v for n, v in _aside.items() if n not in os.environ})
                _aside.clear()


@contextmanager
def environment_defaults(defaults: Mapping[str, str]) -> Iterator[None]:
    """Environment variables inside the block, except those that the user has set.

    Threads may be in such blocks at the same time: a variable goes when the last one has left.
    """
    with _changing:
        ours = {name for name in defaults if name not in os.environ or _users[name]}
        _users.update(ours)
        os.environ.update({name: defaults[name] for name in ours})
    try:
        yield
    finally:
        with _changing:
            _users.subtract(ours)
            for name in ours:
                if not _users[name]:
                    os.environ.pop(name, None)
