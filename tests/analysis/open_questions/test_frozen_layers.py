"""The check by freezing: planted losses of runs that train some layers give the planted verdict."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from helpers.head_rows import LAYERS, study, whole_of

from gradsweep.analysis import Verdict
from gradsweep.analysis.open_questions import Answer, Answered, evaluate_open_questions
from gradsweep.store.training import TrainingTables

ROWS = whole_of(study({(4, head): 0.6 for head in range(4)}, noise=0.03))
"""Layer 4 responds, all others do not."""
STEPS = 8
Left = Mapping[str, float]
"""Trained layers, as a series has them -> share of the held-out loss that is left."""


def runs(left: Left, noise: float = 0.02, seeds: int = 2, questions: int = 6) -> TrainingTables:
    """Runs of each set and seed, probed before and after; each seed has questions of its own."""
    rng = np.random.default_rng(1)
    lines = []
    for seed in range(seeds):
        first = rng.lognormal(sigma=0.3, size=questions)
        for layers, share in left.items():
            series = f"learning_rate=0.0002{f' trained_layers={layers}' if layers else ''}"
            last = first * share * rng.lognormal(sigma=noise, size=questions)
            for step, losses in ((0, first), (STEPS, last)):
                lines += [
                    {"point_id": f"{layers}-{seed}", "series": series, "seed": seed, "step": step,
                     "question_id": f"seed{seed}-{place}", "loss": loss}
                    for place, loss in enumerate(losses)
                ]  # fmt: skip
    same = {
        "model": "tiny", "dataset": "sums", "cot": "detailed", "correctness": "correct",
        "objective": "sft", "source": "probe", "probe_cot": "detailed",
        "probe_correctness": "correct", "status": "ok",
    }  # fmt: skip
    samples = pl.DataFrame(lines).with_columns(**{n: pl.lit(v) for n, v in same.items()})
    return TrainingTables(pl.DataFrame(), samples, pl.DataFrame())


def asked(training: TrainingTables | None) -> Answered:
    answered = evaluate_open_questions(ROWS, training=training, resamples=200)
    (found,) = (one for one in answered if one.question.key == "where_it_responds")
    return found


def checked(left: Left, **options: float) -> Answer:
    found = asked(runs(left, **options)).answers  # type: ignore[arg-type]
    (answer,) = (one for one in found if "held-out loss left" in one.statement.statistic)
    return answer


def least() -> int:
    """The layer that responds least: noise decides."""
    return int(asked(None).run.partition("[4],[")[2][0])


def test_layers_from_which_more_is_learnt_are_told_from_the_least_and_from_random_ones() -> None:
    others = [layer for layer in range(LAYERS) if layer not in (4, least())]
    left = {"[4]": 0.6, f"[{least()}]": 0.9} | {f"[{layer}]": 0.9 for layer in others[:3]}
    answer = checked(left)
    assert answer.verdict is Verdict.SUPPORTED
    assert answer.low < 1.5 < answer.high
    (control,) = answer.controls
    assert control.verdict is Verdict.SUPPORTED
    assert answer.n_questions == 12
    table = next(one for one in asked(runs(left)).numbers if one.name == "freezing").frame
    assert table["trained"].to_list() == ["respond most", "respond least", *["random"] * 3]
    assert np.allclose(table["left"], [0.6, 0.9, 0.9, 0.9, 0.9], rtol=0.03)


def test_random_layers_of_which_as_much_is_learnt_take_the_verdict_away() -> None:
    others = [f"[{layer}]" for layer in range(LAYERS) if layer not in (4, least())]
    answer = checked({"[4]": 0.6, f"[{least()}]": 0.9} | dict.fromkeys(others[:3], 0.6))
    assert answer.verdict is Verdict.SUPPORTED
    assert answer.controls[0].verdict is Verdict.NOT_SUPPORTED


def test_sets_that_leave_as_much_of_the_loss_are_no_support() -> None:
    assert checked({"[4]": 0.7, f"[{least()}]": 0.7, "": 0.4}).verdict is Verdict.NOT_SUPPORTED
    few = checked({"[4]": 0.6, f"[{least()}]": 0.9}, seeds=1)
    assert few.verdict is Verdict.TOO_FEW


def test_without_runs_the_command_has_the_layers_that_respond_most_and_least_first() -> None:
    told = asked(None).run
    assert "+experiment=freezing model=tiny dataset=sums" in told
    assert f"training.trained_layers=[4],[{least()}],[" in told
    assert asked(runs({"[4]": 0.6, f"[{least()}]": 0.9})).run.count("freezing") == 0
