"""Steps of few tokens: the same rows by their factors, and gradients where factors do not tell."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from helpers.tiny_models import projections_of
from helpers.training import (
    assert_rows_are_of,
    backward,
    batch,
    same_weights,
    weight_gradients,
)

from gradsweep.engine.spectra.routes import is_cheaper_by_tokens
from gradsweep.training.few_tokens import most_tokens
from gradsweep.training.update import Update, UpdateWatch

Model = Any
Make = Callable[[str], Model]


def of_step(model: Model, watch: UpdateWatch, step: int = 0) -> Update:
    watch.before_step(step)
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    return watch.after_step()


@pytest.mark.parametrize("family", ["llama_gqa", "phi3_fused", "gpt2_conv1d"])
@pytest.mark.parametrize("parts", [1, 2])
def test_rows_by_factors_are_those_of_the_gradient(
    family: str, parts: int, tiny_model: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, names = tiny_model(family).train(), projections_of(family)
    monkeypatch.setattr("gradsweep.training.few_tokens.most_tokens", lambda m, n: 10**6)
    monkeypatch.setattr("gradsweep.training.few_tokens.is_cheaper_by_tokens", lambda t, m, n: True)
    with UpdateWatch(model, names) as watch:
        backward(model, batch(), parts=parts)
        expected = weight_gradients(model, names)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
        update = of_step(model, watch)
    assert {row.solver for row in update.rows} == {"token_gram"}
    assert_rows_are_of(update.rows, expected)


@pytest.fixture
def llama(tiny_model: Make) -> Model:
    return tiny_model("llama_gqa").train()


def test_the_cheaper_of_both_is_taken_matrix_by_matrix(llama: Model) -> None:
    """Twelve tokens are fewer than the 16 features of q and o, and more than the 8 of k and v."""
    with UpdateWatch(llama) as watch:
        for step, rows in enumerate((1, 8)):
            llama.zero_grad()
            backward(llama, batch(rows))
            expected = weight_gradients(llama)
            update = of_step(llama, watch, step)
            assert_rows_are_of(update.rows, expected)
            by_factors = {row.projection for row in update.rows if row.solver == "token_gram"}
            assert by_factors == ({"q", "o"} if rows == 1 else set())


def test_a_gradient_that_something_else_changed_is_measured_itself(llama: Model) -> None:
    weight = llama.model.layers[1].self_attn.q_proj.weight
    weight.register_hook(lambda gradient: 1.01 * gradient)
    with UpdateWatch(llama) as watch:
        backward(llama, batch(1))
        expected = weight_gradients(llama)
        update = of_step(llama, watch)
    assert_rows_are_of(update.rows, expected)
    of_q = {row.layer: row.solver for row in update.rows if row.projection == "q"}
    assert of_q == {0: "token_gram", 1: "weight_gram", 2: "token_gram"}


def test_training_is_the_same_to_the_last_bit(tiny_model: Make) -> None:
    def trained(watched: bool) -> dict[str, torch.Tensor]:
        model = tiny_model("llama_gqa").train()
        watch = UpdateWatch(model)
        for step in range(3):
            model.zero_grad()
            with watch if watched else nullcontext():
                backward(model, batch(1, seed=step))
                if watched:
                    of_step(model, watch, step)
                else:
                    torch.optim.SGD(model.parameters(), lr=0.1).step()
        return dict(model.named_parameters())

    assert same_weights(trained(True), trained(False))


@pytest.mark.parametrize(("m", "n"), [(576, 576), (192, 576), (4096, 1024), (1, 7)])
def test_the_limit_is_where_factors_begin_to_cost_more(m: int, n: int) -> None:
    limit = most_tokens(m, n)
    assert not is_cheaper_by_tokens(limit + 1, m, n)
    assert limit == 0 or is_cheaper_by_tokens(limit, m, n)
