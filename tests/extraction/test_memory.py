"""When memory runs out in the middle of real passes: the numbers stay, nothing is dropped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from helpers.agreement import assert_rows_agree, assert_same
from helpers.tiny_models import VOCABULARY
from helpers.tiny_point import tiny_point
from polars.testing import assert_frame_equal

from gradsweep import compose, extract
from gradsweep.engine import Batch, make_batch
from gradsweep.engine.passes import Engine
from gradsweep.engine.rows import RowSink
from gradsweep.errors import DataError
from gradsweep.extraction import PointResult
from gradsweep.models.projections import find_projections
from gradsweep.records import SampleResult

Run = Callable[..., PointResult]


class Shortage:
    """A model that takes more memory than there is above a number of padded tokens."""

    def __init__(self, error: Exception) -> None:
        self.most_tokens = 10**9
        self.error = error
        self.passes: list[int] = []

    def watch(self, model: Any) -> None:
        model.get_input_embeddings().register_forward_pre_hook(self._enter)

    def _enter(self, module: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        tokens = args[0].numel()
        if tokens > self.most_tokens:
            raise self.error
        self.passes.append(tokens)


@pytest.fixture(params=[torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def shortage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Shortage:
    """Of every model that a point loads."""
    import gradsweep.models.cache as module

    found = Shortage(request.param)
    load = module.load_model

    def watched(*args: Any) -> Any:
        loaded = load(*args)
        found.watch(loaded.model)
        return loaded

    monkeypatch.setattr(module, "load_model", watched)
    monkeypatch.setattr("gradsweep.extraction._models", module.ModelCache())
    return found


@pytest.fixture
def run(saved_model: Path, tmp_path: Path) -> Run:
    """A point of a question file in which one sample is much longer than the others."""
    path = tmp_path / "mine.jsonl"
    lines = [
        {"prompt": f"Tom buys {i} apples.", "responses": {"simplified": "7 apples " * (i % 5 + 1)}}
        for i in range(18)
    ]
    lines[11]["responses"] = {"simplified": "3 apples and 4 apples " * 25}
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")

    def run_point(*more: str, root: str = "results") -> PointResult:
        data = "dataset=jsonl", f"dataset.path={path}", "dataset.shuffle=false"
        overrides = tiny_point(saved_model, tmp_path / root, "tracking=none", *data, *more)
        return extract(compose(*overrides), show_progress=False)

    return run_point


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2])
def test_a_point_goes_on_in_smaller_batches_with_the_same_numbers(
    workers: int, run: Run, shortage: Shortage
) -> None:
    whole = run(f"gradients.workers={workers}", root="whole")
    largest = max(shortage.passes)
    longest = int(whole.samples()["n_prompt_tokens"][11] + whole.samples()["n_response_tokens"][11])
    shortage.passes.clear()
    shortage.most_tokens = longest
    cut = run(f"gradients.workers={workers}", root="cut")
    assert max(shortage.passes) <= longest < largest
    assert_rows_agree(cut.rows(), whole.rows())
    assert_frame_equal(cut.samples().drop("seconds"), whole.samples().drop("seconds"))
    assert cut.samples()["sample_id"].n_unique() == len(cut.samples()) == 18


@pytest.mark.long
def test_a_sample_that_does_not_fit_alone_is_recorded_and_says_what_helps(
    run: Run, shortage: Shortage
) -> None:
    whole = run(root="whole")
    shortage.most_tokens = 100
    result = run("gradients.workers=2", root="cut")
    samples = result.samples()
    assert samples["status"].to_list() == ["ok"] * 11 + ["out_of_memory"] + ["ok"] * 6
    assert "gradients.checkpointing=true" in samples["reason"][11]
    assert "model.max_length" in samples["reason"][11]
    assert samples["n_response_tokens"][11] == whole.samples()["n_response_tokens"][11]
    good = whole.rows().filter(pl.col("sample_id") != samples["sample_id"][11])
    assert_rows_agree(result.rows(), good)
    summary = json.loads(result.paths.summary.read_text())
    assert summary["samples"] == {"ok": 17, "out_of_memory": 1}


@pytest.mark.long
def test_an_unfinished_point_tries_again_what_did_not_fit(run: Run, shortage: Shortage) -> None:
    shortage.most_tokens = 1
    with pytest.raises(DataError, match=r"none of the 4 .*does not fit in memory"):
        run("n_samples=4")
    shortage.most_tokens = 10**9
    result = run("n_samples=4", "gradients.checkpointing=true")
    assert result.samples()["status"].to_list() == ["ok"] * 4
    assert result.samples()["index"].to_list() == list(range(4))
    other = run("n_samples=4", root="other")
    assert_rows_agree(result.rows(), other.rows())


def batches() -> list[Batch]:
    torch.manual_seed(0)
    ids = torch.randint(1, VOCABULARY, (4, 4, 14))
    response = (torch.arange(14) >= 6).expand(4, -1)
    return [make_batch(one, response, None) for one in ids]


def in_order(found: Iterator[tuple[int, list[SampleResult]]]) -> list[SampleResult]:
    return [measurement for _, batch in sorted(found, key=lambda b: b[0]) for measurement in batch]


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("workers", [1, 2])
def test_running_out_in_the_backward_pass_leaves_nothing_behind(
    workers: int,
    checkpointing: bool,
    tiny_model: Callable[[str], torch.nn.Module],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Inside the backward of a tap, after some of a batch's layers have been handed over."""
    model = tiny_model("llama_gqa")
    sites = find_projections(model, "qkvo")
    add_layer = RowSink.add_layer
    failed = []

    def greedy(sink: RowSink, layer: Any) -> None:
        n_samples = len(sink.by_unit)
        if n_samples > 2 and layer[0].layer == 1:
            failed.append(n_samples)
            raise torch.OutOfMemoryError("CUDA out of memory")
        add_layer(sink, layer)

    with Engine(model, sites, workers=workers, checkpointing=checkpointing) as engine:
        expected = in_order(engine.measure_all(batches()))
        monkeypatch.setattr(RowSink, "add_layer", greedy)
        found = in_order(engine.measure_all(batches()))
    assert failed
    assert len(found) == len(expected) == 16
    for a, b in zip(found, expected, strict=True):
        assert len(a.rows) == 12
        assert_same(a, b)
