"""A training run watched in two processes, under DDP or FSDP2, or in one."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import polars as pl
import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from transformers import AutoModelForCausalLM, AutoTokenizer

import gradsweep
from helpers.tiny_models import FAMILIES
from helpers.training import batch, mean_loss, probe_set, with_adapters

RANKS = 2
PARTS = 2
RUNS = (
    ("ddp", "llama_gqa"),
    ("ddp", "lora"),
    ("fsdp2", "llama_gqa"),
    ("fsdp2", "gpt2_conv1d"),
    ("fsdp2", "lora"),
)
"""How the model is spread, and its family; `lora` is a Llama with adapters on q and v."""
PROJECTIONS = {"llama_gqa": "qkvo", "gpt2_conv1d": ("q", "v", "fc1"), "lora": "qv"}


def in_rank(rank: int, folder: str, saved_model: str) -> None:
    """Make every run, in one of the processes; rows go to a file of each."""
    torch.set_num_threads(1)
    rendezvous = f"file://{folder}/rendezvous"
    dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=RANKS)
    for kind, family in RUNS:
        trained(kind, family, rank).write_parquet(f"{folder}/{kind}-{family}-{rank}.parquet")
    for kind in ("ddp", "fsdp2"):
        probed(kind, saved_model, rank).write_parquet(f"{folder}/{kind}-probe-{rank}.parquet")
    dist.destroy_process_group()


def trained(kind: str, family: str, rank: int | None = None) -> pl.DataFrame:
    """Watch three clipped steps of accumulated gradients; `rank` None is all in one process."""
    torch.manual_seed(0)
    model = FAMILIES["llama_gqa" if family == "lora" else family]()
    if family == "lora":
        model = with_adapters(model, "q_proj", "v_proj")
    model = _spread(kind, model.eval(), rank)  # two processes would draw other dropout
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    options: dict[str, Any] = {"update_every": 1, "layers": 1, "projections": PROJECTIONS[family]}
    with gradsweep.watch(model, optimizer, **options) as watched:
        for step in range(3):
            ids = batch(8, seed=step)
            if rank is not None:
                ids = ids.chunk(RANKS)[rank]
            _backward(model, ids)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.3)
            optimizer.step()
            optimizer.zero_grad()
    steps = watched.steps.select(
        "step", "gradient_norm", "clipped_gradient_norm", of_all="update_over_weight"
    )
    return watched.rows.join(steps, on="step")


def probed(kind: str, saved_model: str, rank: int | None = None) -> pl.DataFrame:
    """Probe before and after one step."""
    model = _spread(kind, AutoModelForCausalLM.from_pretrained(saved_model).train(), rank)
    tokenizer = AutoTokenizer.from_pretrained(saved_model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    options: dict[str, Any] = {"update_every": 0, "probe": probe_set(), "probe_every": 1}
    with gradsweep.watch(model, optimizer, tokenizer=tokenizer, **options) as watched:
        _backward(model, batch(4))
        optimizer.step()
    return watched.rows


def _spread(kind: str, model: Any, rank: int | None) -> Any:
    if rank is None:
        return model
    if kind == "ddp":
        return DistributedDataParallel(model)
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    layers = inner.transformer.h if hasattr(inner, "transformer") else inner.model.layers
    for layer in layers:
        fully_shard(layer)
    return fully_shard(model)


def _backward(model: Any, ids: torch.Tensor) -> None:
    """Accumulate over parts, as trainers do: only the last one is reduced over processes."""
    for place, part in enumerate(ids.chunk(PARTS)):
        is_last = place == PARTS - 1
        if hasattr(model, "set_requires_gradient_sync"):
            model.set_requires_gradient_sync(is_last)
        waits = isinstance(model, DistributedDataParallel) and not is_last
        with model.no_sync() if waits else nullcontext():
            (mean_loss(model, part) / PARTS).backward()


def rows_of(folder: Path, name: str, rank: int) -> pl.DataFrame:
    """What a process has written."""
    return pl.read_parquet(folder / f"{name}-{rank}.parquet")
