"""Which points `compare` pairs: what agrees elsewhere, seeds, ratings, objectives."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.stored_points import store_point

from gradsweep.cli import main
from gradsweep.records import Axes

Captured = pytest.CaptureFixture[str]


@pytest.mark.long
def test_filters_pair_what_agrees_elsewhere(two_models: Path, capsys: Captured):
    axes = Axes("alone", "sums", "none", "correct")
    store_point(two_models, "an00", axes, 1.0)
    assert main(["compare", "cot=none", "cot=detailed", "--metric", "sigma_max"]) == 0
    shown = capsys.readouterr().out
    assert "2 pairs, each with the same model, dataset, correctness" in shown
    assert "without a counterpart: alone · sums · correct" in shown
    for model in ("small", "large"):
        assert f"{model} · sums · correct · largest singular value" in shown
        assert f"• {model} · sums · correct: detailed has" in shown
    assert len(list((two_models / "reports").rglob("*sigma_max.png"))) == 2


@pytest.mark.usefixtures("without_figures")
def test_an_axis_named_on_one_side_holds_for_both(two_models: Path, capsys: Captured):
    assert main(["compare", "cot=none,model=large", "cot=detailed"]) == 0
    shown = capsys.readouterr().out
    assert "large · sums" in shown
    assert "small · sums · correct · nuclear" not in shown


@pytest.mark.usefixtures("without_figures")
def test_points_that_share_their_axes_are_told_apart(two_models: Path, capsys: Captured):
    axes = Axes("small", "sums", "none", "correct")
    store_point(two_models, "t100", axes, 9.0, seed=1)
    assert main(["compare", "sn", "t1"]) == 0
    assert "small seed=0 → small seed=1" in capsys.readouterr().out


@pytest.mark.usefixtures("without_figures")
def test_several_points_on_one_side_of_a_pair_name_what_to_fix(two_models: Path, capsys: Captured):
    store_point(two_models, "t100", Axes("small", "sums", "none", "correct"), 9.0, seed=1)
    sides = ["model=small,cot=none,seed=0,1", "model=large,cot=none,seed=0"]
    assert main(["compare", *sides]) == 1
    assert "name one of seed: 0, 1" in capsys.readouterr().err
    assert main(["compare", sides[0].replace("0,1", "1"), sides[1]]) == 0
    capsys.readouterr()
    assert main(["compare", "cot=none,seed=0,model=small", "cot=none,seed=1,model=small"]) == 0
    assert "small seed=0 → small seed=1" in capsys.readouterr().out


@pytest.mark.usefixtures("without_figures")
def test_seeds_are_pooled_unless_they_are_named(two_models: Path, capsys: Captured):
    store_point(two_models, "t100", Axes("small", "sums", "none", "correct"), 9.0, seed=1)
    assert main(["compare", "model=small,cot=none", "model=small,cot=detailed"]) == 0
    assert "small · sums · correct" in capsys.readouterr().out


@pytest.mark.usefixtures("without_figures")
def test_the_ends_of_a_rating_are_compared_dataset_by_dataset(two_models: Path, capsys: Captured):
    for place, end in enumerate(("high", "low")):
        for name in ("wizard", "hermes"):
            axes = Axes("small", f"{name} quality={end}", "none", "correct")
            asked = [f"{name}{end}{i}" for i in range(10)]
            store_point(two_models, f"{name[0]}{end}", axes, 1.0 + place, questions=asked)
    store_point(two_models, "alone", Axes("small", "magpie quality=low", "none", "correct"), 1.0)
    assert main(["compare", "quality=high", "quality=low"]) == 0
    shown = capsys.readouterr().out
    assert "2 pairs, each with the same model, dataset, cot, correctness" in shown
    assert "without a counterpart: small · magpie" in shown
    for name in ("wizard", "hermes"):
        assert f"{name} quality=high → {name} quality=low" in shown
        assert f"{name} quality=low has 2.0 times the mean nuclear norm" in shown


@pytest.mark.usefixtures("without_figures")
def test_a_named_seed_says_the_same_whatever_other_seeds_there_are(
    two_models: Path, capsys: Captured
):
    sides = ["cot=none,seed=0,model=small", "cot=detailed,seed=0,model=small"]
    assert main(["compare", *sides]) == 0
    before = capsys.readouterr().out
    store_point(two_models, "seed", Axes("small", "sums", "none", "correct"), 9.0, seed=1)
    assert main(["compare", *sides]) == 0
    assert capsys.readouterr().out == before


@pytest.mark.long
def test_objectives_pair_although_a_pair_has_both_responses(two_models: Path, capsys: Captured):
    for cot, level in (("none", 8.0), ("detailed", 2.0)):
        store_point(two_models, f"p{cot[0]}00", Axes("small", "sums", cot, "pair", "dpo"), level)
        store_point(two_models, f"i{cot[0]}00", Axes("small", "sums", cot, "irrelevant"), level)
    assert main(["compare", "objective=sft", "objective=dpo"]) == 0
    shown = capsys.readouterr().out
    assert "2 pairs, each with the same model, dataset, cot" in shown
    assert "correct · sft → pair · dpo" in shown
    assert "the mean loss" not in shown, "losses of two objectives are two quantities"
    assert main(["compare", "objective=sft,correctness=irrelevant", "objective=dpo"]) == 0
    assert "irrelevant · sft → pair · dpo" in capsys.readouterr().out
    assert main(["compare", "cot=none", "cot=detailed"]) == 0
    shown = capsys.readouterr().out
    assert "pair · dpo · nuclear norm" in shown, "conditions are compared at equal objective"
