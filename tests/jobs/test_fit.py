"""Jobs that could not hold their model are refused before anything is submitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gradsweep.config import Config
from gradsweep.errors import ConfigError
from gradsweep.jobs.schedulers.local import LocalScheduler, LocalSettings
from gradsweep.jobs.schedulers.slurm import SlurmScheduler, SlurmSettings
from gradsweep.jobs.submit import submit
from gradsweep.plan import Plan
from gradsweep.plan.estimate import Hardware
from gradsweep.plan.fit import misfit

MakePlan = Callable[..., Plan]
A100 = {"gpus_per_node": 1, "gpu": "A100", "gpu_memory_gb": 80, "snapshot": False}
LARGE = ("model=llama3.1_70b", "model.device_map=null", "cot=none,detailed", "n_samples=2")


def settings(**given: Any) -> SlurmSettings:
    return SlurmSettings(**A100 | given)


def require_memory(plan: Plan, given: SlurmSettings) -> None:
    SlurmScheduler(given).check(plan.points)


def hardware_of(given: SlurmSettings, config: Config) -> Hardware:
    return SlurmScheduler(given).hardware(config)


def refusal(plan: Plan, given: SlurmSettings) -> str:
    with pytest.raises(ConfigError) as refused:
        require_memory(plan, given)
    return str(refused.value)


def test_a_refusal_names_field_need_and_ways_out(grid: MakePlan) -> None:
    said = refusal(grid(*LARGE), settings())
    assert said.startswith("hydra.launcher.gpu_memory_gb=80: model=llama3.1_70b in float32 needs")
    for text in (
        "one GPU of 80 GB",
        "model.quantization=nf4",
        "model.device_map=auto with 4 GPUs",
        "per_model",
        "hydra.launcher.check_memory=false",
    ):
        assert text in said, said
    assert "\n" not in said


def test_nothing_is_written_or_submitted_for_a_model_that_does_not_fit(
    grid: MakePlan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no sbatch: it is not even asked
    plan = grid(*LARGE)
    with pytest.raises(ConfigError, match="gpu_memory_gb"):
        submit(plan, SlurmScheduler(settings()), ["command"])
    assert not list((tmp_path / "results").rglob("submission.json"))


def test_more_gpus_do_not_help_a_model_that_uses_one(grid: MakePlan) -> None:
    said = refusal(grid(*LARGE), settings(gpus_per_node=8))
    assert "of a job's 8 GPUs of 80 GB it uses one: model.device_map is not auto" in said
    assert "model.device_map=auto gradients.checkpointing=true" in said


def test_a_model_over_several_gpus_has_all_their_memory(grid: MakePlan) -> None:
    plan = grid(*LARGE, "model.device_map=auto")
    require_memory(plan, settings(gpus_per_node=8))
    assert "a job has 2 GPUs of 80 GB" in refusal(plan, settings(gpus_per_node=2))


def test_processes_that_share_out_weights_have_a_gpu_each(grid: MakePlan) -> None:
    plan = grid(*LARGE, "model.placement=fsdp")
    few = settings(tasks_per_node=8, gpus_per_node=8, per_model={"*_70b*": {"gpus_per_node": 4}})
    said = refusal(plan, few)
    assert said.startswith("hydra.launcher.tasks_per_node=8: ")
    typed = "+hydra.launcher.per_model={llama3?1_70b:{gpus_per_node:8}}"
    assert f"type hydra.launcher.tasks_per_node=4, or '{typed}'" in said
    enough = replace(few, per_model=few.per_model | {"llama3?1_70b": {"gpus_per_node": 8}})
    have = hardware_of(enough, plan.points[0].config)
    assert (have.ranks, have.gpus) == (8, 1)


def test_processes_of_a_job_share_its_gpus_and_its_memory(grid: MakePlan) -> None:
    plan = grid(*LARGE, "model.device_map=auto")
    shared = settings(gpus_per_node=8, tasks_per_node=4)
    assert "a job has 2 GPUs of 80 GB" in refusal(plan, shared)
    small = grid("model=llama3_8b")
    require_memory(small, SlurmSettings(mem_gb=64))
    assert "mem_gb" in refusal(small, SlurmSettings(mem_gb=64, tasks_per_node=2))


def test_processes_that_share_a_model_need_a_shard_of_it_each(grid: MakePlan) -> None:
    plan = grid(*LARGE, "model.placement=fsdp")
    said = refusal(plan, settings(gpus_per_node=8, tasks_per_node=8))
    assert "each of a job's processes has one GPU of 80 GB" in said
    assert "model.dtype=bfloat16" in said
    assert "hydra.launcher.nodes" in said
    assert "nf4" not in said, "4 bits cannot be cut"
    require_memory(plan, settings(gpus_per_node=8, tasks_per_node=8, nodes=2))
    halved = grid(*LARGE, "model.placement=fsdp", "model.dtype=bfloat16")
    require_memory(halved, settings(gpus_per_node=8, tasks_per_node=8))
    with pytest.raises(ConfigError, match="torchrun"):
        LocalScheduler(LocalSettings()).check(plan.points)


@pytest.mark.parametrize(
    "given",
    [
        {"check_memory": False},
        {"gpu_memory_gb": None},
        {"gpu_memory_gb": 640},
        {"per_model": {"*_70b": {"gpu_memory_gb": 640}}},
    ],
)
def test_it_can_be_submitted_anyway_or_where_memory_is_unknown(
    grid: MakePlan, given: dict[str, Any]
) -> None:
    require_memory(grid(*LARGE), settings(**given))


@pytest.mark.parametrize(
    "override", ["model.dtype=bfloat16", "gradients.checkpointing=true", "model=qwen2_1.5b"]
)
def test_what_the_refusal_offers_is_accepted(grid: MakePlan, override: str) -> None:
    profile = settings(gpu_memory_gb=40)
    assert "hydra.launcher.gpu_memory_gb=40" in refusal(grid("model=llama3_8b"), profile)
    require_memory(grid("model=llama3_8b", override), profile)


def test_jobs_without_a_gpu_need_the_memory_of_their_host(grid: MakePlan) -> None:
    plan = grid("model=llama3_8b")
    said = refusal(plan, SlurmSettings(mem_gb=32))
    assert said.startswith("hydra.launcher.mem_gb=32: model=llama3_8b")
    assert "allowed is what fits" in said
    require_memory(plan, SlurmSettings(mem_gb=64))
    require_memory(plan, SlurmSettings())


def test_one_small_part_of_a_grid_does_not_hide_the_large_one(grid: MakePlan) -> None:
    plan = grid("model=qwen2_1.5b,llama3_8b", "model.dtype=bfloat16,float32")
    said = refusal(plan, settings(gpu_memory_gb=40))
    assert "model=llama3_8b in float32" in said


def test_what_the_gpus_are_is_not_sbatchs_business() -> None:
    given = settings(per_model={"*70b*": {"gpu_memory_gb": 141, "gpu": "H200", "mem_gb": 300}})
    assert given.resources("llama3.1_70b") == {
        "shards": 1,
        "tasks_per_node": 1,
        "timeout_min": 240,
        "gpus_per_node": 1,
        "mem_gb": 300,
    }


@pytest.mark.parametrize(
    ("given", "gpus"), [({"gres": "gpu:a100:2,lustre:1"}, 2), ({"gres": "gpu"}, 1), ({}, 0)]
)
def test_gpus_are_found_in_gres_too(grid: MakePlan, given: dict[str, Any], gpus: int) -> None:
    (point,) = grid("model=qwen2_1.5b").points
    hardware = hardware_of(SlurmSettings(**given), point.config)
    assert hardware.gpus == gpus
    assert hardware.kind == ("cuda" if gpus else "cpu")
    on_cpu = grid("model=qwen2_1.5b", "gradients.device=cpu").points[0].config
    assert hardware_of(SlurmSettings(**given), on_cpu).kind == "cpu"
    assert misfit(on_cpu, hardware_of(SlurmSettings(**given, mem_gb=2), on_cpu))


def test_a_gpu_without_memory_is_no_gpu() -> None:
    with pytest.raises(ConfigError, match=r"gpu_memory_gb must be positive, got 0"):
        settings(gpu_memory_gb=0)


def test_local_processes_share_the_memory_of_this_machine(
    grid: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Hardware("cpu", "a CPU", 64.0, cores=2)
    monkeypatch.setattr("gradsweep.plan.estimate.this_machine", lambda device: machine)
    plan = grid("model=llama3_8b", "cot=none,detailed")
    LocalScheduler(LocalSettings()).check(plan.points)
    with pytest.raises(ConfigError) as refused:
        LocalScheduler(LocalSettings(array_parallelism=2)).check(plan.points)
    said = str(refused.value)
    assert "this machine has 32 GB for each of 2 processes" in said
    assert "hydra.launcher.array_parallelism=1" in said
    assert "hydra.launcher.check_memory=false" in said
    LocalScheduler(LocalSettings(array_parallelism=2, check_memory=False)).check(plan.points)
