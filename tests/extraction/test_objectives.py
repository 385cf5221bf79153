"""Points of other objectives than the study's: units of several responses, and second models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml
from helpers.tiny_point import tiny_point
from polars.testing import assert_frame_equal
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from gradsweep import compose, extract, load_rows
from gradsweep.config.composition import ConfigSource
from gradsweep.doctor.verify import verify
from gradsweep.errors import ModelError, StopRequested
from gradsweep.extraction import PointResult
from gradsweep.records import Shard
from gradsweep.store.reference import read_reference


@pytest.fixture(scope="module")
def teacher_folder(saved_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model with the tokenizer of the tiny one."""
    folder = tmp_path_factory.mktemp("models") / "teacher"
    torch.manual_seed(5)
    config = LlamaConfig.from_pretrained(saved_model, num_hidden_layers=1)
    LlamaForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(saved_model).save_pretrained(folder)
    return folder


@pytest.fixture
def own(tmp_path: Path, teacher_folder: Path) -> ConfigSource:
    """A user's YAML folder with the other model as `model=other`."""
    node: dict[str, Any] = {"name": "other", "prompt": "plain"}
    node["source"] = {"kind": "folder", "path": str(teacher_folder)}
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "other.yaml").write_text(f"# Other.\n{yaml.safe_dump(node)}")
    return ConfigSource(config_dir=str(tmp_path / "conf"))


@pytest.fixture
def overrides(saved_model: Path, tmp_path: Path) -> list[str]:
    more = "tracking=none", "n_samples=5", "gradients.batch_tokens=512", "gradients.workers=1"
    return tiny_point(saved_model, tmp_path / "results", *more)


def point(overrides: list[str], *more: str, source: ConfigSource | None = None) -> PointResult:
    config = compose(*overrides, *more, source=source or ConfigSource())
    return extract(config, show_progress=False)


@pytest.mark.long
@pytest.mark.parametrize("objective", ["dpo", "rloo"])
@pytest.mark.parametrize("count", [2, 3])
def test_shares_of_pairs_and_groups_equal_the_whole(
    count: int, objective: str, overrides: list[str], tmp_path: Path
) -> None:
    asked = [*overrides, f"objective={objective}", "objective.members=true"]
    for index in range(count):
        config = compose(*asked)
        shared = extract(config, show_progress=False, shard=Shard(index, count))
    whole = point(asked, f"store.root={tmp_path / 'whole'}")
    assert_frame_equal(shared.rows(), whole.rows(), check_exact=True)
    assert whole.samples().height == 5


def test_a_point_of_pairs_that_was_stopped_goes_on_at_its_next_pair(
    overrides: list[str], tmp_path: Path
) -> None:
    asked = [*overrides, "objective=dpo", "gradients.batch_tokens=1"]
    with pytest.raises(StopRequested):
        extract(compose(*asked), show_progress=False, stop=lambda: True)
    resumed = point(asked)
    undisturbed = point(asked, f"store.root={tmp_path / 'undisturbed'}")
    assert_frame_equal(resumed.rows(), undisturbed.rows(), check_exact=True)


def test_members_are_rows_of_their_own(overrides: list[str], tmp_path: Path) -> None:
    point(overrides, "objective=dpo", "objective.members=true")
    rows = load_rows(tmp_path / "results")
    per_member = rows.group_by("member").len()
    assert set(per_member["member"]) == {None, "chosen", "rejected"}
    assert per_member["len"].n_unique() == 1
    own = rows.filter(pl.col("member").is_null())
    assert own["member_cosine"].is_between(-1, 1).all()
    assert own["member_effective_rank"].is_between(1 - 1e-9, 2 + 1e-9).all()


def never(*given: object) -> None:
    pytest.fail("the reference's log-probabilities are stored")


