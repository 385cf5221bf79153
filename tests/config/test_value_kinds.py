"""A value that a field does not take is refused by what it takes, in words of a command line."""

from __future__ import annotations

import re
from typing import Optional

import pytest

from gradsweep.config.composition import compose
from gradsweep.config.fields import point_fields
from gradsweep.config.objective import other_model
from gradsweep.config.value_kinds import allowed_value
from gradsweep.errors import ConfigError

WORDS_OF_LIBRARIES = re.compile(
    r"ListConfig|DictConfig|Dict\[|Optional|subclass|could not be converted|full_key|Integer|Float"
)


@pytest.mark.parametrize(
    ("override", "allowed"),
    [
        ("n_samples=two", "n_samples=two: allowed is a whole number or null"),
        ("n_samples=[1]", "n_samples=[1]: allowed is a whole number or null"),
        ("n_samples=2.0", "or null: type n_samples=2"),
        ("n_samples=1e3", "or null: type n_samples=1000"),
        ("n_samples=1e20", "allowed is a whole number or null, at most 2147483647"),
        ("model.parameters=7e10", "or null: type model.parameters=70000000000"),
        (f"n_samples={'9' * 5000}", "a number of 5000 digits; allowed are at most 2147483647"),
        ("model.max_length=1.5", "model.max_length=1.5: allowed is a whole number"),
        ("gradients.rank_tolerance=small", "allowed is a number (0.5, 1e-5) or null"),
        ("dataset.shuffle=maybe", "dataset.shuffle=maybe: allowed is true or false"),
        ("model.prompt=chatty", "model.prompt=chatty: allowed are plain, chat"),
        ("quality=good", "quality=good: allowed are high, low or null"),
        ("gradients.projections=q", "a list in brackets: type gradients.projections=[q]"),
        ("gradients.projections={q:1}", "allowed is a list in brackets"),
        ("training.trained_layers=[a]", "a list in brackets, each entry a whole number"),
        ("model.source=3", "as model.source.kind=<value>"),
        ("gradients.own_metrics=3", "as +gradients.own_metrics.<entry>=<value>"),
        ("+gradients.own_metrics.mine=3", "type +gradients.own_metrics.mine._target_=package"),
        ("store.root=null", "store.root=null: allowed is a text"),
        ("model={prompt:chatty}", "model={prompt:chatty}: model.prompt: allowed are plain, chat"),
        ("model={promt:chat}", "model.promt: there is no such field"),
        ("+model={promt:chat}", "model.promt: there is no such field"),
        ("objective.reduction=mean objective.members=3", "allowed are true and false"),
        ("objective=dpo objective.beta=small", "objective.beta=small: allowed is a number"),
        ("n_samples=${samples}", "n_samples: Interpolation key 'samples' not found; allowed after"),
        ("n_samples=${oc.env:NO_SUCH_VARIABLE}", "n_samples: KeyError raised"),
        ("n_samples=???", "n_samples has no value: type n_samples=<value>"),
        ("seed=range(0,2)", "seed=range(0,2): several values make a grid: add -m"),
        ("cot=glob(*)", "cot=glob(*): several values make a grid: add -m"),
        ("=3", "'=3' is no override: allowed are axis=option"),
        ("+=3", "'+=3' is no override"),
    ],
)
def test_a_refusal_says_what_is_allowed(override: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as refused:
        compose(*override.split())
    message = str(refused.value)
    assert allowed in message
    assert not WORDS_OF_LIBRARIES.search(message), message


def test_every_field_has_words_for_what_it_takes() -> None:
    for name in point_fields():
        allowed = allowed_value(f"{name}=x", "")
        assert allowed is not None, name
        assert allowed.startswith(("allowed is ", "allowed are ")), name
        assert "typing" not in allowed, name
        assert "<class" not in allowed, name


WHOLE = [name for name, kind in point_fields().items() if kind in (int, Optional[int])]


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize(("value", "bound"), [("1" + 20 * "0", "most"), ("-1" + 20 * "0", "least")])
def test_every_whole_number_has_its_limits(name: str, value: str, bound: str) -> None:
    """Beyond them there is no such count, no column that holds it, and no plan that means it."""
    beside = ["training=lora"] if name.startswith("training.") else []
    with pytest.raises(ConfigError, match=rf"^{re.escape(name)} must be at {bound} -?\d+, got "):
        compose(*beside, f"{name}={value}")


@pytest.mark.parametrize(
    "override",
    ["training.trained_layers=[-1]", "training.weight_decay=nan", "training.weight_decay=inf"],
)
def test_numbers_of_a_training_that_nobody_means_are_refused(override: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(override.partition("=")[0])):
        compose("training=full", override)


@pytest.mark.parametrize(
    ("beta", "taken"), [("1", 1), ("0.5", 0.5), ("1e-3", 1e-3)], ids=["whole", "part", "power"]
)
def test_numbers_of_an_objective_may_be_written_in_any_way(beta: str, taken: float) -> None:
    assert compose("objective=dpo", f"objective.beta={beta}").objective["beta"] == taken


@pytest.mark.parametrize("reference", ["3", "[qwen2_1.5b]"])
def test_a_second_model_is_named_as_an_option(reference: str) -> None:
    config = compose("objective=dpo", f"objective.reference={reference}")
    with pytest.raises(ConfigError, match=r"as in objective\.reference=qwen2_1\.5b$"):
        other_model(config.objective, "reference")
