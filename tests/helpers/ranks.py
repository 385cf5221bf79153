"""Several ranks on this machine, as torchrun starts them, and what may befall one of them.

They are forked by a server that has imported all that they need, once, and has done nothing else:
a process that has used Polars or several threads cannot be forked.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

import gradsweep.extraction
import gradsweep.models.sharding  # noqa: F401  (FSDP2, which takes a while to import)
from gradsweep import compose, extract
from gradsweep.engine.rows import RowSink
from gradsweep.errors import StoreError
from gradsweep.store.point import PointStore
from helpers.patience import PATIENCE_SECONDS

Work = Callable[[int], Any]
"""Rank -> what became of it; it is called in a process of its own, and has to be picklable."""


@dataclass(frozen=True)
class Measuring:
    """Measures a point whose model ranks share; something befalls rank 1 at its second batch."""

    overrides: tuple[str, ...]
    fault: str = ""
    """`killed`, `stopped`, `full` of a disk, `short` of memory in the middle of a backward pass."""

    def __call__(self, rank: int) -> str:
        if rank == 1:
            _second(PointStore, "append", _full if self.fault == "full" else _nothing)
            _second(RowSink, "add_layer", _short if self.fault == "short" else _nothing)
        batches: list[int] = []

        def stop() -> bool:
            batches.append(1)
            befalls = rank == 1 and len(batches) == 2
            if befalls and self.fault == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            return befalls and self.fault == "stopped"

        config = compose(*self.overrides, "model.placement=fsdp")
        return extract(config, show_progress=False, stop=stop).paths.point_id


def _nothing() -> None:
    pass


def _full() -> None:
    raise StoreError("the disk is full")


def _short() -> None:
    raise torch.OutOfMemoryError("planned")


def _second(owner: type, name: str, befalls: Callable[[], None]) -> None:
    """Let something happen at the second call of a method, in this process."""
    method, calls = getattr(owner, name), []

    def called(*given: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            befalls()
        return method(*given)

    setattr(owner, name, called)


def on_ranks(count: int, work: Work, folder: Path) -> list[str]:
    """Run `work` on so many ranks at the same time.

    Returns:
        Of each rank what it returned, "Error: message" of one that raised, and "ended -9" of one
        that left no word.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # for the server's imports
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    words = [folder / f"rank-{rank}-of-{count}.txt" for rank in range(count)]
    for file in words:
        file.unlink(missing_ok=True)
    arguments = [(rank, count, port, work, file) for rank, file in enumerate(words)]
    processes = [context.Process(target=_run, args=given) for given in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE_SECONDS)
    waiting = [process for process in processes if process.exitcode is None]
    for process in waiting:
        process.kill()
    assert not waiting, f"{len(waiting)} ranks wait for ever"
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
        told = work(rank)
    except BaseException as error:
        traceback.print_exc()
        told = f"{type(error).__name__}: {error}"
    words.write_text(str(told))
    if dist.is_initialized():
        dist.destroy_process_group()
