"""Every option composes; identity is science and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from gradsweep import compose
from gradsweep.config import Config
from gradsweep.config.files import config_dir, options
from gradsweep.config.parts import plain
from gradsweep.errors import ConfigError, ExcludedPointError
from gradsweep.identity import point_id, science

NEEDED = {
    "hub": ["model.source.hub_id=owner/name"],
    "custom": ["cot.path=mine.jsonl"],
    "folder": ["model.source.path=/models/mine"],
    "gguf": ["model.source.path=/models/mine.gguf"],
    "jsonl": ["dataset.path=mine.jsonl"],
    "pair": ["objective=dpo"],
    "group": ["objective=grpo"],
    "distill": ["objective.teacher=qwen2_1.5b"],
    "series": ["training.checkpoints=[step1,step2]"],
}
"""What an option cannot do without."""

OPTIONS = [
    (group.name, name)
    for group in sorted(config_dir().iterdir())
    if group.is_dir()
    for name in options(group.name)
]


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes_and_says_what_it_is(group: str, option: str) -> None:
    levels = ["cot=simplified"] if option.startswith("math_") else []
    if group == "dataset" and option.partition("_")[0] in ("wizardlm", "openhermes", "magpie"):
        levels = ["quality=high"]
    if option.endswith("_r1"):
        levels = ["cot=detailed"]
    added = "+" if group == "experiment" else ""
    config = compose(f"{added}{group}={option}", *NEEDED.get(option, []), *levels)
    assert isinstance(config, Config)
    as_omegaconf = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
    assert json.dumps(plain(config)) == json.dumps(as_omegaconf)
    assert len(options(group)[option]) > 10
    if group in ("model", "dataset") and option not in ("hub", "folder", "gguf"):
        assert getattr(config, group).name == option


def test_defaults_are_the_embedded_ones() -> None:
    axes = compose().axes
    assert (axes.model, axes.dataset) == ("smollm2_135m_instruct", "arithmetic")
    assert (axes.cot, axes.correctness) == ("none", "correct")


@pytest.mark.parametrize(
    "override",
    [
        "store.root=elsewhere",
        "tracking=none",
        "gradients.batch_tokens=64",
        "gradients.checkpointing=true",
        "gradients.device=cpu",
        "gradients.projections=[o,v,k,q]",
        "model.name=another_name",
        "model.parameters=1",
        "sweep=a_name",
        "gradients.similarities=false",
        "gradients.top_k=null",
        "n_samples=16",
    ],
)
def test_where_and_how_does_not_change_the_point(override: str) -> None:
    assert point_id(compose(override)) == point_id(compose())


@pytest.mark.parametrize(
    "override",
    [
        "model.prompt=plain",
        "model.dtype=bfloat16",
        "model.dtype=float16",
        "model.max_length=512",
        "model.source.kind=hub",
        "cot=detailed",
        "correctness=irrelevant",
        "n_samples=17",
        "seed=1",
        "dataset.shuffle=false",
        "dataset.size=600",
        "gradients.solver=svd",
        "gradients.projections=[q]",
        "gradients.save_spectra=true",
        "gradients.similarities=true",
        "gradients.top_k=5",
        "gradients.heads=true",
        "gradients.spectral_radius=true",
        "gradients.optimizer_geometry=true",
    ],
)
def test_science_changes_the_point(override: str) -> None:
    assert point_id(compose(override)) != point_id(compose())


def test_columns_that_are_off_leave_no_trace_in_the_identity() -> None:
    """Points from before these columns were there keep their id."""
    added = {"similarities", "top_k", "heads", "spectral_radius", "optimizer_geometry"}
    assert not added & science(compose())["gradients"].keys()


def test_a_file_is_known_by_its_content_not_its_place(tmp_path: Path) -> None:
    line = '{"prompt": "1 + 1?", "responses": {"none": "2"}}\n'
    here, there, other = (tmp_path / name for name in ("a.jsonl", "b.jsonl", "c.jsonl"))
    here.write_text(line)
    there.write_text(line)
    other.write_text(line.replace("2", "3"))
    ids = [point_id(compose("dataset=jsonl", f"dataset.path={p}")) for p in (here, there, other)]
    assert ids[0] == ids[1] != ids[2]


def test_an_excluded_cell_names_dataset_and_levels() -> None:
    with pytest.raises(ExcludedPointError, match=r"math_algebra has no cot=none.*simplified"):
        compose("dataset=math_algebra", "cot=none")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.max_length=1", r"model\.max_length.*at least 2.*1"),
        ("gradients.batch_tokens=0", r"gradients\.batch_tokens.*at least 1.*0"),
        ("gradients.rank_tolerance=2", r"gradients\.rank_tolerance.*\(0, 1\).*2"),
        ("gradients.top_k=0", r"gradients\.top_k.*at least 1.*0"),
        ("gradients={top_k: 5, save_spectra: true}", r"top_k=5.*save_spectra=true.*one of the two"),
        ("gradients.projections=[q,q]", r"gradients\.projections.*twice"),
        ("gradients.projections=[]", r"gradients\.projections.*empty"),
        ("gradients={heads: true, projections: [up]}", r"gradients\.heads=true.*\['up'\].*q, k, v"),
    ],
)
def test_cross_field_checks_name_field_value_and_what_is_allowed(
    override: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        compose(override)
