"""Points to tasks, tasks to arrays: one model each, within the cluster's limits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gradsweep.errors import ConfigError
from gradsweep.jobs.schedulers.local import LocalScheduler, LocalSettings
from gradsweep.jobs.schedulers.slurm import SlurmSettings
from gradsweep.plan import Plan
from gradsweep.plan.grouping import Task, group_points, make_arrays, shared_throttle
from gradsweep.records import WHOLE, Shard

MakePlan = Callable[..., Plan]


def test_a_task_has_points_of_one_model_and_no_more_than_asked(grid: MakePlan) -> None:
    plan = grid("model=qwen2_1.5b,gemma2_2b", "cot=none,detailed", "seed=0,1,2", "n_samples=2")
    tasks = group_points(plan.points, points_per_job=4)
    model_of = {point.point_id: point.axes.model for point in plan.points}
    assert [task.model for task in tasks] == ["qwen2_1.5b"] * 2 + ["gemma2_2b"] * 2
    assert [len(task.point_ids) for task in tasks] == [3, 3, 3, 3], "spread evenly"
    assert all(model_of[i] == task.model for task in tasks for i in task.point_ids)
    assert [i for task in tasks for i in task.point_ids] == [p.point_id for p in plan.points]


def test_weights_in_another_dtype_are_other_weights(grid: MakePlan) -> None:
    plan = grid("model=qwen2_1.5b", "model.dtype=float32,bfloat16", "seed=0,1")
    assert len(group_points(plan.points, points_per_job=8)) == 2


def test_shards_are_neighbouring_tasks_with_the_same_points(grid: MakePlan) -> None:
    plan = grid("model=qwen2_1.5b,llama3_8b", "cot=none,detailed", "n_samples=2")
    settings = SlurmSettings(per_model={"*_8b": {"shards": 3, "tasks_per_node": 2}})
    tasks = group_points(plan.points, 1, lambda model: settings.resources(model)["shards"])
    small, large = tasks[:2], tasks[2:]
    assert [task.shard for task in small] == [WHOLE] * 2
    assert [task.shard for task in large] == [Shard(i, 3) for _ in range(2) for i in range(3)]
    assert len({task.point_ids for task in large[:3]}) == 1
    assert {i for task in tasks for i in task.point_ids} == {p.point_id for p in plan.points}


@pytest.mark.parametrize(("processes", "shards", "tasks"), [(4, 2, 4), (3, 2, 2), (1, 3, 3)])
def test_local_processes_share_out_samples(
    grid: MakePlan, processes: int, shards: int, tasks: int
) -> None:
    plan = grid("seed=0,1,2,3", "n_samples=2")
    settings = LocalSettings(array_parallelism=processes, shards=shards)
    (array,) = LocalScheduler(settings).arrays(plan.points)
    assert len(array.tasks) == tasks
    covered = {(i, task.shard.index) for task in array.tasks for i in task.point_ids}
    assert covered == {(p.point_id, shard) for p in plan.points for shard in range(shards)}


def test_weights_in_4_bits_are_other_weights(grid: MakePlan) -> None:
    plan = grid("model=qwen2_1.5b", "model.quantization=none,nf4", "seed=0,1")
    assert len(group_points(plan.points, points_per_job=8)) == 2


@pytest.mark.parametrize(("n_tasks", "limit", "parallelism"), [(7, 3, 4), (5, 1, 2), (1, 9, 64)])
def test_arrays_keep_to_their_size_and_share_the_throttle(
    n_tasks: int, limit: int, parallelism: int
) -> None:
    tasks = [Task("m", (f"p{i}",)) for i in range(n_tasks)]
    arrays = make_arrays(tasks, lambda model: {}, parallelism, limit)
    assert [task for array in arrays for task in array.tasks] == tasks
    assert all(len(array.tasks) <= limit for array in arrays)
    at_once = [array for array in arrays if array.after is None]
    assert sum(array.throttle for array in at_once) <= parallelism
    for array in arrays:
        if array.after is not None:
            freed = arrays[array.after]
            assert freed.number < array.number
            assert array.throttle <= freed.throttle


def test_every_array_gets_a_share_of_the_throttle_by_its_size() -> None:
    assert shared_throttle([900, 100], 10) == [9, 1]
    assert shared_throttle([2, 2], 64) == [2, 2], "never more than it has elements"
    assert min(shared_throttle([1000, 1, 1], 3)) == 1


def test_models_with_other_resources_get_an_array_of_their_own() -> None:
    settings = SlurmSettings(mem_gb=32, per_model={"*_8b*": {"mem_gb": 96, "gpus_per_node": 2}})
    assert settings.resources("qwen2_1.5b")["mem_gb"] == 32
    assert settings.resources("llama3_8b_instruct")["mem_gb"] == 96
    tasks = [Task("llama3_8b", ("a",)), Task("qwen2_1.5b", ("b",)), Task("llama3_8b", ("c",))]
    arrays = make_arrays(tasks, settings.resources, 64, 1001)
    assert [[task.point_ids[0] for task in array.tasks] for array in arrays] == [["a", "c"], ["b"]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"points_per_job": 0}, r"points_per_job.*at least 1.*0"),
        ({"array_parallelism": 0}, r"array_parallelism.*at least 1.*0"),
        ({"shards": 0}, r"shards.*at least 1.*0"),
        ({"tasks_per_node": 0}, r"tasks_per_node.*at least 1.*0"),
        ({"timeout_min": 0}, r"timeout_min.*at least 1.*0"),
        ({"shards": 10**20}, r"shards.*at most 2147483647.*10{20}"),
        ({"max_restarts": -1}, r"max_restarts.*at least 0.*-1"),
        ({"gpus_per_node": -1}, r"gpus_per_node.*at least 0.*-1"),
        ({"cpus_per_task": 0}, r"cpus_per_task.*at least 1.*0"),
        ({"mem_gb": -1.0}, r"mem_gb must be positive, got -1"),
        ({"gpu_memory_gb": float("inf")}, r"gpu_memory_gb must be positive, got inf"),
        ({"timeout_min": 1, "signal_delay_s": 60}, r"signal_delay_s.*less than.*1 min.*60"),
        ({"per_model": {"a*": {"memory": 3}}}, r"per_model\.a\*.*memory.*allowed.*mem_gb"),
    ],
)
def test_settings_name_field_value_and_what_is_allowed(given: dict, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ConfigError, match=message):
        SlurmSettings(**given)
