"""Parts that cells share are made once, and never where they would be others in the next cell."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from omegaconf import OmegaConf

from gradsweep.config.parts import SharedParts, place_part


@dataclass
class Inner:
    size: int = 3


@dataclass
class Outer:
    inner: Inner = field(default_factory=Inner)
    seed: int = 0


def test_a_part_that_is_there_again_is_the_same_object():
    cell, shared = OmegaConf.structured(Outer), SharedParts()
    first = shared.to_object(cell)
    cell.seed = 5
    second = shared.to_object(cell)
    assert second == Outer(Inner(3), 5)
    assert second.inner is first.inner
    assert shared.all_known(cell)


def test_another_part_in_its_place_is_made():
    cell, other, shared = OmegaConf.structured(Outer), OmegaConf.structured(Outer), SharedParts()
    shared.to_object(cell)
    other.inner.size = 4
    place_part(cell, "inner", other._get_node("inner"))
    assert not shared.all_known(cell)
    assert shared.to_object(cell) == Outer(Inner(4), 0)


def test_a_part_that_looks_elsewhere_is_made_for_every_cell():
    cell, shared = OmegaConf.structured(Outer), SharedParts()
    cell.inner.size = "${seed}"  # type: ignore[assignment]
    assert shared.to_object(cell) == Outer(Inner(0), 0)
    cell.seed = 5
    assert shared.to_object(cell) == Outer(Inner(5), 5)
    cell.inner.size = "${oc.env:SIZE,${seed}}"  # type: ignore[assignment]
    cell.seed = 6
    assert shared.to_object(cell) == Outer(Inner(6), 6)


def test_the_environment_is_the_same_for_every_cell(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SIZE", "7")
    cell, shared = OmegaConf.structured(Outer), SharedParts()
    cell.inner.size = "${oc.env:SIZE}"
    assert shared.to_object(cell).inner == Inner(7)
    assert shared.to_object(cell).inner is shared.to_object(cell).inner