@pytest.mark.long
def test_a_reference_is_run_once_and_changes_the_gradient(
    overrides: list[str], own: ConfigSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = point(overrides, "objective=dpo")
    asked = [*overrides, "objective=dpo", "objective.reference=other", "gradients.batch_tokens=1"]
    config = compose(*asked, source=own)
    with pytest.raises(StopRequested):
        extract(config, show_progress=False, stop=lambda: True)
    monkeypatch.setattr("gradsweep.extraction._other_model", never)
    result = extract(config, show_progress=False)
    stored = read_reference(result.paths)
    assert stored is not None
    assert len(stored) == 10
    assert result.paths.point_id != plain.paths.point_id
    assert result.rows()["nuclear_norm"].to_list() != plain.rows()["nuclear_norm"].to_list()


def test_a_model_that_is_its_own_reference_changes_nothing(
    overrides: list[str], own: ConfigSource, teacher_folder: Path
) -> None:
    same = [*overrides, f"model.source.path={teacher_folder}", "objective=dpo"]
    plain = point(same)
    referred = point(same, "objective.reference=other", source=own)
    assert referred.rows()["nuclear_norm"].to_list() == pytest.approx(
        plain.rows()["nuclear_norm"].to_list(), rel=1e-3
    )


def test_a_recorded_reference_is_that_of_the_whole_response(
    overrides: list[str], tmp_path: Path
) -> None:
    """A response that is cut has another log-probability than the one in the file."""
    pairs = [
        {
            "prompt": f"Tom buys {i} apples. How many has Tom?",
            "chosen": f"Tom has {i} apples. " * (1 if i < 3 else 30),
            "rejected": f"Tom has {i + 1} apples.",
            "ref_chosen_logps": -20.0,
            "ref_rejected_logps": -30.0,
        }
        for i in range(4)
    ]
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(map(json.dumps, pairs)) + "\n")
    asked = [*overrides, "dataset=jsonl", f"dataset.path={file}", "model.max_length=128"]
    result = point(asked, "objective=dpo")
    outcomes = dict(result.samples().group_by("status").len().iter_rows())
    assert outcomes == {"ok": 3, "reference_of_whole_response": 1}
    (reason,) = result.samples().filter(pl.col("reason") != "")["reason"]
    assert "model.max_length" in reason
    assert "1 of 2 responses of the unit" in reason


@pytest.mark.parametrize("divergence", ["forward_kl", "jsd"])
def test_a_distilled_point_agrees_with_autograd(
    divergence: str, overrides: list[str], own: ConfigSource
) -> None:
    asked = ["objective=distill", "objective.teacher=other", f"objective.divergence={divergence}"]
    config = compose(*overrides, *asked, "n_samples=2", source=own)
    assert verify(config, lambda doing, total: lambda: None).holds
    result = extract(config, show_progress=False)
    assert result.rows().height > 0
    assert (result.samples()["loss"] > 0).all()


@pytest.mark.parametrize(
    "asked",
    [
        ["objective=dpo", "objective.members=true"],
        ["objective=orpo"],
        ["objective=grpo"],
        ["objective=dft"],
        ["objective=sft", "objective.reduction=step", "objective.step_size=2"],
    ],
    ids=lambda asked: asked[0].removeprefix("objective="),
)
def test_other_objectives_agree_with_autograd(asked: list[str], overrides: list[str]) -> None:
    config = compose(*overrides, *asked, "n_samples=2")
    assert verify(config, lambda doing, total: lambda: None).holds


def test_a_second_model_must_read_the_same_tokens(
    overrides: list[str], own: ConfigSource, teacher_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "renamed"
    LlamaForCausalLM.from_pretrained(teacher_folder).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(teacher_folder)
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(folder)
    yaml_file = tmp_path / "conf" / "model" / "other.yaml"
    yaml_file.write_text(yaml_file.read_text().replace(str(teacher_folder), str(folder)))
    config = compose(*overrides, "objective=distill", "objective.teacher=other", source=own)
    with pytest.raises(ModelError, match=r"objective\.teacher: its tokenizer has another voc"):
        extract(config, show_progress=False)
