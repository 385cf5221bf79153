"""A command that several processes run together, with model.placement=fsdp: who speaks, and how all
of them end.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from gradsweep.config import Config
from gradsweep.errors import ConfigError, RankLostError
from gradsweep.progress import console, show_error
from gradsweep.ranks import Rank, require_rank, this_rank

FIELD = "model.placement"


def speak_alone(words: Sequence[str]) -> None:
    """Silence this process where another one speaks, as far as the command line tells.

    So that a mistake in it is told once.
    """
    rank = this_rank()
    if rank and not rank.speaks and any(FIELD in word for word in words):
        _be_silent()


def join(configs: Sequence[Config], submits: bool) -> Rank:
    """Return this process's rank in a command with these points left; the only one of most.

    Args:
        configs: of the points that are to be measured.
        submits: a launcher runs them in jobs, whose processes meet there.

    Raises:
        ConfigError: points ask for several processes, and this is a single one; or several
            processes would submit the same jobs.
    """
    if not any(config.model.placement for config in configs):
        return Rank()
    if submits:
        if this_rank() and this_rank() != Rank():
            raise ConfigError(
                "hydra/launcher submits jobs, whose processes share out the weights; type the "
                "command without torchrun or srun"
            )
        return Rank()
    rank = require_rank()
    if not rank.speaks:
        _be_silent()
    signal.signal(signal.SIGTERM, _told_to_end)
    return rank


def end_at_once(error: RankLostError) -> NoReturn:
    """Say why and end, without waiting for operations that need the processes that are gone."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's, which would cut the words
    show_error(str(error))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def _be_silent() -> None:
    console.quiet = True
    logging.disable(logging.WARNING)


def _told_to_end(number: int, _: FrameType | None) -> None:
    raise RankLostError(
        "SIGTERM: another of the processes that share the model's weights has ended, or the job "
        "is to end; what is stored is kept: run the same command again"
    )
