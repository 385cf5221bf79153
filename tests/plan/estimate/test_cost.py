"""A point that has run says what it took, and the next plan reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from gradsweep import compose, extract
from gradsweep.config import Config
from gradsweep.plan.estimate import Basis, Cost, point_bytes, read_costs, seconds_per_sample
from gradsweep.plan.estimate.hardware import hardware_under, this_machine

TINY = ("model=folder", "model.name=tiny", "tracking=none", "gradients.device=cpu")


def point(model: Path, results: Path, *overrides: str) -> Config:
    return compose(*TINY, f"model.source.path={model}", f"store.root={results}", *overrides)


def test_a_finished_point_says_what_it_took(saved_model: Path, tmp_path: Path) -> None:
    config = point(saved_model, tmp_path, "cot=detailed", "n_samples=3")
    samples = extract(config, show_progress=False).samples()
    (found,) = read_costs(tmp_path)
    assert (found.model, found.dataset, found.cot) == ("tiny", "arithmetic", "detailed")
    assert (found.samples, found.stored_samples) == (3, 3)
    assert found.tokens == samples["n_prompt_tokens"].sum() + samples["n_response_tokens"].sum()
    assert found.seconds > 0
    folder = tmp_path / "points"
    sizes = [p.stat().st_size for p in folder.rglob("*.parquet")]
    assert found.stored_bytes == sum(sizes)

    again = seconds_per_sample(config, 1.0, this_machine("cpu"), [found])
    assert again.basis is Basis.CONDITION
    assert again.seconds == pytest.approx(found.seconds / 3 * found.cores / _cores())


def _cores() -> int:
    return this_machine("cpu").cores or 1


def test_a_point_of_an_earlier_version_is_passed_over(saved_model: Path, tmp_path: Path) -> None:
    result = extract(point(saved_model, tmp_path, "n_samples=2"), show_progress=False)
    summary = json.loads(result.paths.summary.read_text())
    del summary["cost"]
    result.paths.summary.write_text(json.dumps(summary))
    result.paths.done.write_text("{}")  # its checksums are of another file
    assert read_costs(tmp_path) == []


def test_a_plan_and_a_run_call_this_machine_the_same() -> None:
    running, planned = hardware_under(torch.device("cpu")), this_machine("cpu")
    assert (running.kind, running.name) == (planned.kind, planned.name)


def test_disk_follows_from_earlier_points(saved_model: Path, tmp_path: Path) -> None:
    extract(point(saved_model, tmp_path, "n_samples=8", "cot=detailed"), show_progress=False)
    costs = read_costs(tmp_path)
    larger = point(saved_model, tmp_path, "n_samples=16")
    estimate = point_bytes(larger, 50, costs)
    folder = extract(larger, show_progress=False).paths.folder
    used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert estimate is not None
    assert used / 2 < estimate < used * 2


def test_singular_values_take_more_disk_and_unknown_models_are_unknown() -> None:
    def size(*overrides: str, costs: tuple[Cost, ...] = ()) -> float | None:
        return point_bytes(compose("model=qwen2_1.5b", "tracking=none", *overrides), 400, costs)

    plain, some, every, heads = (
        size(*more)
        for more in (
            (),
            ("gradients.top_k=16",),
            ("gradients.save_spectra=true",),
            ("gradients.heads=true",),
        )
    )
    assert plain < some < every  # type: ignore[operator]
    # 28 layers of 12 + 12 + 2 + 2 heads beside four whole matrices; the shape is a guess.
    assert 4 < heads / plain < 16  # type: ignore[operator]
    assert size("model=folder", "model.source.path=/m") is None
