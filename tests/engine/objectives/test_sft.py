"""The study's loss: the mean cross-entropy of the response, whatever the batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from helpers.plain_gradients import mask, tokens
from torch.nn import functional as F

from gradsweep import gradient_spectra
from gradsweep.engine.objectives import Objective, Sft, make_objective
from gradsweep.errors import ConfigError
from gradsweep.records import Sample

Model = torch.nn.Module


def test_the_loss_is_the_mean_over_response_tokens(tiny_model: Callable[[str], Model]) -> None:
    model, ids = tiny_model("llama"), tokens(14)
    (ours,) = gradient_spectra(model, ids[None], mask(14, 6)[None]).samples
    logits = model(input_ids=ids[None]).logits[0]
    expected = F.cross_entropy(logits[5:-1], ids[6:]).item()
    assert ours.loss == pytest.approx(expected, rel=1e-5)
    assert ours.n_response_tokens == 8


def test_every_sample_is_a_unit_of_its_own() -> None:
    samples = [Sample(f"s{i}", f"q{i}", "p", "r", i) for i in range(3)]
    units = Sft().units(samples)
    assert [unit.unit_id for unit in units] == ["s0", "s1", "s2"]
    assert [unit.index for unit in units] == [0, 1, 2]


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"_target_": "gradsweep.engine.objectives.sft.Sft", "beta": 1}, "does not take.*beta"),
        ({"_target_": "gradsweep.engine.objectives.sft.Sfd"}, r"objective\._target_=.*Sfd"),
        ({"_target_": "gradsweep.records.Unit", "samples": ()}, "subclass of .*Objective"),
        ({"_target_": "sft"}, r"allowed is package\.module\.Name"),
    ],
    ids=["option", "name", "kind", "no_module"],
)
def test_a_wrong_objective_names_the_field(node: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_objective(node)


def test_a_right_one_is_an_objective() -> None:
    made = make_objective({"_target_": "gradsweep.engine.objectives.sft.Sft"})
    assert isinstance(made, Objective)
