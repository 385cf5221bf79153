"""What spectra launch and wait for, on a device that is only pretended."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from benchmarks import launches
from benchmarks.launches import DEVICE, Counter, Counts, broken, rows_of_table
from benchmarks.pretended_devices import PretendedDevices, placed
from benchmarks.random_llamas import batch
from gradsweep.engine.passes import Engine
from gradsweep.models.projections import find_projections
from gradsweep.records import PROJECTIONS


@pytest.mark.parametrize(("tokens", "alone"), [(20, True), (100, False)])
def test_launches_are_those_of_one_sample_and_nothing_waits(tokens: int, alone: bool) -> None:
    """Below and above the width of the model, each layer alone and both together."""
    found = rows_of_table(tokens, unequal=False, alone=alone)
    assert broken(found) == []
    assert min(counts.launches for counts in found) > 0
    waits = 2 if alone else 1  # for the last layer, and once for all before it
    assert [counts.waits for counts in found] == [waits] * len(found)


def test_more_layers_are_not_waited_for_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launches, "LAYERS", 5)
    monkeypatch.setattr(launches, "SAMPLES", (2,))
    (counts,) = rows_of_table(20, unequal=False, alone=True)
    assert (counts.waits, counts.waits_in_backward) == (2, 0)


@pytest.mark.parametrize("family", ["gpt2_conv1d", "phi3_fused", "gpt_neox_interleaved"])
def test_columns_of_fused_projections_are_not_waited_for(
    family: str, tiny_model: Callable[[str], torch.nn.Module]
) -> None:
    model = tiny_model(family)
    with PretendedDevices():
        placed(model, DEVICE)
    with Counter() as counter, counter.watching():
        with Engine(model, find_projections(model, PROJECTIONS), workers=1) as engine:
            engine.measure(batch(model, 20, 2, False))
        assert counter.counts.waits_in_backward == 0


def test_so_it_is_with_padding() -> None:
    assert broken(rows_of_table(20, unequal=True, alone=True)) == []


def test_what_breaks_a_bound_is_said() -> None:
    fine, many = Counts(launches.LAYERS, 1, 0), Counts(100 * launches.LAYERS, 3, 1)
    assert broken([fine, fine]) == []
    assert broken([fine, many]) == [
        "100 launches a layer, at most 60",
        "1 to 100 launches as samples grow",
        "waits inside the backward pass",
        "more than 2 waits a batch",
    ]


@pytest.fixture
def counter() -> Counter:
    return Counter()


def test_views_launch_nothing_and_casts_do(counter: Counter) -> None:
    with PretendedDevices():
        a = torch.zeros(4, 4, device=DEVICE)
    with counter:
        a.mT.reshape(2, 8)[0]
        assert counter.counts == Counts(1)  # what is transposed has to be copied to be reshaped
        a.double().sum()
        assert counter.counts == Counts(3)
        torch.zeros(3).sum()
    assert counter.counts == Counts(3), "the host's own operations are not the device's"


@pytest.mark.parametrize(
    "waits",
    [
        lambda a: a.sum().item(),
        lambda a: a.tolist(),
        lambda a: a.cpu(),
        lambda a: bool((a > 0).all()),
        lambda a: a[a > 0],
        lambda a: torch.zeros(2).to(a.device),
        lambda a: torch.linalg.eigvalsh(a),
        lambda a: torch.linalg.cholesky(a),
    ],
    ids=["item", "tolist", "cpu", "bool", "mask", "to the device", "eigvalsh", "cholesky"],
)
def test_waiting_is_seen(waits: object, counter: Counter) -> None:
    with PretendedDevices():
        a = torch.eye(3, device=DEVICE)
    with counter:
        waits(a)  # type: ignore[operator]
    assert counter.counts.waits == 1


def test_what_is_sent_is_not_waited_for(counter: Counter) -> None:
    with counter:
        there = torch.ones(2).to(DEVICE, non_blocking=True)
        back = torch.empty(2)
        back.copy_(there, non_blocking=True)
    assert counter.counts.waits == 0
    assert back.tolist() == [1, 1]


def test_the_table_says_what_does_not_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def found(tokens: int, unequal: bool, alone: bool) -> list[Counts]:
        return [Counts(launches.LAYERS * n, n) for n in launches.numbers(unequal)]

    monkeypatch.setattr(launches, "rows_of_table", found)
    assert launches.main([]) == 1
    said = capsys.readouterr().out
    assert "| together | 18–20 | 16 | 16.0 | 0 | 16 |" in said
    assert "**more than 2 waits a batch**" in said
