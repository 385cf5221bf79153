"""No setting is ignored: what nothing would read is one error that ends in what to type."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gradsweep import compose
from gradsweep.config import CorrectnessConfig, IrrelevantSource
from gradsweep.config.composition import ConfigSource, checked
from gradsweep.config.conditional_fields import UNREAD
from gradsweep.config.fields import point_fields
from gradsweep.config.objective import objective_option_names
from gradsweep.errors import ConfigError
from gradsweep.identity import point_id
from gradsweep.plan import make_plan

GSM8K = "dataset=gsm8k"


@pytest.mark.parametrize(
    ("typed", "needed"),
    [
        ("cot.steps_kept=2", "cot=partial"),
        ("cot={steps_kept: 2}", "cot=partial"),
        ("cot.path=mine.jsonl", "cot=custom"),
        ("cot.name=mine", "cot=custom"),
        ("correctness.source=generated", "correctness=irrelevant"),
        ("correctness=irrelevant correctness.source=paper", "dataset=gsm8k"),
        ("dataset.path=mine.jsonl", "dataset=jsonl"),
        ("dataset.fields.prompt=question", "dataset=jsonl"),
        ("dataset.root=copy", "dataset=gsm8k"),
        ("dataset.hub=openai/gsm8k", "dataset=gsm8k"),
        ("dataset=gsm8k dataset.hub_revision=main", "dataset.source=hub"),
        ("dataset=gsm8k dataset.root=. dataset.url=https://here", "dataset.source=url"),
        ("dataset=gsm8k dataset.size=9", "dataset=arithmetic"),
        ("n_samples=2 dataset.n_samples=3", "n_samples=null"),
        ("model.source.hub_id=owner/name", "model=hub"),
        ("model=hub model.source.hub_id=owner/name model.source.path=x", "model=folder"),
        ("model=qwen2_1.5b model.template_date=2020-01-01", "model.prompt=chat"),
        ("tracking=none tracking.project=mine", "tracking=wandb"),
        ("gradients.device=cuda gradients.workers=2", "gradients.device=cpu"),
    ],
)
def test_a_setting_that_nothing_reads_is_an_error_with_what_to_type(
    typed: str, needed: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        compose(*(typed.split() if "{" not in typed else [typed]))
    message = str(refused.value)
    assert "would not be read" in message
    assert needed in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "typed", ["cot.steps_kept=1", "correctness.source=auto", "dataset.path=null"]
)
def test_a_value_that_changes_nothing_is_harmless(typed: str) -> None:
    assert point_id(compose(typed)) == point_id(compose())


@pytest.mark.parametrize("objective", ["dpo", "grpo"])
def test_pairs_and_groups_read_where_irrelevant_responses_come_from(objective: str) -> None:
    given = ("dataset=gsm8k", f"objective={objective}")
    assert compose(*given, "correctness.source=generated").correctness.source.name == "generated"


def test_a_grid_may_vary_what_one_of_its_points_reads() -> None:
    plan = make_plan(["cot=none,partial,detailed", "cot.steps_kept=0,1"], multirun=True)
    assert len(plan.points) == 4
    with pytest.raises(ConfigError, match=r"cot\.steps_kept=2 would not be read"):
        make_plan(["cot=none,detailed", "cot.steps_kept=1,2"], multirun=True)


def test_a_stored_config_keeps_what_nothing_reads() -> None:
    """Points from before this was refused are the same points."""
    stored = replace(compose(), correctness=CorrectnessConfig(source=IrrelevantSource.generated))
    assert point_id(stored) == point_id(compose())


def test_every_rule_is_about_a_field_that_is_there() -> None:
    options = {f"objective.{name}" for name in objective_option_names()}
    assert set(UNREAD) <= set(point_fields()) | options


@pytest.mark.parametrize(
    "typed",
    [
        "model=qwen2_1.5b model.source.hub_id=owner/name",
        "model.source.kind=hub model.source.hub_id=owner/name",
        "model=llama3_8b model.source.kind=folder model.source.path=.",
        "model=hub model.source.hub_id=owner/name model.name=llama3_8b",
    ],
)
def test_no_packaged_name_stands_over_another_models_numbers(typed: str) -> None:
    with pytest.raises(ConfigError, match=r"would be called model=\w.* model.name=mine"):
        compose(*typed.split())
    assert compose(*typed.split(), "model.name=mine").model.name == "mine"


@pytest.mark.parametrize(
    "typed",
    [
        "dataset=jsonl dataset.path=mine.jsonl dataset.name=gsm8k",
        "dataset=jsonl dataset.path=mine.jsonl dataset.name=arithmetic",
        "dataset=aqua dataset.name=gsm8k",
    ],
)
def test_no_packaged_name_stands_over_other_data(typed: str) -> None:
    with pytest.raises(ConfigError, match=r"would be called dataset=\w.* dataset.name=mine"):
        compose(*typed.split())
    assert compose(*typed.split(), "dataset.name=mine").dataset.name == "mine"


@pytest.mark.parametrize(
    "typed",
    [
        "dataset=gsm8k dataset.name=gsm8k dataset.root=.",
        "model.source.kind=hub",
        "model=qwen2_1.5b model.source.revision=v1",
        "model=hub model.source.hub_id=owner/name",
        "model.name=another_name",
    ],
)
def test_what_an_option_offers_has_its_name(typed: str) -> None:
    assert compose(*typed.split()).model.name


def test_an_option_of_ones_own_has_its_own_source(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "qwen2_1.5b.yaml").write_text(
        "name: qwen2_1.5b\nsource:\n  kind: hub\n  hub_id: mirror/qwen\n"
    )
    own = ConfigSource(str(tmp_path))
    assert compose("model=qwen2_1.5b", "model.source.revision=v1", source=own)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("n_sample=3", "n_sample: there is no such field.*did you mean n_samples"),
        ("+n_sample=3", "n_sample: there is no such field.*did you mean n_samples"),
        ("batch_tokens=64", "did you mean gradients.batch_tokens"),
        ("+colour=red", "colour: there is no such field"),
        ("cot=detaled", "cot=detaled: .*did you mean detailed.*allowed are custom, detailed"),
        ("+cot=detailed", "type cot=detailed"),
        ("experiment=paper_full", r"type \+experiment=paper_full"),
        ("+experiment=paper_ful", "did you mean paper_full"),
        ("cot=none,detailed", "add -m"),
        ("n_samples=many", "n_samples=many: allowed is a whole number"),
        ("~cot", "every point has a cot.*none, simplified, detailed"),
        ("~n_samples", "n_samples=<value>"),
        ("objective.gamma=1", "objective=sft has no gamma.*reduction"),
        ("objective=dpo objective.bta=3", "objective=dpo has no bta.*did you mean beta"),
        ("objective=dpo +objective.bta=3", "objective=dpo has no bta.*did you mean beta"),
        ("objective=dft +objective.beta=3", "objective=dft has no beta; it has no options"),
        ("dataset=gsm8k +dataset.files.detaild=x", "did you mean detailed"),
        ("hydra.launcher.partition=gpu", "hydra/launcher=slurm"),
    ],
)
def test_a_typo_is_one_error_without_hydras_advice(typed: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as refused:
        compose(*typed.split())
    message = str(refused.value)
    for noise in ("search", "pkg://", "full_key", "append", "\n"):
        assert noise not in message, message


def test_a_setting_of_hydras_that_is_none_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"hydra\.launcher\.partition: there is no such setting"):
        checked(lambda: make_plan(["+hydra.launcher.partition=gpu"], multirun=True))
