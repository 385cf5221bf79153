"""A plan is what runs: each point once, in one place, with what is left out named."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest

from gradsweep.config.composition import ConfigSource, checked
from gradsweep.errors import ConfigError, ExcludedPointError
from gradsweep.plan import Plan, checked_plan, make_plan

BASE = ["model=hub", "model.source.hub_id=some/model", "tracking=none"]


def plan(*overrides: str) -> Plan:
    return checked_plan([*BASE, *overrides], multirun=True)


@pytest.mark.parametrize(
    "field",
    ["gradients.batch_tokens=64,128", "gradients.workers=1,2", "gradients.device=cpu,auto"],
)
def test_fields_that_change_no_result_make_no_further_point(field: str) -> None:
    made = plan(field, "seed=0,1")
    assert len(made.points) == made.duplicates == 2


def test_conditional_fields_make_a_point_once() -> None:
    sources = ("correctness=correct,irrelevant", "correctness.source=auto,generated")
    made = plan(*sources)
    assert (len(made.points), made.duplicates) == (3, 1)


@pytest.mark.parametrize(
    "field",
    ["store.root=a,b", "sweep=a,b", "tracking.mode=auto,offline", "tracking.entity=null,me"],
)
def test_what_all_points_share_has_one_value(field: str) -> None:
    name, _, values = field.partition("=")
    with pytest.raises(ConfigError) as refused:
        plan(field)
    assert str(refused.value).startswith(f"{field}: ")
    assert f"first with {name}={values.split(',')[0]}" in str(refused.value)


def test_a_level_that_a_users_file_lacks_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"prompt": "1 + 1?", "responses": {"none": "2"}}) + "\n")
    data = ["dataset=jsonl", f"dataset.path={path}"]
    made = plan(*data, "cot=none,detailed")
    assert len(made.points) == 1
    (reason,) = made.excluded
    assert "no response at cot=detailed" in reason
    with pytest.raises(ExcludedPointError):
        plan(*data, "cot=detailed")


def test_own_yaml_gives_every_cell_what_composing_it_alone_gives(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("mine", "other"):
        (folder / f"{name}.yaml").write_text(f"name: {name}\nsource: {{hub_id: some/{name}}}\n")
    source = ConfigSource(config_dir=str(tmp_path))
    made = make_plan(["model=mine,other", "seed=0,1", "tracking=none"], True, source)
    alone = [
        make_plan([f"model={model}", f"seed={seed}", "tracking=none"], False, source)
        for model, seed in product(("mine", "other"), (0, 1))
    ]
    assert [p.point_id for p in made.points] == [p.points[0].point_id for p in alone]
    assert made.source == source
    with pytest.raises(ConfigError, match="mine"):
        checked(lambda: make_plan(["model=mine"], False))
