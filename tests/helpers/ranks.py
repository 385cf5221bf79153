"""Several ranks on this machine, as torchrun starts them, but forked: libraries are there."""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

import gradsweep.models.sharding  # noqa: F401  (FSDP2, once for all ranks)
from helpers.patience import PATIENCE_SECONDS

Work = Callable[[int], str]
"""Rank -> what became of it, in words; it is called in a process of its own."""


def on_ranks(count: int, work: Work, folder: Path) -> list[str]:
    """Run `work` on so many ranks at the same time.

    Returns:
        Of each rank what it returned, "Error: message" of one that raised, and "ended -9" of one
        that left no word.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("fork")
    words = [folder / f"rank-{rank}-of-{count}.txt" for rank in range(count)]
    for file in words:
        file.unlink(missing_ok=True)
    arguments = [(rank, count, port, work, file) for rank, file in enumerate(words)]
    processes = [context.Process(target=_run, args=given) for given in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE_SECONDS)
        assert process.exitcode is not None, "a rank waits for ever"
    return [
        file.read_text() if file.exists() else f"ended {process.exitcode}"
        for file, process in zip(words, processes, strict=True)
    ]


def _run(rank: int, count: int, port: int, work: Work, words: Path) -> None:
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank),
        WORLD_SIZE=str(count),
        LOCAL_RANK=str(rank),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    try:
        told: Any = work(rank)
    except BaseException as error:
        traceback.print_exc()
        told = f"{type(error).__name__}: {error}"
    words.write_text(str(told))
    if dist.is_initialized():
        dist.destroy_process_group()
