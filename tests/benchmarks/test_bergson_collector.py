"""bergson's collector in the benchmark finds what gradsweep finds, on the same modules."""

from __future__ import annotations

import pytest
import torch
from helpers.agreement import NOISE, TOLERANCE

from benchmarks import bergson_columns, gpu
from benchmarks.gpu import HEAD, main
from benchmarks.methods import frozen_pass
from benchmarks.random_llamas import MODELS, batch
from gradsweep.config.run import SpectraOptions
from gradsweep.engine.passes import measure_batch
from gradsweep.models.projections import find_projections

pytest.importorskip("bergson", reason="bergson is not installed (make test-bergson does it)")

from benchmarks.bergson_collector import SpectraCollector, collecting


@pytest.mark.parametrize(("samples", "unequal"), [(1, False), (3, True)])
def test_its_singular_values_are_those_of_gradsweep(samples: int, unequal: bool) -> None:
    """Its loss is the mean over the tokens of a batch, in which a sample counts by its length."""
    model = MODELS["tiny"].build(torch.device("cpu"))
    one, sites = batch(model, 20, samples, unequal), find_projections(model, "qkvo")
    with collecting(model, solved_layers=range(2)) as collector:
        frozen_pass(model, [one])
    assert len(collector.singular_values) == 2 * 4
    counts = one.response_mask.sum(dim=1)
    shares = counts / counts.sum()
    measured = measure_batch(model, sites, one, SpectraOptions(save_spectra=True))
    for i, sample in enumerate(measured):
        assert len(sample.rows) == 2 * 4
        for row in sample.rows:
            name = f"model.layers.{row.layer}.self_attn.{row.projection}_proj"
            found = collector.singular_values[name][i] / shares[i]
            kept = torch.tensor(row.singular_values)
            expected = torch.zeros_like(found).index_copy(0, torch.arange(len(kept)), kept)
            noise = NOISE * row.sigma_max
            torch.testing.assert_close(found, expected, rtol=TOLERANCE, atol=noise)


def test_svds_are_those_of_the_middle_layer_and_nothing_stays_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = MODELS["tiny"].build(torch.device("cpu"))
    one, formed = batch(model, 20, 2, False), []
    own = SpectraCollector._compute_gradient

    def noted(self: SpectraCollector, module: torch.nn.Module, g: torch.Tensor) -> torch.Tensor:
        formed.append(module._name)
        return own(self, module, g)

    monkeypatch.setattr(SpectraCollector, "_compute_gradient", noted)
    with collecting(model, solved_layers=[1]) as collector:
        frozen_pass(model, [one])
    assert len(set(formed)) == len(formed) == 2 * 4
    assert {name.split(".")[2] for name in collector.singular_values} == {"1"}
    assert collector.svd_seconds > 0
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._backward_hooks
    for parameter in model.parameters():
        assert not parameter.requires_grad
        assert parameter.grad is None


def test_the_columns_stand_last_and_are_explained(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "SAMPLES", (2,))
    assert main(["--models", "tiny", "--rounds", "1", "--tokens", "12", "--bergson"]) == 0
    said = capsys.readouterr().out
    head, *rows = [line.strip("| ").split(" | ") for line in said.splitlines() if " × " in line]
    assert head == [*HEAD, *bergson_columns.HEAD]
    assert [row[0] for row in rows] == ["2 × 12", "2 × 11–12"]
    assert all(float(cell) >= 0 for row in rows for cell in row[-3:])
    assert said.endswith(f"\n{bergson_columns.NOTE}\n")


def test_what_does_not_fit_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODELS["tiny"].build(torch.device("cpu"))
    one = batch(model, 12, 1, False)
    assert bergson_columns.cells(model, one, {"gradsweep": [2.0]}) == ("–", "–", "–")

    def full(*_: object) -> float:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(bergson_columns, "svd_milliseconds", full)
    times = {"gradsweep": [2.0], "bergson": [5.0, 3.0, 4.0]}
    assert bergson_columns.cells(model, one, times) == ("4", "–", "–")
