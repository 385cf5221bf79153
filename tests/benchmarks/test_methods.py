"""The benchmark compares like with like: the same gradients, and nothing left behind."""

from __future__ import annotations

import pytest
import torch

from benchmarks.cases import MAIN, QUICK, Workload, llama
from benchmarks.memory import peak_above_model
from benchmarks.methods import METHODS, ours, plain
from benchmarks.timing import Spread, Timings, measure
from gradsweep.engine import make_batch


@pytest.fixture(scope="module")
def workload() -> Workload:
    return llama(24, 9, width=64, vocabulary=50)


@pytest.mark.parametrize("padded", [False, True])
def test_the_plain_method_finds_what_gradsweep_finds(workload: Workload, padded: bool) -> None:
    batch = workload.batches[0]
    if padded:
        ids = torch.cat([batch.input_ids, workload.batches[1].input_ids])
        real = torch.arange(24) < torch.tensor([[24], [19]])
        batch = make_batch(ids, batch.response_mask.expand(2, -1) & real, real)
    expected = [row for sample in ours(workload.model, [batch]) for row in sample.rows]
    found = plain(workload.model, [batch])
    assert len(found) == len(expected) == 8 * len(batch.input_ids)
    for row, other in zip(expected, found, strict=True):
        # float32 SVDs of the plain method; no gradient here is small beside its layer's others.
        assert other["nuclear"] == pytest.approx(row.nuclear_norm, rel=1e-4)
        assert other["ratio"] == pytest.approx(row.sigma_ratio, rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_leaves_the_model_frozen_and_without_gradients(
    method: str, workload: Workload
) -> None:
    METHODS[method](workload.model, workload.batches)
    for module in workload.model.modules():
        assert not module._forward_hooks
        assert "forward" not in vars(module)
    for parameter in workload.model.parameters():
        assert not parameter.requires_grad
        assert parameter.grad is None


@pytest.mark.parametrize(
    ("method", "trained"), [("frozen", 0), ("plain", 8), ("training", 21), ("gradsweep", 0)]
)
def test_which_weights_get_a_gradient(method: str, trained: int, workload: Workload) -> None:
    """Two layers of q k v o gate up down and two norms, a last norm, embedding and head."""
    touched = set()
    handles = []
    for name, parameter in workload.model.named_parameters():
        parameter.requires_grad_(True)
        note = parameter.register_post_accumulate_grad_hook(lambda p, name=name: touched.add(name))
        handles.append(note)
        parameter.requires_grad_(False)
    METHODS[method](workload.model, workload.batches[:1])
    for handle in handles:
        handle.remove()
    assert len(touched) == trained


def test_checkpointing_runs_every_layer_twice(workload: Workload) -> None:
    calls = []
    norm = workload.model.get_submodule("model.layers.1.input_layernorm")
    handle = norm.register_forward_pre_hook(lambda module, args: calls.append(1))
    METHODS["gradsweep"](workload.model, workload.batches[:1])
    once = len(calls)
    METHODS["gradsweep_checkpointed"](workload.model, workload.batches[:1])
    handle.remove()
    assert (once, len(calls)) == (1, 3)


def test_the_fast_methods_alternate_and_the_slow_one_runs_when_asked(workload: Workload) -> None:
    said: list[str] = []
    timings = measure(QUICK["quick"], workload, rounds=3, plain_rounds=1, tick=said.append)
    rounds = [text.split(", ") for text in said if text.startswith("round")]
    by_round = [[name for r, name in rounds if r == f"round {i}/3"] for i in (1, 2, 3)]
    assert [names[0] for names in by_round] == ["gradsweep", "frozen", "training"]
    assert [("plain" in names) for names in by_round] == [True, False, False]
    assert all({"gradsweep", "frozen", "training"} <= set(names) for names in by_round)
    assert timings.ratio("plain", "gradsweep") is not None


def test_ratios_pair_what_was_timed_in_the_same_round() -> None:
    timings = Timings(
        [{"a": 1.0, "b": 10.0}, {"a": 4.0}, {"a": 2.0, "b": 40.0}, {"a": 3.0, "b": 3}]
    )
    assert timings.ratio("b", "a") == Spread(median=10.0, low=1.0, high=20.0)
    assert timings.ratio("a", "c") is None


def test_peak_memory_is_what_a_method_takes_at_most(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    mebibytes = 256

    def greedy(model: torch.nn.Module, batches: object) -> None:
        for _ in range(2):
            torch.ones(mebibytes * 2**18)

    monkeypatch.setitem(METHODS, "greedy", greedy)
    peak = peak_above_model(workload, "greedy")
    if peak is None:
        pytest.skip("this system does not tell a process its peak memory")
    assert peak / 2**20 == pytest.approx(mebibytes, rel=0.2)


@pytest.mark.long
def test_samples_of_the_small_model_have_the_length_they_claim(embedded_model: object) -> None:
    for batch in MAIN["smollm2_none_batched"].build().batches:
        assert batch.input_ids.shape == (5, 100)
        assert batch.response_mask[:, -1].all()
        assert not batch.response_mask[:, :80].any(), "an answer alone is short"
