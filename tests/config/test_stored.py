"""A config comes back from its record as it was, whatever was restored before it."""

from __future__ import annotations

import pytest
from omegaconf.errors import ConfigKeyError

from gradsweep import compose
from gradsweep.config.parts import plain
from gradsweep.config.stored import StoredParts

COMMANDS = [
    (),
    ("cot=detailed", "correctness=irrelevant"),
    ("cot=detailed", "n_samples=3", "seed=2"),
    ("objective=dpo", "model.dtype=bfloat16"),
    (),
]


def test_every_config_comes_back_whatever_came_before():
    stored = StoredParts()
    for command in COMMANDS:
        config = compose(*command)
        assert stored.config(plain(config)) == config


def test_what_an_older_record_does_not_name_is_the_default():
    stored, config = StoredParts(), compose("seed=2")
    assert stored.config(plain(config)).seed == 2
    older = {name: part for name, part in plain(config).items() if name != "seed"}
    assert stored.config(older).seed == 0


def test_a_field_of_another_version_is_an_error():
    with pytest.raises(ConfigKeyError, match="gone"):
        StoredParts().config({**plain(compose()), "gone": 1})
