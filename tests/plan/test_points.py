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


def test_a_pair_or_a_group_is_one_point_whatever_correctness_is_typed() -> None:
    made = plan("objective=sft,dpo,grpo", "cot=none,simplified,detailed")
    assert (len(made.points), made.duplicates, made.excluded) == (9, 0, ())
    made = plan("objective=sft,dpo,grpo", "correctness=correct,irrelevant")
    assert [str(point.axes).split(" · ")[3:] for point in made.points] == [
        ["correct"],
        ["irrelevant"],
        ["pair", "dpo"],
        ["group", "grpo"],
    ]
    assert made.duplicates == 2
    assert made.notes == (
        "objective=dpo has both responses in its loss: correctness is pair",
        "objective=grpo has all responses to a question in its loss: correctness is group",
    )


def test_names_of_points_say_the_objective_only_where_it_is_not_the_studys() -> None:
    alone = plan("cot=none,detailed")
    assert "objective" not in alone.name
    assert {alone.label(point) for point in alone.points} == {"none", "detailed"}
    (other,) = plan("objective=dpo").points
    assert str(other.axes).endswith(" · pair · dpo")
    assert "objective" in plan("objective=sft,dft").name


@pytest.mark.parametrize("objectives", ["dpo", "dpo,grpo"])
def test_a_typed_correctness_that_no_objective_reads_is_an_error(objectives: str) -> None:
    with pytest.raises(ConfigError, match=r"correctness=irrelevant would not be read.*sft"):
        plan(f"objective={objectives}", "correctness=correct,irrelevant")
    assert plan("objective=dpo", "correctness=pair").notes == ()


def test_pairs_of_the_studys_objective_are_left_out_with_the_reason() -> None:
    made = plan("objective=sft,dpo", "correctness=correct,pair")
    assert len(made.points) == 2
    assert "correctness=pair: objective=sft has one response in its loss" in made.excluded[0]


def test_members_of_a_lone_sample_are_read_by_nobody_and_change_no_point() -> None:
    with pytest.raises(ConfigError, match=r"members=True would not be read.*reduction=step"):
        plan("objective.members=true")
    with_pairs = plan("objective=sft,dpo", "objective.members=true").points
    assert with_pairs[0].point_id == plan().points[0].point_id
    assert with_pairs[1].point_id != plan("objective=dpo").points[0].point_id
