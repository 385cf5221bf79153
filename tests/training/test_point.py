"""A training point: its rows are of each step's weights, its probes of nothing trained on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from helpers.tiny_point import SHORT_RUN, tiny_point
from polars.testing import assert_frame_equal

from gradsweep import compose, extract, load_rows, load_training
from gradsweep.errors import ConfigError, DataError, TrainingError
from gradsweep.extraction import PointResult
from gradsweep.identity import point_id
from gradsweep.records import SampleResult
from gradsweep.store import PointPaths, PointState, point_state
from gradsweep.store.training import TrainingTables
from gradsweep.training.data import Probe

Point = Callable[..., PointResult]


def tables(result: PointResult) -> TrainingTables:
    return load_training(result.paths.results, [result.paths.point_id])


def summary(result: PointResult) -> dict[str, object]:
    return dict(json.loads(result.paths.summary.read_text()))


@pytest.fixture(scope="module")
def trained(saved_model: Path, tmp_path_factory: pytest.TempPathFactory) -> PointResult:
    """Read only: tests share it."""
    more = (*SHORT_RUN, "training.probe_cot=[none,detailed]", "training.update_every=2")
    overrides = tiny_point(saved_model, tmp_path_factory.mktemp("trained") / "results", *more)
    return extract(compose(*overrides), show_progress=False)


def test_each_moment_is_stored_once(trained: PointResult) -> None:
    stored = tables(trained)
    probes = stored.samples.filter(pl.col("source") == "probe")
    assert sorted(probes.group_by("step", "probe_cot").len().rows()) == [
        (step, cot, 2) for step in (0, 2, 4) for cot in ("detailed", "none")
    ]
    updates = stored.samples.filter(pl.col("source") == "update")
    assert updates["step"].to_list() == [0, 2]
    key = ["step", "source", "probe_cot", "probe_correctness", "sample_id", "layer", "projection"]
    assert not stored.rows.select(key).is_duplicated().any()
    assert stored.steps["step"].to_list() == [0, 1, 2, 3, 4]


def test_a_probe_before_the_first_step_is_the_untrained_model_s_point(
    trained: PointResult, overrides: list[str]
) -> None:
    plain = [text for text in overrides if not text.startswith("training")]
    point = extract(compose(*plain, "cot=none"), show_progress=False)
    rows = tables(trained).rows.filter(
        (pl.col("source") == "probe") & (pl.col("step") == 0) & (pl.col("probe_cot") == "none")
    )
    metrics = ["sample_id", "layer", "projection", "nuclear_norm", "sigma_max", "effective_rank"]
    same = point.rows().filter(pl.col("sample_id").is_in(rows["sample_id"].implode()))
    order = metrics[:3]
    assert len(rows) == 2 * 2 * 4  # samples, layers, projections
    assert_frame_equal(
        rows.select(metrics).sort(order), same.select(metrics).sort(order), rel_tol=1e-6
    )


def test_no_probed_question_is_trained_on_and_training_changes_what_it_shows(
    trained: PointResult,
) -> None:
    rows = tables(trained).rows.filter(pl.col("source") == "probe")
    by_step = rows.group_by("step").agg(pl.col("nuclear_norm").mean()).sort("step")["nuclear_norm"]
    assert by_step.n_unique() == len(by_step)
    losses = tables(trained).steps["loss"].drop_nans()
    assert losses[-1] < losses[0]


@pytest.mark.long
def test_training_is_the_same_to_the_last_bit_with_and_without_probes(run: Point) -> None:
    few = run("training.probe_every=0", "training.update_every=3")
    many = run("training.probe_every=1", "training.probe_cot=[none,detailed]")
    assert summary(few)["weights"] == summary(many)["weights"]
    made = [tables(result).steps.drop_nulls()["loss"].drop_nans() for result in (few, many)]
    assert made[0].to_list() == made[1].to_list()


@pytest.mark.long
def test_two_passes_of_two_samples_are_one_of_four(run: Point) -> None:
    together = run("training.batch_size=4")
    apart = run("training.batch_size=2", "training.accumulation=2")
    losses = [tables(result).steps["loss"].drop_nans().to_list() for result in (together, apart)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "step"])
def test_a_step_weighs_its_samples_as_the_reduction_says(
    run: Point, overrides: list[str], reduction: str
) -> None:
    """One step over all samples that are trained on: its loss follows from theirs."""
    result = run(
        "training.batch_size=9", "training.steps=1", f"objective.reduction={reduction}",
        "training.probe_every=0",
    )  # fmt: skip
    plain = [text for text in overrides if not text.startswith("training")]
    alone = extract(compose(*plain), show_progress=False).samples().sort("index").head(9)
    weights = alone["n_response_tokens"] if reduction == "step" else pl.Series([1] * 9)
    expected = (alone["loss"] * weights).sum() / weights.sum()
    assert tables(result).steps["loss"][0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.long
def test_a_killed_run_goes_on_at_its_checkpoint_to_the_same_weights(
    run: Point, overrides: list[str]
) -> None:
    every = "training.checkpoint_every=1"
    whole = run(every)
    weights, stored = summary(whole)["weights"], tables(whole)
    config = compose(*overrides, every, "store.root=" + str(whole.paths.results) + "-again")
    asked = iter([False, False, True])  # between two probes
    with pytest.raises(KeyboardInterrupt):
        extract(config, show_progress=False, stop=lambda: next(asked))
    paths = PointPaths(config.results, point_id(config))
    assert point_state(paths) is PointState.STOPPED
    again = extract(config, show_progress=False)
    assert summary(again)["weights"] == weights
    assert not paths.checkpoints.exists()
    unmeasured = ["seconds", "point_id"]
    for name in ("rows", "samples", "steps"):
        a, b = (getattr(t, name) for t in (stored, tables(again)))
        assert_frame_equal(a.drop(unmeasured, strict=False), b.drop(unmeasured, strict=False))


@pytest.mark.long
def test_a_checkpoint_that_a_kill_has_cut_short_is_not_gone_on_from(
    run: Point, overrides: list[str]
) -> None:
    config = compose(*overrides, "training.checkpoint_every=1")
    with pytest.raises(KeyboardInterrupt):
        extract(config, show_progress=False, stop=lambda: True)
    paths = PointPaths(config.results, point_id(config))
    (last,) = paths.checkpoints.iterdir()
    (last / "COMPLETE").unlink()
    (last / "model.safetensors").write_bytes(b"half of it")
    assert summary(extract(config, show_progress=False))["weights"]


def test_a_loss_that_is_no_number_fails_the_point_and_keeps_what_was_measured(
    run: Point, overrides: list[str]
) -> None:
    config = compose(*overrides, "training.learning_rate=1e30", "training.clipping=null")
    with pytest.raises(TrainingError, match=r"diverged: the loss of step \d is nan.*learning_rate"):
        extract(config, show_progress=False)
    paths = PointPaths(config.results, point_id(config))
    assert point_state(paths) is PointState.FAILED
    stored = load_training(config.results)
    assert stored.steps["loss"].is_finite().any()
    assert 0 in stored.samples["step"].to_list()


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (("training.batch_size=10",), "10 samples for one step"),
        (("training.probe_questions=4",), "held-out questions"),
    ],
)
def test_too_few_questions_are_an_error_that_says_what_to_type(
    run: Point, typed: tuple[str, ...], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        run(*typed)


def test_a_prompt_that_is_probed_under_one_question_and_trained_on_under_another_is_refused(
    run: Point, tmp_path: Path
) -> None:
    questions = [f"What is {n} plus 1?" for n in (1, 2, 3, 4, 5, 6, 7, 1)]
    lines = [
        json.dumps({"question_id": str(i), "prompt": q, "responses": {"none": f"It is {i}."}})
        for i, q in enumerate(questions)
    ]
    data = tmp_path / "mine.jsonl"
    data.write_text("\n".join(lines))
    with pytest.raises(DataError, match="probed and, under another question, trained on"):
        run("dataset=jsonl", f"dataset.path={data}", "n_samples=8", "cot=none")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("training.steps=0", "training.steps must be at least 1"),
        ("training.held_out=1", r"training.held_out must be in \(0, 1\)"),
        ("training.probe_cot=[fast]", "fast is none of none, simplified, detailed"),
        ("training=series", "names 0: name two or more"),
        ("model.dtype=float16", "model.dtype=bfloat16"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_it_begins(
    run: Point, typed: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        run(typed)


def test_load_rows_says_who_reads_training_points(trained: PointResult) -> None:
    with pytest.raises(DataError, match="load_training"):
        load_rows(trained.paths.results)


@pytest.mark.long
def test_runs_on_the_same_weights_measure_the_first_probe_once(
    run: Point, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []
    results = Probe.results

    def counted(probe: Probe) -> list[SampleResult]:
        measured.append(1)
        return results(probe)

    monkeypatch.setattr(Probe, "results", counted)
    first = tables(run())
    of_one = len(measured)
    second = tables(run("training.learning_rate=0.02"))
    assert len(measured) == 2 * of_one - 1
    begin = (pl.col("step") == 0) & (pl.col("source") == "probe")
    drop = ["point_id", "series"]
    for name in ("rows", "samples"):
        a, b = (getattr(t, name).filter(begin).drop(drop) for t in (first, second))
        assert_frame_equal(a, b)
    run("training.seed=1", "seed=1")  # other questions
    assert len(measured) == 3 * of_one - 1


@pytest.mark.parametrize("objective", ["dpo", "grpo"])
def test_pairs_and_groups_are_trained_against_the_model_before_the_first_step(
    run: Point, objective: str
) -> None:
    """DPO's loss is log 2 where policy and reference agree, which is at step 0 alone."""
    stored = tables(run(f"objective={objective}", "training.steps=3"))
    losses = stored.steps["loss"].drop_nans().to_list()
    assert len(losses) == 3
    if objective == "dpo":
        assert losses[0] == pytest.approx(0.693147, rel=1e-4)
        assert losses[2] != pytest.approx(losses[0], rel=1e-4)


