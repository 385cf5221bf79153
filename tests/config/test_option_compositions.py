"""A composition in halves is Hydra's own, in every node and word."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from omegaconf import DictConfig, ListConfig, Node, OmegaConf

from gradsweep.config import composition
from gradsweep.config.composition import BUILT_IN
from gradsweep.config.files import config_groups, options

SOUND = [
    "",
    "model=llama3_8b cot=detailed store.root=/tmp/x n_samples=3 n_samples=4",
    "model.source.path=a model=folder +gradients.own_metrics.a._target_=x.y ++model.foo=1 +b=1",
    "+experiment=paper_math gradients.projections=[v,q] model.name=${seed} ~tracking",
    "hydra.sweep.dir=x hydra/launcher=slurm_h100 +hydra.foo=1",
    "model={name:y} model.name=x",
    "cot=partial dataset=gsm8k correctness=irrelevant objective=orpo",
    "gradients=attention_mlp cot=detailed ~training seed=2 quality=null",
    "model=gguf model=hub",
    "+experiment=freezing model=qwen2_1.5b cot=detailed training=lora",
    "+experiment=data_quality model=qwen2_1.5b dataset=aqua",
    "+experiment=paper_math model=llama3_8b dataset=aqua hydra/launcher=local cot=simplified",
]
REFUSED = [
    *("model=nope", "model@x=gguf", "cot=a,b", "dataset.nope=1", "n_samples=x"),
    *("~model.name", "tracking.mode=nix", "+objective.beta=1 cot=nope"),
]


def hydras_own(overrides: list[str], with_hydra: bool) -> DictConfig:
    with composition._hydra(BUILT_IN):
        return hydra_compose("config", overrides, with_hydra)


@pytest.mark.parametrize("line", SOUND)
def test_it_is_what_hydra_composes(line: str) -> None:
    overrides = line.split()
    expected = hydras_own(overrides, True)
    for without in ([], ["hydra"]):
        kept = [name for name in expected if name not in without]
        for time in ("first", "again"):
            made = composition.compose_raw(overrides, return_hydra_config=not without)
            assert OmegaConf.to_yaml(made) == OmegaConf.to_yaml(
                OmegaConf.masked_copy(expected, kept)
            ), time
            assert OmegaConf.get_type(made) is OmegaConf.get_type(expected)
            assert OmegaConf.is_struct(made)


GROUPS = sorted(config_groups() - {"experiment"})


def same(overrides: list[str]) -> None:
    """Nodes, and what is not seen in YAML: types, flags, what may be missing."""
    expected, made = hydras_own(overrides, False), composition._composed(overrides, BUILT_IN)
    assert inside(made) == inside(expected), overrides


def inside(node: Node) -> tuple[object, ...]:
    told = node._metadata
    known = (type(node), told.ref_type, told.object_type, told.optional, told.key, told.flags)
    if isinstance(node, DictConfig | ListConfig) and node._content and not node._is_none():
        keys = node if isinstance(node, DictConfig) else range(len(node))
        return (*known, *(inside(node._get_node(key)) for key in keys))  # type: ignore[arg-type]
    return (*known, node._value())


@pytest.mark.parametrize("group", GROUPS)
def test_an_option_makes_what_hydra_makes_of_it(group: str) -> None:
    same([f"{group}={[*options(group)][-1]}"])


@pytest.mark.long
@pytest.mark.parametrize("group", GROUPS)
def test_every_option_makes_what_hydra_makes_of_it(group: str) -> None:
    for option in options(group):
        same([f"{group}={option}"])


@pytest.mark.parametrize("line", REFUSED)
def test_what_hydra_refuses_is_refused_in_its_words(line: str) -> None:
    messages = []
    for compose in (lambda o: hydras_own(o, False), composition.compose_raw):
        with pytest.raises(Exception, match=r".") as refusal:
            compose(line.split())
        messages.append((refusal.type, str(refusal.value)))
    assert messages[0] == messages[1]


def test_folders_of_options_on_the_command_line_are_read(tmp_path: Path) -> None:
    (folder := tmp_path / "cot").mkdir()
    (folder / "mine.yaml").write_text("level: detailed\n")
    line = ["cot=mine", f"hydra.searchpath=[file://{tmp_path}]"]
    assert composition.compose_raw(line).cot.level.value == "detailed"


def test_a_composition_is_the_callers_own() -> None:
    first = composition.compose_raw(["cot=detailed", "seed=3"])
    first.model.name = "changed"
    assert composition.compose_raw(["cot=detailed", "seed=3"]).model.name != "changed"
