"""What was measured counts where it is comparable; otherwise the stated model does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from helpers.stored_costs import cost

from gradsweep import compose
from gradsweep.config import Config
from gradsweep.plan.estimate import (
    Basis,
    Cost,
    Duration,
    Hardware,
    makespan,
    seconds_per_sample,
)
from gradsweep.plan.estimate.hardware import known_gpu

GPU = Hardware("cuda", "A100", 80, gpus=1, cores=8)


def point(*overrides: str) -> Config:
    return compose("model=llama3_8b", "dataset=gsm8k", "cot=detailed", "tracking=none", *overrides)


def found(
    *overrides: str, costs: Sequence[Cost] = (), tokens: float = 454, hardware: Hardware = GPU
) -> Duration:
    return seconds_per_sample(point(*overrides), tokens, hardware, costs)


def test_the_same_condition_takes_what_it_took() -> None:
    costs = [cost(), cost(seconds=100.0), cost(cot="none", seconds=9999.0)]
    assert found(costs=costs) == Duration(2.0, Basis.CONDITION, "NVIDIA A100-SXM4-80GB")


def test_another_condition_goes_by_tokens() -> None:
    estimate = found("cot=none", costs=[cost()], tokens=50)
    assert estimate.basis is Basis.MODEL
    assert estimate.seconds == pytest.approx(0.3)


@pytest.mark.parametrize(
    "other",
    [
        {"model": "llama2_7b"},
        {"weights": "bfloat16"},
        {"work": ("checkpointing", "k", "o", "q", "v")},
        {"device": "NVIDIA H100 80GB HBM3"},
        {"kind": "cpu", "device": "AMD EPYC"},
        {"ranks": 8},
    ],
)
def test_what_is_not_comparable_does_not_count(other: dict[str, Any]) -> None:
    assert found(costs=[cost(**other)]) == found()
    assert found().basis is Basis.FLOPS


def test_a_profile_without_a_name_takes_any_gpu_and_says_which() -> None:
    estimate = found(costs=[cost()], hardware=Hardware("cuda", None, gpus=1))
    assert (estimate.basis, estimate.device) == (Basis.CONDITION, "NVIDIA A100-SXM4-80GB")


def test_twice_the_cores_of_a_cpu_take_half_the_time() -> None:
    costs = [cost(kind="cpu", device="AMD EPYC", cores=2)]
    two, four = (found(costs=costs, hardware=Hardware("cpu", cores=n)).seconds for n in (2, 4))
    assert (two, four) == (3.0, 1.5)


def shared_out(ranks: int, nodes: int = 1, batch_tokens: int = 512, name: str = "H100") -> float:
    """Seconds of a sample of 450 tokens of a 70 B model in 16 bits."""
    overrides = ("model=llama3.1_70b", "model.dtype=bfloat16", "model.device_map=null",
                 "model.placement=fsdp", f"gradients.batch_tokens={batch_tokens}")  # fmt: skip
    have = Hardware("cuda", name, 80, gpus=1, cores=16, ranks=ranks, nodes=nodes)
    seconds = found(*overrides, tokens=450, hardware=have).seconds
    assert seconds is not None
    return seconds


def test_a_pass_takes_as_long_as_its_weights_take_to_be_gathered() -> None:
    """Of 141 GB, 7/8 come from seven others, forward and backward, at 60 % of 450 GB/s."""
    whole = shared_out(1)
    assert shared_out(8) - whole == pytest.approx(2 * 141 * 7 / 8 / 270 - 126 / 396, abs=0.02)
    assert shared_out(8, batch_tokens=4096) == pytest.approx(whole)
    assert shared_out(8, name="L40S") > 5 * shared_out(8)
    between_nodes = 2 * 141 / 2 / 30
    assert shared_out(16, nodes=2) - whole == pytest.approx(between_nodes - 126 / 396, abs=0.03)


def test_what_as_many_processes_took_together_counts_for_them() -> None:
    eight = replace(GPU, ranks=8)
    estimate = found(
        "model.placement=fsdp", costs=[cost(), cost(ranks=8, seconds=80.0)], hardware=eight
    )
    assert estimate == Duration(0.8, Basis.CONDITION, "NVIDIA A100-SXM4-80GB")


@pytest.mark.parametrize("hardware", [GPU, Hardware("cpu", cores=2)])
@pytest.mark.parametrize("costs", [(), (cost(cot="none"), cost(cot="none", kind="cpu"))])
def test_more_tokens_take_longer(hardware: Hardware, costs: Sequence[Cost]) -> None:
    times = [found(tokens=n, hardware=hardware, costs=costs).seconds for n in (20, 100, 450, 1000)]
    assert times == sorted(set(times))  # type: ignore[type-var]


def test_the_model_is_near_the_benchmark() -> None:
    """SmolLM2 of 450 tokens took 2.8 s on two cores, of 100 tokens 0.5 s: docs/benchmarks.md."""
    two_cores = Hardware("cpu", "AMD EPYC", cores=2)
    for tokens, measured in ((100, 0.5), (450, 2.8)):
        estimate = found("model=smollm2_135m_instruct", tokens=tokens, hardware=two_cores).seconds
        assert estimate is not None
        assert measured / 1.6 < estimate < measured * 1.6


def test_what_costs_more_takes_longer() -> None:
    plain = found().seconds
    assert plain is not None
    for more in ("gradients.checkpointing=true", "gradients=attention_mlp", "model=gemma2_9b"):
        assert found(more).seconds > plain  # type: ignore[operator]
    assert found("model.dtype=bfloat16").seconds < plain  # type: ignore[operator]


def test_a_model_of_unknown_size_has_no_estimate_until_it_is_measured() -> None:
    mine = ("model=folder", "model.source.path=/models/mine", "model.name=mine")
    assert found(*mine) == Duration(None, Basis.UNKNOWN)
    assert found(*mine, costs=[cost(model="mine")]).seconds == 3.0


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("a10", "A10"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("TPU v5", None),
        (None, None),
    ],
)
def test_gpus_are_known_by_a_whole_word_of_their_name(name: str | None, known: str | None) -> None:
    assert known_gpu(name) == known


@pytest.mark.parametrize(
    ("seconds", "at_once", "expected"),
    [
        ([], 4, 0),
        ([5], 4, 5),
        ([3, 3, 3], 1, 9),
        ([3, 3, 3], 2, 6),
        ([3, 3, 3], 3, 3),
        ([9, 1, 1, 1], 2, 9),
        ([1, 1, 1, 9], 2, 10),
    ],
)
def test_each_job_takes_the_first_free_place(
    seconds: list[float], at_once: int, expected: float
) -> None:
    assert makespan(seconds, at_once) == expected
