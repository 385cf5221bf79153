"""`verify`: it passes on a right engine, and fails on every number that is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from gradsweep.cli import main
from gradsweep.engine import Batch
from gradsweep.engine.passes import Engine
from gradsweep.plan.estimate import Hardware
from gradsweep.records import SampleResult

Captured = pytest.CaptureFixture[str]
Change = Callable[[SampleResult], SampleResult]
ROW_METRICS = [
    "nuclear_norm",
    "sigma_max",
    "frobenius_norm",
    "sigma_ratio",
    "effective_rank",
    "stable_rank",
]


pytestmark = pytest.mark.usefixtures("wide_terminal")


@pytest.fixture
def tiny(saved_model: Path) -> list[str]:
    return ["verify", "model=folder", f"model.source.path={saved_model}", "cot=simplified"]


@pytest.fixture
def with_rows_changed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Change], None]:
    """Do something to what the real engine finds."""
    measure = Engine.measure

    def patched(change: Change) -> None:
        def changed(engine: Engine, batch: Batch) -> list[SampleResult]:
            return [change(result) for result in measure(engine, batch)]

        monkeypatch.setattr("gradsweep.engine.passes.Engine.measure", changed)

    return patched


@pytest.fixture
def with_dy_changed(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Callable[[torch.Tensor], torch.Tensor]], None]:
    """Do something to every dY (rows×tokens×m) that the real engine captures."""

    def patched(change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        from gradsweep.engine.capture import _LayerCollector

        report = _LayerCollector.report

        def changed(collector: Any, site: Any, x: torch.Tensor, dy: torch.Tensor) -> None:
            report(collector, site, x, change(dy))

        monkeypatch.setattr(_LayerCollector, "report", changed)
        # They try the gradient themselves, before anything is measured.
        monkeypatch.setattr("gradsweep.engine.run.check_paths", lambda *args: 0.0)

    return patched


def with_row(result: SampleResult, index: int, metric: str, factor: float) -> SampleResult:
    rows = list(result.rows)
    rows[index] = replace(rows[index], **{metric: getattr(rows[index], metric) * factor})
    return replace(result, rows=tuple(rows))


def table_line(text: str, *words: str) -> list[str]:
    """Cells of the first line of a table that begins with these words."""
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]
    return next(cells for cells in lines if cells[: len(words)] == list(words))


def test_a_right_engine_passes_and_nothing_is_stored(
    tiny: list[str], capsys: Captured, tmp_path: Path
) -> None:
    assert main([*tiny, "n_samples=3"]) == 0
    shown = capsys.readouterr().out
    assert "verify: 3 samples, within tolerance" in shown
    assert "autograd in float64" in shown
    for metric in ("spectrum", *ROW_METRICS):
        worst, allowed = table_line(shown, metric)[1:3]
        assert float(worst) <= float(allowed) <= 1e-4, metric
    for name in ("loss", *"qkvo"):
        engine, autograd, allowed = map(float, table_line(shown, name)[1:4])
        assert engine <= allowed <= 2 * autograd + 1e-4, name
    assert float(table_line(shown, "spectrum")[2]) == 1e-7
    assert list(tmp_path.iterdir()) == []


def test_two_samples_unless_asked_otherwise(tiny: list[str], capsys: Captured) -> None:
    assert main([*tiny, "gradients.projections=[v]"]) == 0
    shown = capsys.readouterr().out
    assert "verify: 2 samples" in shown
    assert "│ q " not in shown


def test_a_wrong_number_of_a_single_head_fails(
    tiny: list[str], capsys: Captured, with_rows_changed: Callable[[Change], None]
) -> None:
    assert main([*tiny, "gradients.heads=true"]) == 0
    capsys.readouterr()

    def one_head_off(result: SampleResult) -> SampleResult:
        index = next(i for i, row in enumerate(result.rows) if row.head == 1)
        return with_row(result, index, "nuclear_norm", 1.0005)

    with_rows_changed(one_head_off)
    assert main([*tiny, "gradients.heads=true"]) == 1
    shown = capsys.readouterr().out
    assert table_line(shown, "nuclear_norm")[3:5] == ["q", "0"]


@pytest.mark.parametrize("metric", ROW_METRICS)
def test_one_wrong_number_fails_and_is_located(
    metric: str, tiny: list[str], capsys: Captured, with_rows_changed: Callable[[Change], None]
) -> None:
    # The sixth row is layer 1, projection k: two layers of q, k, v, o.
    with_rows_changed(lambda result: with_row(result, 5, metric, 1.0005))
    assert main(tiny) == 1
    shown = capsys.readouterr().out
    assert "BEYOND TOLERANCE" in shown
    worst, _, projection, layer = table_line(shown, metric)[1:5]
    assert float(worst) == pytest.approx(5e-4, abs=2e-5)
    assert (projection, layer) == ("k", "1")
    others = [table_line(shown, other)[1:3] for other in ROW_METRICS if other != metric]
    assert all(float(error) <= float(allowed) for error, allowed in others)


@pytest.mark.parametrize(
    "change",
    [
        lambda result: replace(result, loss=result.loss * 1.0001),
        lambda result: replace(result, rows=result.rows[1:]),
        lambda result: replace(result, rows=(*result.rows, replace(result.rows[0], layer=9))),
        lambda result: replace(result, rows=(*result.rows, result.rows[0])),
        lambda result: with_row(result, 0, "sigma_max", float("nan")),
    ],
    ids=["loss", "a_row_missing", "a_row_too_many", "a_row_twice", "nan"],
)
def test_other_wrong_results_fail_too(
    change: Change, tiny: list[str], capsys: Captured, with_rows_changed: Callable[[Change], None]
) -> None:
    with_rows_changed(change)
    assert main(tiny) == 1
    assert "BEYOND TOLERANCE" in capsys.readouterr().out


def without_a_token(dy: torch.Tensor) -> torch.Tensor:
    kept = torch.arange(dy.shape[1]) != dy.shape[1] - 3
    return dy * kept[:, None]


@pytest.mark.parametrize(
    "change", [lambda dy: 1.001 * dy, without_a_token], ids=["scaled", "a_token_dropped"]
)
def test_wrong_factors_are_beyond_what_the_precision_costs(
    change: Callable[[torch.Tensor], torch.Tensor],
    tiny: list[str],
    capsys: Captured,
    with_dy_changed: Callable[[Callable[[torch.Tensor], torch.Tensor]], None],
) -> None:
    """Their spectra are computed rightly, so that only the true gradient tells."""
    with_dy_changed(change)
    assert main([*tiny, "n_samples=1"]) == 1
    shown = capsys.readouterr().out
    assert float(table_line(shown, "spectrum")[1]) <= 1e-7
    engine, autograd, allowed = map(float, table_line(shown, "v")[1:4])
    assert engine > 5e-4
    assert max(autograd, allowed) < 1e-5


@pytest.mark.parametrize("factor", [1.0, 1.2])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
def test_half_precision_is_judged_beside_autograds(
    dtype: torch.dtype,
    factor: float,
    tiny: list[str],
    capsys: Captured,
    with_dy_changed: Callable[[Callable[[torch.Tensor], torch.Tensor]], None],
) -> None:
    with_dy_changed(lambda dy: factor * dy if dy.dtype is dtype else dy)
    name = str(dtype).removeprefix("torch.")
    assert main([*tiny, f"model.dtype={name}", "n_samples=1"]) == int(factor != 1)
    in_half, in_float32 = capsys.readouterr().out.split("float32: rows")
    assert f"{name}: distance" in in_half
    assert float(table_line(in_half, "v")[2]) > 1e-4, "half precision has its price"
    assert float(table_line(in_float32, "v")[1]) < 1e-5, "the engine itself is right"


def test_without_memory_for_float64_a_weaker_check_is_named(
    tiny: list[str],
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    with_dy_changed: Callable[[Callable[[torch.Tensor], torch.Tensor]], None],
) -> None:
    small = Hardware("cpu", memory_gb=0.8)
    monkeypatch.setattr("gradsweep.doctor.precision.this_machine", lambda device: small)
    assert main([*tiny, "n_samples=1"]) == 0
    shown = capsys.readouterr().out
    assert "weaker check: float64 takes about" in shown
    assert "autograd in float32" in shown
    assert main([*tiny, "n_samples=1", "model.dtype=bfloat16"]) == 0
    assert "float32: rows" not in capsys.readouterr().out
    with_dy_changed(lambda dy: 1.01 * dy)
    assert main([*tiny, "n_samples=1"]) == 1


def test_layers_over_the_depth_of_the_model_unless_all_are_wanted(
    tmp_path: Path, capsys: Captured, make_tokenizer: Callable[..., hf.PreTrainedTokenizerBase]
) -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2}
    config = hf.LlamaConfig(vocab_size=330, num_hidden_layers=5, **sizes)
    hf.LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    make_tokenizer().save_pretrained(tmp_path / "model")
    deep = ["verify", "model=folder", f"model.source.path={tmp_path / 'model'}", "n_samples=1"]
    assert main(deep) == 0
    assert "layers 0, 2, 4 of 5; --all compares every one" in capsys.readouterr().out
    assert main([*deep, "--all", "gradients.projections=[v]"]) == 0
    assert "--all" not in capsys.readouterr().out


def test_samples_without_a_response_are_named(
    tiny: list[str], capsys: Captured, tmp_path: Path
) -> None:
    data = tmp_path / "mine.jsonl"
    lines = [{"prompt": f"{i} + 1?", "responses": {"none": "2" * i}} for i in (0, 3)]
    data.write_text("".join(json.dumps(line) + "\n" for line in lines))
    mine = [*tiny, "dataset=jsonl", f"dataset.path={data}", "dataset.shuffle=false", "cot=none"]
    assert main(mine) == 0
    shown = capsys.readouterr().out
    assert "sample 0 left out: the response is empty" in shown
    assert "verify: 1 samples, within" in shown
    assert main([*mine, "n_samples=1"]) == 1
    assert "none of the 1 samples" in capsys.readouterr().err


def test_help_says_what_is_compared(capsys: Captured) -> None:
    assert main(["verify", "--help"]) == 0
    shown = capsys.readouterr().out
    for text in ("usage: python -m gradsweep verify", "float64", "n_samples", "Exit status 1"):
        assert text in shown


@pytest.mark.parametrize(
    ("args", "status", "expected"),
    [
        (["-m", "cot=none,detailed"], 2, ["one point", "-m"]),
        (["cot=none,detailed"], 1, ["cot=none,detailed"]),
        (["model=gpt17"], 1, ["gpt17", "smollm2_135m_instruct"]),
        (["n_samples=0"], 1, ["n_samples", "at least 1"]),
        (["detailed"], 2, ["detailed"]),
    ],
)
def test_bad_overrides_are_one_error(
    args: list[str], status: int, expected: list[str], capsys: Captured
) -> None:
    """Status 2 where the command line cannot be read, 1 where what it says cannot be run."""
    assert main(["verify", *args]) == status
    message = capsys.readouterr().err
    assert message.count("error:") == 1
    assert "Traceback" not in message
    for text in expected:
        assert text in message
