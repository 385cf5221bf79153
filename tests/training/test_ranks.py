"""Two processes that train one model give the rows of one process."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch
from helpers.two_ranks import RANKS, RUNS, in_rank, probed, rows_of, trained

from gradsweep.errors import ModelError
from gradsweep.training.ranks import Ranks, squared_norm, total_norm
from gradsweep.training.update import UpdateWatch

MEASURED = (
    *("nuclear_norm", "sigma_max", "frobenius_norm", "effective_rank"),
    *("gradient_norm", "clipped_gradient_norm", "of_all"),
    *("update_over_weight", "cosine_previous_update"),
)


@pytest.mark.long
def test_rows_are_those_of_one_process(tmp_path: Path, saved_model: Path) -> None:
    """With accumulation, clipping and adapters, under DDP and FSDP2, of updates and of probes."""
    pytest.importorskip("peft", reason="PEFT is not installed")
    torch.multiprocessing.spawn(in_rank, (str(tmp_path), str(saved_model)), nprocs=RANKS)
    for kind, family in RUNS:
        ours, other = (rows_of(tmp_path, f"{kind}-{family}", rank) for rank in range(RANKS))
        assert ours.equals(other)
        assert_same(ours, trained(kind, family), MEASURED)
    for kind in ("ddp", "fsdp2"):
        ours, other = (rows_of(tmp_path, f"{kind}-probe", rank) for rank in range(RANKS))
        assert ours.equals(other)
        assert_same(ours, probed(kind, str(saved_model)), MEASURED[:4])


def assert_same(ours: pl.DataFrame, theirs: pl.DataFrame, measured: tuple[str, ...]) -> None:
    key = ["step", "source", "probe_cot", "sample_id", "layer", "projection"]
    assert ours.select(key).equals(theirs.select(key))
    for name in measured:
        near = 1e-5 if name.startswith("cosine") else 1e-7  # cosines have a scale of their own: 1
        for mine, one in zip(ours[name], theirs[name], strict=True):
            assert mine == pytest.approx(one, rel=1e-5, abs=near, nan_ok=True), name


def test_norms_of_large_float32_tensors_keep_their_digits() -> None:
    """One running sum in float32 would be wrong in the third."""
    table = torch.randn(4096, 1024, generator=torch.Generator().manual_seed(0))
    exact = float(table.double().square().sum())
    assert float(squared_norm(table)) == pytest.approx(exact, rel=1e-6)
    assert total_norm([table, table], Ranks()) == pytest.approx((2 * exact) ** 0.5, rel=1e-6)
    assert float(squared_norm(table[0].bfloat16())) > 0


class _TwoProcesses(Ranks):
    """Another process, whose gradients are its own."""

    def __init__(self) -> None:
        self.rank, self.count = 0, 2

    def gathered(self, own):  # type: ignore[no-untyped-def]
        items = list(own)
        return [*items, *(tuple(2 * value for value in item) for item in items)]


def test_processes_with_gradients_of_their_own_are_refused(
    tiny_llama: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradsweep.training.update.Ranks", _TwoProcesses)
    with UpdateWatch(tiny_llama) as watch:
        tiny_llama(input_ids=torch.tensor([[1, 2, 3]])).logits.sum().backward()
        with pytest.raises(
            ModelError, match=r"2 processes have gradients of their own.*Distributed"
        ):
            watch.before_step(0)
    tiny_llama.zero_grad()
