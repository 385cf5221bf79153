"""Whatever is typed as overrides composes, or is one error that a user can mend."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradsweep.config import Config
from gradsweep.config.composition import checked, compose
from gradsweep.config.overrides import quoted, readable
from gradsweep.errors import ConfigError, GradsweepError

BOUNDED = settings(
    deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
"""The same few examples on every machine, however slow it is."""


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("cot=none,detailed", "cot=none,detailed"),
        ("store.root=~/x", "store.root='~/x'"),
        ("dataset.path=~/a.jsonl,/b.jsonl", "dataset.path='~/a.jsonl',/b.jsonl"),
        ("sweep=1e5", "sweep='1e5'"),
        ("sweep=null", "sweep=null"),
        ("model.source.path=${oc.env:HOME}/x", "model.source.path=${oc.env:HOME}/x"),
        ("gradients={top_k: 5}", "gradients={top_k: 5}"),
    ],
)
def test_only_texts_that_hydra_cannot_read_are_quoted(typed: str, read: str) -> None:
    assert readable([typed]) == [read]
    assert readable([read]) == [read]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("n_samples=2\r", "Windows line ends"),
        ("n_samples=2\u00a0", "cannot be seen"),
        ("n_samples=2\x07 3", "control character"),
        ("store.root=\udcff", "not UTF-8"),
        ("n_samples=<2", "n_samples=<2: .*\"n_samples='<2'\""),
        ("a b=c", "'a b=c' is no override"),
        ("cot=null", "cot=null: allowed are none, simplified, detailed"),
        ("model=5", "model=5: allowed are .*llama3_8b"),
    ],
)
def test_what_cannot_be_meant_is_one_error(typed: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        readable([typed])


def test_a_field_that_nobody_reads_is_an_error() -> None:
    for override in ("+n_sample=3", "+model.promt=chat"):
        with pytest.raises(ConfigError, match=f"{override[1:].split('=')[0]}: there is no such"):
            compose(override)


@pytest.mark.long
@given(st.text(max_size=20).filter(lambda text: "${" not in text))
@settings(BOUNDED, max_examples=30)
def test_a_quoted_text_is_read_as_it_is(text: str) -> None:
    with suppress(ConfigError):  # control characters, and what cannot be seen at the end
        readable([f"sweep={quoted(text)}"])
        assert _sweep(text) == text


def _sweep(text: str) -> str | None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    value = OverridesParser.create().parse_override(f"sweep={quoted(text)}").value()
    assert isinstance(value, str)
    return value


NAMES = st.sampled_from(
    [
        *("model", "dataset", "cot", "correctness", "gradients", "store", "tracking", "objective"),
        *("n_samples", "seed", "sweep", "store.root", "model.source.path", "dataset.path"),
        *("dataset.tokens", "gradients.projections", "gradients.own_metrics", "model.source"),
        *("hydra.job.chdir", "hydra/launcher", "hydra.mode", "hydra", "", "+x", "~cot", "++seed"),
    ]
)
GRAMMAR = st.sampled_from(
    [
        *("none", "null", "[q,v]", "{a: 1}", "glob(*)", "range(0,3)", "choice(1,2)", "1e5", "'"),
        *("${", "${seed}", "${store.root}/x", "${oc.env:HOME}", "~", "=", ",", "\\", "true", "???"),
    ]
)
VALUES = st.lists(st.one_of(GRAMMAR, st.text(max_size=5)), max_size=3).map("".join)
OVERRIDES = st.one_of(
    st.builds("{}={}".format, NAMES, VALUES), st.builds("{}{}".format, NAMES, VALUES), st.text()
)


@given(st.lists(OVERRIDES, max_size=3))
@settings(BOUNDED, max_examples=25)
def test_only_our_errors_leave_any_line_of_overrides(overrides: list[str]) -> None:
    with suppress(GradsweepError):
        assert isinstance(checked(lambda: compose(*overrides)), Config)
