"""A point from config to stored rows: complete, resumable, and honest about bad samples."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from helpers.agreement import assert_rows_agree
from helpers.patience import PATIENCE_SECONDS, wait_until
from polars.testing import assert_frame_equal

from gradsweep import compose, extract, load_rows
from gradsweep.errors import DataError, StoreError
from gradsweep.extraction import PointResult
from gradsweep.records import METRICS
from gradsweep.store import PointPaths, PointState, load_samples_table, point_state

Point = Callable[..., PointResult]


@pytest.fixture
def overrides(saved_model: Path, tmp_path: Path) -> list[str]:
    return [
        "model=folder",
        f"model.source.path={saved_model}",
        "model.name=tiny",
        "model.max_length=400",
        "tracking=none",
        "cot=simplified",
        "n_samples=6",
        f"store.root={tmp_path / 'results'}",
    ]


@pytest.fixture
def run(overrides: list[str]) -> Point:
    def run_point(*more: str) -> PointResult:
        return extract(compose(*overrides, *more), show_progress=False)

    return run_point


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


KILLED = """
import sys, threading
from gradsweep import compose, extract
stored = 0

def last_moment():
    global stored
    stored += 1
    return stored == 12 and threading.Event().wait()  # to be killed there at the latest

extract(compose(*sys.argv[1:]), stop=last_moment)
"""


def test_kill_9_in_the_middle_then_again_equals_an_undisturbed_run(
    run: Point, overrides: list[str], tmp_path: Path
) -> None:
    """Really killed, at a moment of the machine's choosing, with samples stored and others not."""
    slow = [*overrides, "n_samples=16", "gradients.batch_tokens=1"]
    command = [sys.executable, "-c", KILLED, *slow]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    paths = PointPaths(tmp_path / "results", _point_id(slow))
    wait_until(lambda: n_parts(paths) >= 5, "five samples are stored", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stored = len(list(paths.parts.glob("samples-*.parquet")))
    assert 5 <= stored <= 12
    assert point_state(paths) is PointState.STOPPED

    seen: list[int] = []
    import gradsweep.engine.passes as module

    measure = module.Engine.measure

    def counting(self, batch):  # type: ignore[no-untyped-def]
        seen.append(len(batch.input_ids))
        return measure(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.Engine, "measure", counting)
        resumed = run(*slow[len(overrides) :])
    assert sum(seen) == 16 - stored
    undisturbed = run(*slow[len(overrides) :], f"store.root={tmp_path / 'undisturbed'}")
    assert_rows_agree(resumed.rows(), undisturbed.rows())
    assert_frame_equal(resumed.samples().drop("seconds"), undisturbed.samples().drop("seconds"))


def n_parts(paths: PointPaths) -> int:
    """Batches that are stored, or about to be."""
    return len(list(paths.parts.glob("samples-*")))


def _point_id(overrides: list[str]) -> str:
    from gradsweep.identity import point_id

    return point_id(compose(*overrides))


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
    run: Point, saved_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


def test_a_point_without_one_good_sample_fails_and_says_why(run: Point, tmp_path: Path) -> None:
    path = question_file(tmp_path, ["", ""])
    with pytest.raises(DataError, match=r"none of the 2 samples.*response is empty"):
        run("dataset=jsonl", f"dataset.path={path}")
    (failed,) = (tmp_path / "results").glob("points/*/FAILED.json")
    assert json.loads(failed.read_text())["user_error"]


def test_a_folder_that_another_live_process_writes_is_refused(
    run: Point, overrides: list[str], tmp_path: Path
) -> None:
    paths = PointPaths(tmp_path / "results", _point_id(overrides))
    hold = (
        "import sys; from pathlib import Path\n"
        "from gradsweep.store.lease import hold_lease\n"
        "with hold_lease(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(paths.running)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        try:
            with pytest.raises(StoreError, match=f"process {other.pid}"):
                run()
        finally:
            other.kill()
    assert not list(paths.folder.glob("FAILED*")), (
        "the point of another process is not ours to fail"
    )
    assert len(run().samples()) == 6


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


INTERRUPTED = """
import runpy, signal, sys, threading
from gradsweep.store.point import PointStore
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
append = PointStore.append

def then_wait(store, results):
    append(store, results)
    if len(list(store.paths.parts.glob("samples-*"))) == 2:
        threading.Event().wait()

PointStore.append = then_wait
runpy.run_module("gradsweep", run_name="__main__", alter_sys=True)
"""


def test_an_interrupted_terminal_keeps_what_is_stored(overrides: list[str], tmp_path: Path) -> None:
    slow = [*overrides, "gradients.batch_tokens=1", "gradients.workers=1"]
    paths = PointPaths(tmp_path / "results", _point_id(slow))
    command = [sys.executable, "-c", INTERRUPTED, *slow]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "200"}
    )
    wait_until(lambda: n_parts(paths) >= 2, "two samples are stored", process)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130, stderr
    assert "the same command goes on from there" in stderr
    assert point_state(paths) is not PointState.RUNNING
    assert n_parts(paths) == 2


def test_a_point_with_cosines_goes_on_where_it_was_stopped(
    run: Point, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in its third batch, on two workers; cosines are a sample's own."""
    import gradsweep.engine.passes as module

    options = ["gradients.similarities=true", "gradients.top_k=2", "gradients.batch_tokens=1"]
    measure, calls = module.Engine.measure, 0

    def stopping(self, batch):  # type: ignore[no-untyped-def]
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return measure(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(module.Engine, "measure", stopping)
        with pytest.raises(KeyboardInterrupt):
            run(*options, "gradients.workers=1")
    stored = len(load_samples_table(tmp_path / "results"))
    assert 0 < stored < 6
    resumed = run(*options, "gradients.workers=2")
    undisturbed = run(*options, f"store.root={tmp_path / 'undisturbed'}")
    assert_rows_agree(resumed.rows(), undisturbed.rows())
    rows = resumed.rows()
    assert rows.filter(layer=0)["cosine_next_layer"].is_finite().all()
    assert rows.filter(layer=1)["cosine_next_layer"].is_nan().all()
    assert rows["cosine_partner"].is_finite().all()
    assert set(rows["singular_values"].list.len()) == {2}
