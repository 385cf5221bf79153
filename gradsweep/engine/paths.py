"""Whether the backward pass takes every path that the forward pass took.

A part without a backward (quantised for inference, under `no_grad`, detached) leaves gradients
that look like any other: they come through the residual stream, and lack what went through that
part. So the shortest unit of a point tells before anything is measured: a module whose output
follows its input passes a gradient on, a watched module runs once, and in float32 the loss changes
along the gradient as fast as the gradient says.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from gradsweep.engine.batch import Batch, collate, shortest_row
from gradsweep.engine.capture import install_taps
from gradsweep.engine.factors import Factors
from gradsweep.engine.frozen import frozen, sharded_modules
from gradsweep.engine.objectives import Sft
from gradsweep.engine.response import install_response_head
from gradsweep.errors import ModelError
from gradsweep.models.load import LoadedModel
from gradsweep.models.projections import ProjectionSite
from gradsweep.records import EncodedUnit

CHANGES = (0.01, 0.001, 0.0001)
"""Of the loss, relative to it, by the steps along the gradient: a long one bends, or sends tokens
to other experts, a short one is lost in rounding. One that agrees is enough."""
AGREEMENT = 0.02
"""Largest relative distance between such a change and what the gradient says."""
FARTHEST = 0.3
"""A step that moves outputs by more of their norm than this says nothing of a slope."""


_PASSED: WeakKeyDictionary[nn.Module, set[tuple[Any, ...]]] = WeakKeyDictionary()
"""What was tried of each model, which lives as long as it: points of a grid share one."""


def check_paths(
    loaded: LoadedModel,
    sites: Sequence[ProjectionSite],
    units: Sequence[EncodedUnit],
) -> float:
    """Run the shortest row of these units forward and backward, and forward along the gradient.

    By the cross-entropy, whatever the objective: it is the model's backward that is tried, and
    many objectives hold a part of their loss constant, so that it does not change as its gradient
    says. Returns that row's loss in nats, if it is a number or not; 0 of a model that has passed.

    Raises:
        ModelError: names a module that passes no gradient on, or that runs more than once, or
            says how far the gradient is from the change of the loss.
    """
    model = loaded.model
    return _check_once(
        model, sites, lambda: collate([shortest_row(units)], model.device), loaded.on_any_rank
    )


def check_paths_of_batch(model: nn.Module, sites: Sequence[ProjectionSite], batch: Batch) -> None:
    """Do what `check_paths` does, with the shortest row of tensors of a user's own.

    Models that FSDP2 has sharded are left out: their processes must run equally many passes.
    """
    if not sharded_modules(model):
        _check_once(model, sites, lambda: _shortest(batch))


def _shortest(batch: Batch) -> Batch:
    row = int(batch.attention_mask.sum(dim=1).argmin())
    alone = replace(
        batch, rows_of_unit=(1,) * len(batch.input_ids), units=(), rewards=(), references=()
    )
    return alone.part([row])


def _check_once(
    model: nn.Module,
    sites: Sequence[ProjectionSite],
    make_row: Callable[[], Batch],
    on_any_rank: Callable[[bool], bool] = bool,
) -> float:
    """Check a model that has not been, on some rank, for these projections in this dtype."""
    dtype: torch.dtype = model.dtype  # type: ignore[assignment]
    key = (dtype, *(name for site in sites for name in site.columns))
    passed = _PASSED.setdefault(model, set())
    if not on_any_rank(key not in passed):
        return 0.0
    batch = make_row()
    with frozen(model), differentiable(), ExitStack() as stack:
        head = stack.enter_context(install_response_head(model))

        def loss() -> Tensor:
            return Sft().losses(head.tokens(model, batch)).sum()

        lowest, value = _lowest_factors(model, sites, loss)
        if lowest and dtype is torch.float32:
            with torch.no_grad():
                _check_derivative(model, loss, value, sites, lowest)
    if math.isfinite(value):
        passed.add(key)
    return value


@contextmanager
def differentiable() -> Iterator[None]:
    """Inside the block, an operation that torch runs but cannot differentiate is a user's to mend.

    Flex attention on a CPU is one.
    """
    try:
        yield
    except NotImplementedError as error:
        raise ModelError(
            f"an operation of the model has no backward pass on this device: {error}; load it "
            "with another attention implementation, in another dtype or on another device"
        ) from error


def _lowest_factors(
    model: nn.Module, sites: Sequence[ProjectionSite], loss: Callable[[], Tensor]
) -> tuple[list[Factors], float]:
    """The factors of the lowest watched layer, which every path above leads to, and the loss.

    Nothing of a loss that is no number.
    """
    lowest: list[Factors] = []

    def keep(layer: list[Factors]) -> None:
        lowest[:] = layer

    with ExitStack() as stack:
        taps = stack.enter_context(install_taps(sites))
        watch = stack.enter_context(_Watch(model, sites))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(taps.collect(keep))
        value = loss()
        watch.check()
        if value.isfinite():
            value.backward()
    return lowest, value.item()


class _Watch:
    """Looks at every module of one forward pass: which run twice, which pass no gradient on."""

    def __init__(self, model: nn.Module, sites: Sequence[ProjectionSite]) -> None:
        self._names = {module: name for name, module in model.named_modules()}
        self._sites = {site.module for site in sites}
        self._calls: Counter[nn.Module] = Counter()
        self._opaque: list[str] = []
        self._handles: list[Any] = []

    def __enter__(self) -> _Watch:
        for module in self._names:
            hook = module.register_forward_hook(self._look, with_kwargs=True)
            self._handles.append(hook)
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _look(self, module: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        self._calls[module] += module in self._sites
        passes_on = any(tensor.requires_grad for tensor in _floats(output))
        if not passes_on and any(tensor.requires_grad for tensor in _floats((args, kwargs))):
            self._opaque += [self._names[module]] if _follows(module, args, kwargs) else []

    def check(self) -> None:
        """Raises as `check_paths`."""
        repeated = [self._names[module] for module, n in self._calls.items() if n > 1]
        if repeated:
            raise ModelError(
                f"{repeated[0]} runs {max(self._calls.values())} times in one forward pass "
                f"({len(repeated)} modules do): the gradient of its weight is a sum over all "
                "runs, which is not measured; choose other gradients.projections or layers"
            )
        if self._opaque:
            raise ModelError(
                f"no gradient passes through {_named(self._opaque)}: a part that is made for "
                "inference only, or runs without a graph, and the gradients below it would lack "
                "what goes through it; load the model unquantised, or in a format that can be "
                "trained (model.quantization=nf4)"
            )


def _floats(values: Any) -> Iterator[Tensor]:
    leaves = pytree.tree_leaves(values)
    return (leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point())


def _follows(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether the module's output changes with those inputs that carry a gradient.

    A rotary embedding takes hidden states for their dtype alone.
    """

    def moved(leaf: Any) -> Any:
        carries = isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.requires_grad
        return leaf + leaf.abs().mean() * (1 + torch.rand_like(leaf)) if carries else leaf

    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        before = list(_floats(module.forward(*args, **kwargs)))
        args, kwargs = pytree.tree_map(moved, (args, kwargs))
        after = list(_floats(module.forward(*args, **kwargs)))
    return not all(map(torch.equal, before, after))


