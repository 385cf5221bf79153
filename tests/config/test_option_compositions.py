"""A composition in halves is Hydra's own, in every node and word."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from omegaconf import DictConfig, OmegaConf

from gradsweep.config import composition

SOUND = [
    "",
    "model=llama3_8b cot=detailed store.root=/tmp/x n_samples=3 n_samples=4",
    "model.source.path=a model=folder +gradients.own_metrics.a._target_=x.y ++model.foo=1 +b=1",
    "+experiment=paper_math gradients.projections=[v,q] model.name=${seed} ~tracking",
    "hydra.sweep.dir=x hydra/launcher=slurm_h100 +hydra.foo=1",
    "model={name:y} model.name=x",
]
REFUSED = [
    *("model=nope", "model@x=gguf", "cot=a,b", "dataset.nope=1", "n_samples=x"),
    *("~model.name", "tracking.mode=nix", "+objective.beta=1 cot=nope"),
]


def hydras_own(overrides: list[str], with_hydra: bool) -> DictConfig:
    with composition._hydra(composition.BUILT_IN):
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
