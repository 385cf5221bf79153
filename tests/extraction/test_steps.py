"""Points of single steps: stored, resumed, shared out, and in no comparison of whole samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gradsweep import compose, extract, load_rows, load_samples_table
from gradsweep.analysis import conditions, evaluate_claims
from gradsweep.cli import main
from gradsweep.doctor.check import CheckState
from gradsweep.doctor.examination import examine_stored
from gradsweep.doctor.verify import verify
from gradsweep.errors import ConfigError, ExcludedPointError, StopRequested
from gradsweep.extraction import PointResult
from gradsweep.identity import point_id
from gradsweep.plan import make_plan
from gradsweep.plan.estimate.training import samples_passed
from gradsweep.records import SampleStatus, Shard

Point = Callable[..., PointResult]
BY_STEP = "gradients.by=step"


def test_rows_have_their_step_and_each_step_its_tokens(run: Point, overrides: list[str]) -> None:
    few = "n_samples=2"
    steps, whole = run(BY_STEP, few), run(few)
    assert steps.paths.point_id != whole.paths.point_id
    samples = steps.samples()
    assert samples["sample_id"].is_unique().all()
    assert samples["step_label"].null_count() == len(samples)
    assert whole.samples()["step_index"].null_count() == len(whole.samples())
    assert whole.rows()["step_index"].null_count() == len(whole.rows())
    per_step = steps.rows().group_by("question_id", "step_index").len()
    assert per_step["len"].n_unique() == 1
    assert len(per_step) == len(samples)
    weighted = pl.col("loss") * pl.col("n_response_tokens")
    summed = samples.group_by("question_id").agg(
        pl.col("n_response_tokens").sum(), loss=weighted.sum() / pl.col("n_response_tokens").sum()
    )
    both = whole.samples().join(summed, on="question_id", suffix="_of_steps")
    assert len(both) == 2
    assert both["n_response_tokens"].to_list() == both["n_response_tokens_of_steps"].to_list()
    assert both["loss"].to_list() == pytest.approx(both["loss_of_steps"].to_list(), rel=1e-5)
    assert samples_passed(compose(*overrides, BY_STEP, few)) == len(samples)


def test_a_stopped_point_goes_on_at_its_next_step_and_shares_equal_the_whole(
    overrides: list[str], tmp_path: Path
) -> None:
    asked = [*overrides, "n_samples=2", BY_STEP, "gradients.batch_tokens=400"]
    with pytest.raises(StopRequested):
        extract(compose(*asked), show_progress=False, stop=lambda: True)
    resumed = extract(compose(*asked), show_progress=False)
    shared = compose(*asked, f"store.root={tmp_path / 'shared'}")
    for index in range(2):
        result = extract(shared, show_progress=False, shard=Shard(index, 2))
    assert_frame_equal(resumed.rows(), result.rows(), check_exact=True)


def test_no_comparison_of_whole_samples_has_them(run: Point) -> None:
    whole, steps = run("n_samples=2"), run("n_samples=2", BY_STEP)
    rows = load_rows(whole.paths.results)
    assert set(rows["series"]) == {"", "by=step"}
    assert set(conditions(rows)["point_id"]) == {whole.paths.point_id}
    samples = load_samples_table(whole.paths.results)
    assert {finding.series for finding in evaluate_claims(rows, samples=samples)} == {""}
    assert steps.rows()["step_index"].null_count() == 0
    run("n_samples=2", BY_STEP, "correctness=irrelevant")
    *_, compared = examine_stored(steps.paths, "steps").checks
    assert compared.state is CheckState.NOT_CHECKED
    assert "single steps" in compared.finding


def test_a_report_says_what_steps_do(run: Point, capsys: pytest.CaptureFixture[str]) -> None:
    results = run("n_samples=3", BY_STEP).paths.results
    assert main(["report", str(results)]) == 0
    assert "nuclear norm from the first step on, of 3 responses: " in capsys.readouterr().out
    findings = (results / "reports" / "all" / "findings.md").read_text()
    assert "Which step carries the gradient" in findings
    assert "| final |" in findings


def test_steps_beyond_the_longest_text_are_recorded(run: Point) -> None:
    samples = run("n_samples=3", BY_STEP, "model.max_length=200").samples()
    beyond = samples.filter(status=SampleStatus.STEP_BEYOND_MAX_LENGTH.value)
    assert len(beyond)
    assert beyond["reason"].str.contains("model.max_length is 200").all()
    assert len(samples.filter(status="ok"))


def test_autograd_agrees_with_every_step(overrides: list[str]) -> None:
    config = compose(*overrides, "n_samples=1", BY_STEP)
    verification = verify(config, lambda words, count: lambda: None)
    assert verification.holds
    assert verification.n_samples == samples_passed(config) > 1


@pytest.mark.parametrize(
    ("more", "error", "message"),
    [
        (["objective=dpo"], ExcludedPointError, r"objective=dpo has another loss"),
        (["objective.reduction=sum"], ExcludedPointError, r"allowed is objective=sft with"),
        (["cot.match_length=detailed"], ExcludedPointError, r"allowed is cot\.match_length=null"),
        (["training=full"], ConfigError, r"type training=none, or gradients\.by=sample"),
    ],
)
def test_what_has_no_loss_by_step_is_refused(
    more: list[str], error: type[Exception], message: str, overrides: list[str]
) -> None:
    with pytest.raises(error, match=rf"gradients\.by=step: .*{message}"):
        compose(*overrides, BY_STEP, *more)


def test_points_of_whole_samples_keep_their_id(overrides: list[str]) -> None:
    plain = point_id(compose(*overrides))
    assert plain == point_id(compose(*overrides, "gradients.by=sample"))
    plan = make_plan([*overrides, "gradients.by=sample,step"], multirun=True)
    assert len(plan.points) == 2