def test_lora_trains_adapters_alone_and_measures_them_and_the_effective_weight(run: Point) -> None:
    pytest.importorskip("peft")
    stored = tables(run("training=lora", "training.rank=2", "training.probe_questions=1"))
    updates = stored.rows.filter(source="update", step=2)
    assert {"q", "q_lora_a", "q_lora_b"} <= set(updates["projection"])
    adapters = updates.filter(pl.col("projection").str.contains("lora"))
    assert adapters["rank"].max() <= 2
    losses = stored.steps["loss"].drop_nans()
    assert losses[-1] < losses[0]
    probes = stored.rows.filter(source="probe", layer=0, projection="q").sort("step")
    assert probes["nuclear_norm"].n_unique() == len(probes)


@pytest.mark.long
@pytest.mark.parametrize(
    "trained", ["training.optimizer=sgd", "training.optimizer=muon", "training=lora"]
)
def test_whatever_is_trained_goes_on_from_a_checkpoint_to_the_same_weights(
    run: Point, overrides: list[str], trained: str
) -> None:
    if trained == "training=lora":
        pytest.importorskip("peft")
    options = [trained, "training.checkpoint_every=1", "training.probe_every=0"]
    options += ["training.schedule=cosine", "training.warmup=1"]
    whole = run(*options)
    config = compose(*overrides, *options, f"store.root={whole.paths.results}-again")
    asked = iter([False, True])
    with pytest.raises(KeyboardInterrupt):
        extract(config, show_progress=False, stop=lambda: next(asked))
    again = extract(config, show_progress=False)
    assert summary(again)["weights"] == summary(whole)["weights"]


@pytest.mark.long
def test_the_held_out_loss_is_the_same_whether_a_probe_has_measured_it_or_not(run: Point) -> None:
    probed, apart = (
        run(*SHORT_RUN, f"training.probe_cot=[{cot}]", "training.held_out=0.5")
        for cot in ("none", "detailed")
    )
    losses = [tables(result).steps.sort("step")["held_out_loss"] for result in (probed, apart)]
    assert losses[0].is_finite().sum() > 1
    assert losses[0].to_list() == pytest.approx(losses[1].to_list(), rel=1e-5, nan_ok=True)
    samples = tables(probed).samples.filter(source="probe", step=0)
    assert losses[0][0] != pytest.approx(samples["loss"].mean()), "some are held out and not probed"