def _named(modules: Sequence[str]) -> str:
    """The outermost of these modules, and how many there are."""
    outermost = [
        name
        for name in modules
        if not any(name.startswith(f"{other}.") for other in modules if other != name)
    ]
    more = len(outermost) - 1
    return outermost[0] + (f" (and {more} more modules)" if more else "")


def _check_derivative(
    model: nn.Module,
    loss: Callable[[], Tensor],
    value: float,
    sites: Sequence[ProjectionSite],
    lowest: Sequence[Factors],
) -> None:
    """Compare the slope of the loss along the lowest layer's gradient with that gradient's norm."""
    along = _AlongGradient(sites, lowest)
    if not along.norm > 0:
        return
    errors = []
    for change in CHANGES:
        expected = change * max(1.0, abs(value))
        with along.moved(expected / 2):
            ahead = float(loss())
        with along.moved(-expected / 2):
            behind = float(loss())
        if along.farthest <= FARTHEST:
            errors.append(abs((ahead - behind) / expected - 1))
            if errors[-1] <= AGREEMENT:
                return
    if errors:
        raise ModelError(
            f"the gradient of layer {lowest[0].layer} is not the derivative of the loss: along it "
            f"the loss changes by {100 * min(errors):.0f} % more or less than it says, so some "
            f"part of {type(model).__name__} has a wrong backward, or none"
        )


class _AlongGradient:
    """Moves the weights of a layer's watched modules along their gradient G, by their outputs.

    W + sG gives y + s·xGᵀ, whatever holds W; and since G = dYᵀX, that is y + s·(xXᵀ)dY.
    """

    def __init__(self, sites: Sequence[ProjectionSite], layer: Sequence[Factors]) -> None:
        self._sites = [site for site in sites if site.layer == layer[0].layer]
        self._factors = {
            name: (factors.x.flatten(0, -2), dy.flatten(0, -2))
            for factors in layer
            for name, dy in factors.dy.items()
        }
        squares = [float(((x @ x.T) * (dy @ dy.T)).sum()) for x, dy in self._factors.values()]
        self.norm = max(0.0, sum(squares)) ** 0.5
        self.farthest = 0.0
        """Largest move of a module's output in the last pass, relative to its norm."""

    @contextmanager
    def moved(self, change: float) -> Iterator[None]:
        """Inside the block the loss changes by `change`, to first order."""
        self.farthest = 0.0
        scale = change / self.norm**2
        with ExitStack() as stack:
            for site in self._sites:
                handle = site.module.register_forward_hook(self._hook(site, scale))
                stack.callback(handle.remove)
            yield

    def _hook(self, site: ProjectionSite, scale: float) -> Callable[..., Tensor]:
        def move(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            moved = output.clone()
            for name, columns in site.columns.items():
                x, dy = self._factors[name]
                by = scale * (args[0] @ x.T) @ dy
                moved[..., slice(None) if columns is None else columns.to(by.device)] += by
            farther = float((moved - output).norm() / output.norm())
            self.farthest = max(self.farthest, farther)
            return moved

        return move
