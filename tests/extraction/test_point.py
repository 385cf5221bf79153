"""A point from config to stored rows: complete, resumable, and honest about bad samples."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from helpers.agreement import assert_rows_agree
from safetensors.torch import load_file, save_file

from gradsweep import load_rows
from gradsweep.errors import DataError, ModelError
from gradsweep.extraction import PointResult
from gradsweep.records import METRICS
from gradsweep.report import reduced_points
from gradsweep.report.reduced_points import read_point

Point = Callable[..., PointResult]


def question_file(folder: Path, responses: list[str]) -> Path:
    path = folder / "mine.jsonl"
    lines = [
        {"prompt": f"Tom buys {i} apples. How many?", "responses": {"simplified": text}}
        for i, text in enumerate(responses)
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path


def test_a_point_has_every_sample_layer_and_projection_once(run: Point) -> None:
    result = run()
    rows, samples = result.rows(), result.samples()
    assert repr(result).startswith(f"PointResult({result.axes}; {result.paths.folder};")
    assert len(samples) == samples["sample_id"].n_unique() == 6
    assert samples["index"].to_list() == list(range(6))
    assert len(rows) == rows.select("sample_id", "layer", "projection").n_unique() == 6 * 2 * 4
    assert rows["finite"].all()
    assert set(METRICS) < set(rows.columns)
    assert rows.select("model", "dataset", "cot", "correctness").unique().row(0) == (
        "tiny",
        "arithmetic",
        "simplified",
        "correct",
    )
    summary = json.loads(result.paths.summary.read_text())
    assert summary["samples"] == {"ok": 6}
    means = rows.filter(pl.col("projection") == "q")["nuclear_norm"].mean()
    assert summary["metrics"]["nuclear_norm_mean_q"] == pytest.approx(means)
    assert summary["metrics"]["loss_mean"] == pytest.approx(samples["loss"].mean())


def test_batch_size_changes_neither_the_point_nor_its_numbers(run: Point, tmp_path: Path) -> None:
    alone = run("gradients.batch_tokens=1")
    together = run("gradients.batch_tokens=4096", f"store.root={tmp_path / 'other'}")
    assert alone.paths.point_id == together.paths.point_id
    assert_rows_agree(alone.rows(), together.rows())


def test_workers_change_neither_the_point_nor_its_numbers(run: Point, tmp_path: Path) -> None:
    one, two = (
        run("gradients.batch_tokens=64", f"gradients.workers={n}", f"store.root={tmp_path}/{n}")
        for n in (1, 2)
    )
    assert one.paths.point_id == two.paths.point_id
    assert_rows_agree(one.rows(), two.rows())


def test_a_done_point_is_not_run_again(run: Point, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run()
    written = first.paths.rows.stat().st_mtime_ns
    monkeypatch.setattr("gradsweep.models.cache.load_model", None)
    assert run().paths == first.paths
    assert first.paths.rows.stat().st_mtime_ns == written


def test_bad_samples_are_recorded_and_the_rest_is_measured(run: Point, tmp_path: Path) -> None:
    path = question_file(tmp_path, ["3 + 4 = 7", "", "7 apples", "8 apples"])
    long = {"prompt": "word " * 500, "responses": {"simplified": "9"}}
    with path.open("a") as file:
        file.write(json.dumps(long) + "\n")
    result = run("dataset=jsonl", f"dataset.path={path}", "dataset.shuffle=false")
    samples = result.samples()
    assert samples["status"].to_list() == [
        "ok",
        "empty_response",
        "ok",
        "ok",
        "prompt_fills_max_length",
    ]
    assert samples["reason"][1] == "the response is empty"
    assert "model.max_length is 400" in samples["reason"][4]
    assert set(result.rows()["sample_id"]) == set(
        samples.filter(pl.col("status") == "ok")["sample_id"]
    )
    summary = json.loads(result.paths.summary.read_text())
    assert summary["samples"] == {"ok": 3, "empty_response": 1, "prompt_fills_max_length": 1}
    assert "n_samples=6" in summary["messages"][0]


def test_non_finite_losses_are_recorded_on_the_sample(
    run: Point, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gradsweep.models.cache as module

    load = module.load_model

    def with_a_broken_token(*args):  # type: ignore[no-untyped-def]
        loaded = load(*args)
        (token,) = loaded.tokenizer("#", add_special_tokens=False)["input_ids"]
        loaded.model.get_input_embeddings().register_forward_hook(
            lambda module, args, out: out.masked_fill((args[0] == token)[..., None], torch.nan)
        )
        return loaded

    monkeypatch.setattr(module, "load_model", with_a_broken_token)
    monkeypatch.setattr("gradsweep.extraction._models", module.ModelCache())
    path = question_file(tmp_path, ["7 apples", "8 # apples", "9 apples"])
    result = run("dataset=jsonl", f"dataset.path={path}", "dataset.shuffle=false")
    assert result.samples()["status"].to_list() == ["ok", "non_finite_loss", "ok"]
    assert result.samples()["reason"][1] == "the loss is nan"
    assert result.rows()["finite"].all()


@pytest.mark.parametrize(
    ("dtype", "value", "told"),
    [
        ("float32", torch.nan, r"The file is damaged, or the training .* an earlier checkpoint"),
        ("float32", torch.inf, r"The file is damaged"),
        ("float16", 1e6, r"float16 holds .* type model\.dtype=bfloat16 or float32"),
    ],
)
def test_weights_that_are_no_numbers_are_named_with_their_file_before_anything_is_measured(
    dtype: str, value: float, told: str, run: Point, saved_model: Path, tmp_path: Path
) -> None:
    folder, name = tmp_path / "diverged", "model.layers.1.self_attn.k_proj.weight"
    shutil.copytree(saved_model, folder)
    file = folder / "model.safetensors"
    weights = load_file(file)
    weights[name][2, :3] = value
    save_file(weights, file, metadata={"format": "pt"})
    named = rf"weights are NaN or infinite.*: {re.escape(name)} \(3 of \d+ entries\), in {file}\. "
    with pytest.raises(ModelError, match=named + told):
        run(f"model.source.path={folder}", f"model.dtype={dtype}")
    assert not list((tmp_path / "results").glob("points/*")), "nothing of it is a point"


def test_a_point_without_one_good_sample_fails_and_says_why(run: Point, tmp_path: Path) -> None:
    path = question_file(tmp_path, ["", ""])
    with pytest.raises(DataError, match=r"none of the 2 samples.*response is empty"):
        run("dataset=jsonl", f"dataset.path={path}")
    (failed,) = (tmp_path / "results").glob("points/*/FAILED.json")
    assert json.loads(failed.read_text())["user_error"]


def test_conditions_of_one_question_pair_up(run: Point, tmp_path: Path) -> None:
    questions = set()
    for cot in ("none", "simplified"):
        for correctness in ("correct", "irrelevant"):
            point = run(f"cot={cot}", f"correctness={correctness}")
            questions.add(tuple(point.samples()["question_id"]))
    assert len(questions) == 1
    assert load_rows(tmp_path / "results")["point_id"].n_unique() == 4


def test_config_yaml_records_what_ran_without_secrets(
    run: Point, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    monkeypatch.setenv("HF_TOKEN", "hf_" + "y" * 30)
    result = run()
    text = result.paths.config.read_text()
    for expected in ("torch:", "transformers:", "point_id:", "max_length: 400", "seed: 0"):
        assert expected in text
    everything = "".join(
        p.read_text(errors="replace") for p in result.paths.folder.iterdir() if p.is_file()
    )
    assert "xxxx" not in everything
    assert "hf_y" not in everything


@pytest.mark.parametrize("smallest", [0, 10**9])
def test_a_large_point_ends_with_what_reports_read_of_it(
    run: Point, monkeypatch: pytest.MonkeyPatch, smallest: int
) -> None:
    monkeypatch.setattr(reduced_points, "_SMALLEST", smallest)
    paths = run().paths
    assert paths.done.exists()
    assert (read_point(paths) is not None) == paths.reduced.exists() == (smallest == 0)
