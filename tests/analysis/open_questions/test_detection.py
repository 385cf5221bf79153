"""Detection: who is right how often, base beside instruct, and what gradients add to the loss."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from helpers.question_rows import planted

from gradsweep.analysis.claims import Outcome, Verdict
from gradsweep.analysis.open_questions import Answered, evaluate_open_questions

N = 40

Conditions = dict[tuple[str, str], dict[str, np.ndarray]]


def levels(beyond: float, seed: int = 0) -> Conditions:
    """Without CoT nothing tells; with detailed CoT the loss does, and the norm is the loss's square
    root with noise. The stable rank falls by `beyond` beside that."""
    rng = np.random.default_rng(seed)
    found = {}
    for cot in ("none", "detailed"):
        for kind in ("correct", "irrelevant"):
            wrong = cot == "detailed" and kind == "irrelevant"
            loss = rng.lognormal(0.5 if wrong else 0.0, 0.3, N)
            found[cot, kind] = {
                "nuclear_norm": np.sqrt(loss) * rng.lognormal(sigma=0.3, size=N),
                "stable_rank": 4 * np.exp(-beyond * wrong) * rng.lognormal(sigma=0.2, size=N),
                "loss": loss,
                "tokens": rng.integers(50, 90, N).astype(float),
            }
    return found


def asked(rows: pl.DataFrame, samples: pl.DataFrame) -> Answered:
    found = evaluate_open_questions(rows, samples=samples, resamples=300)
    return next(one for one in found if one.question.key == "detection")


def lines_of(found: Answered) -> dict[tuple[str, str], dict[str, float]]:
    return {(line["level"], line["signal"]): line for line in found.numbers[0].frame.to_dicts()}


def verdicts(found: Answered) -> dict[str, Verdict]:
    return {a.statement.text: a.verdict for a in found.answers if a.statement.decides}


def test_signals_are_counted_in_their_direction_at_every_level():
    conditions = levels(beyond=1.0)
    lines = lines_of(asked(*planted(conditions)))
    guess = lines["none", "loss larger"]
    assert guess["accuracy low"] < 0.5 < guess["accuracy high"]
    correct, irrelevant = (conditions["detailed", k]["loss"] for k in ("correct", "irrelevant"))
    told = lines["detailed", "loss larger"]
    assert told["accuracy"] == pytest.approx(np.mean(irrelevant > correct))
    assert told["AUC"] == pytest.approx(np.mean(irrelevant[None, :] > correct[:, None]))
    assert lines["detailed", "stable rank smaller"]["accuracy"] > 0.9
    over = lines["detailed", "nuclear norm larger"]
    difference = over["accuracy"] - told["accuracy"]
    assert over["over the loss"] == pytest.approx(difference)
    assert over["over the loss low"] <= difference <= over["over the loss high"]


def test_a_signal_of_its_own_tells_more_than_the_loss_and_one_of_the_loss_does_not():
    found = verdicts(asked(*planted(levels(beyond=1.0))))
    assert found["stable rank smaller tells something that loss and length do not"] is (
        Verdict.SUPPORTED
    )
    told = found["nuclear norm larger tells something that loss and length do not"]
    assert told is not Verdict.SUPPORTED


def test_another_relation_to_the_loss_is_a_control():
    found = asked(*planted(levels(beyond=1.0)))
    ranks = next(a for a in found.answers if a.statement.statistic.startswith(
        "accuracy of stable rank smaller, loss and T"))  # fmt: skip
    outcomes = {control.name: control.outcome for control in ranks.controls}
    assert outcomes == dict.fromkeys(
        ("ranks in place of logarithms", "AUC in place of accuracy"), Outcome.SAME
    )


def test_base_stands_beside_instruct_over_common_questions():
    models = {"tiny": levels(beyond=0.0, seed=1), "tiny_instruct": levels(beyond=2.0, seed=2)}
    frames = [planted(conditions, model=model) for model, conditions in models.items()]
    rows, samples = (pl.concat(parts) for parts in zip(*frames, strict=True))
    found = asked(rows, samples)
    compared = {
        a.statement.statistic: a for a in found.answers if a.scope.model == "tiny → tiny_instruct"
    }
    ranks = compared["accuracy of stable rank smaller, instruct - base"]
    assert ranks.verdict is Verdict.SUPPORTED
    assert ranks.n_questions == N
    losses = compared["accuracy of loss larger, instruct - base"]
    assert losses.low <= 0 <= losses.high
    models_in_table = found.numbers[0].frame["model"].to_list()
    assert models_in_table[:2] == ["tiny", "tiny_instruct"]


def test_few_questions_are_counted_without_a_verdict():
    found = asked(*planted({key: {name: values[:6] for name, values in of.items()}
                            for key, of in levels(beyond=1.0).items()}, n_questions=6))  # fmt: skip
    assert all(a.verdict is Verdict.TOO_FEW for a in found.answers)
    assert "right of 6" in found.said[0]
    assert "too few questions" in found.said[0]


def test_without_irrelevant_responses_it_says_what_to_run():
    conditions = {key: of for key, of in levels(beyond=0.0).items() if key[1] == "correct"}
    found = asked(*planted(conditions))
    assert found.answers == ()
    assert "correctness=correct,irrelevant" in found.run
