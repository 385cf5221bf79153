"""Rows of the gradient that an optimizer step takes, and of what the step does to the weights.

    with UpdateWatch(model, projections=("q", "v"), layers=4) as watch:
        …                               # forward and backward passes, clipping
        watch.before_step(step)         # at every step
        optimizer.step()
        if watch.due(step):
            update = watch.after_step()

Rows are of the gradient as the backward passes accumulated it: before clipping, and without the
scale of a float16 scaler (`clipping`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from gradsweep.config import SpectraOptions
from gradsweep.engine.rows import reading_order
from gradsweep.engine.spectra import RowMaker
from gradsweep.records import ADAPTER_MATRICES, PROJECTIONS, SpectrumRow
from gradsweep.training.adapted import AdaptedGradients, AdaptedSpectra, adapted_spectra
from gradsweep.training.clipping import AccumulatedNorms
from gradsweep.training.matrices import Matrix, Solved, solved_matrices
from gradsweep.training.ranks import Ranks, squared_norm, total_norm, whole
from gradsweep.training.weights import check_optimizer_has, gradient_of, watched_weights

UPDATE_OVER_WEIGHT = "update_over_weight"
"""Column of update rows: ‖ΔW‖_F/‖W‖_F of this matrix, ΔW being what the step added to W."""
COSINE_PREVIOUS_UPDATE = "cosine_previous_update"
"""Column of update rows: the cosine between this matrix's gradient and that of the optimizer step
before. NaN in the first step, and for a zero gradient."""


@dataclass(frozen=True)
class Update:
    """What one optimizer step was made of and what it did; the same in every process."""

    rows: tuple[SpectrumRow, ...]
    """By layer and projection, of the accumulated gradient before clipping. `own_metrics` has
    `update_over_weight` and `cosine_previous_update` beside the user's own."""
    gradient_norm: float
    """‖g‖ over all trained parameters, before clipping and without a scaler's scale."""
    clipped_gradient_norm: float
    """The same as the optimizer takes it."""
    update_over_weight: float
    """‖ΔW‖/‖W‖ over all watched matrices together."""

    def norms(self) -> dict[str, Any]:
        """Return what a `TrainingStep` has of an update, by its fields."""
        names = ("gradient_norm", "clipped_gradient_norm", "update_over_weight")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class _Moved:
    """What the step did to one matrix W."""

    place: int
    name: str
    change: float
    """‖ΔW‖²_F."""
    before: float
    """‖W‖²_F."""


@dataclass(frozen=True)
class _Pending:
    """A step between `before_step` and `after_step`."""

    solved: list[Solved]
    weights: dict[int, Tensor]
    """Place -> the weight before the step; of those that this process solves."""
    adapted: list[AdaptedSpectra]
    gradient_norm: float
    clipped_gradient_norm: float


class UpdateWatch:
    """Measures optimizer steps; a context manager, around any number of them.

    At a step that is due it takes the gradients' norms at every pass, their spectra (one matrix a
    core, or together on a GPU) and, until `after_step`, a copy of the watched weights; at the one
    before, a copy of the gradients for the cosine. Nothing that training computes with is changed.

    Of a weight that a LoRA adapter trains, rows are of the adapter's own matrices (`q_lora_a`,
    `q_lora_b`) and, as `q`, of the gradient by the effective weight W + s·BA, from factors that are
    kept while the passes of a step run. These last have no `update_over_weight` and no cosine.
    """

    def __init__(
        self,
        model: nn.Module,
        projections: Sequence[str] = PROJECTIONS,
        layers: int | Collection[int] = 1,
        options: SpectraOptions | None = None,
        every: int = 1,
        scaler: torch.amp.GradScaler | None = None,
    ) -> None:
        """Find the weights; nothing is installed yet.

        Args:
            model: a causal LM of a family in `gradsweep.models.projections.ADAPTERS`, as it is
                trained: compiled, in DistributedDataParallel, or after `fully_shard`.
            projections: what to watch: q k v o, gate up down or fc1 fc2.
            layers: every so-manieth layer is watched: 4 for layers 0, 4, 8, …; or their numbers.
            options: as for `gradient_spectra`. `similarities`, `heads`, `spectral_radius` and
                `optimizer_geometry` are not measured of updates: their rows are of whole matrices
                alone. `token_gram` has no tokens here: all but `svd` go by the smaller Gram matrix.
            every: steps between those that are due, from step 0 on; 0 for none.
            scaler: the GradScaler of float16 training, whose scale is taken out again.

        Raises:
            ModelError: an unknown family, a projection that the model does not have or that does
                not train, or a model sharded by DeepSpeed or FSDP1.
        """
        self._model = model
        self._options = options or SpectraOptions()
        self._every = every
        self._scaler = scaler
        watched = watched_weights(model, projections, layers)
        self._weights = watched.weights
        self._adapted = AdaptedGradients(model, watched.adapted, watched.adapters)
        self._make_rows = RowMaker(self._options)
        self._ranks = Ranks()
        self._accumulated = AccumulatedNorms(self._weights)
        self._previous: dict[int, Tensor] = {}
        self._previous_step = -1
        self._pending: _Pending | None = None

    def __enter__(self) -> UpdateWatch:
        self._accumulated.install()
        self._adapted.install()
        return self

    def __exit__(self, *error: object) -> None:
        self._accumulated.remove()
        self._adapted.remove()
        self._previous, self._pending = {}, None

    def check_optimizer(self, optimizer: Any) -> None:
        """Raise ModelError where it does not step a watched weight, or is DeepSpeed's."""
        check_optimizer_has(self._weights, optimizer)

    @property
    def previous(self) -> dict[str, Tensor]:
        """The last step's gradients that the next one is compared with, by place, for a checkpoint;
        empty where it needs none."""
        return {str(place): gradient for place, gradient in self._previous.items()}

    def go_on_after(self, step: int, previous: Mapping[str, Tensor]) -> None:
        """Compare the next step with these gradients of `step`, which a checkpoint has kept."""
        self._previous_step = step
        self._previous = {int(place): gradient for place, gradient in previous.items()}

    def due(self, step: int) -> bool:
        """Whether this optimizer step (from 0) is measured."""
        return self._every > 0 and step % self._every == 0

    @torch.no_grad()
    def before_step(self, step: int) -> None:
        """Measure the gradients as they are when the optimizer is about to take them.

        Call it at every step: where neither this one nor the next is due, it returns at once. All
        processes of a distributed training call it.

        Raises:
            ModelError: a watched weight has no gradient, or its gradient was changed by more than
                clipping by norm (`AccumulatedNorms.factor`).
        """
        measured, kept = self.due(step), self.due(step + 1)
        self._accumulated.awaits = kept
        previous = self._previous if self._previous_step == step - 1 else {}
        self._previous, self._pending = {}, None
        if not (measured or kept):
            self._adapted.drop()
            return
        gradients = dict(self._owned((gradient_of(w) for w in self._weights), copied=kept))
        if measured:
            self._pending = self._measured(gradients, previous)
        if kept:
            self._previous, self._previous_step = gradients, step
            self._adapted.collect()
        else:
            self._adapted.drop()

    def _measured(
        self, gradients: Mapping[int, Tensor], previous: Mapping[int, Tensor]
    ) -> _Pending:
        factor = self._accumulated.factor(self._ranks)
        scale = self._scaler.get_scale() if self._scaler is not None else 1.0
        # Clipping an infinite norm leaves zeros, from which nothing comes back.
        restored = 1 / (factor * scale) if factor else math.nan
        parameters = (p.grad for p in self._model.parameters() if p.grad is not None)
        total = total_norm(parameters, self._ranks)
        # A fused optimizer takes the scaler's scale out by itself, after us: then factor·scale,
        # which clipping never makes larger than 1, still has all of it.
        of_optimizer = scale if scale != 1 and factor * scale > 1 + 1e-3 else 1.0
        return _Pending(
            solved=solved_matrices(
                self._matrices(gradients), self._matrices(previous), self._options.solver, restored
            ),
            weights=dict(self._owned((w.weight.detach() for w in self._weights), copied=True)),
            adapted=adapted_spectra(
                self._adapted.taken(), self._options.solver, 1 / scale, self._ranks
            ),
            gradient_norm=total * restored,
            clipped_gradient_norm=total / of_optimizer,
        )

    def _owned(self, tensors: Iterable[Tensor], copied: bool) -> Iterator[tuple[int, Tensor]]:
        """Place and whole tensor of each that this process solves; one is whole at a time."""
        for place, tensor in enumerate(tensors):
            full = whole(tensor)
            if self._ranks.owns(place):
                yield place, full.clone() if copied and full is tensor else full

    def _matrices(self, tensors: Mapping[int, Tensor]) -> list[Matrix]:
        return [
            Matrix(place, name, values)
            for place, tensor in tensors.items()
            for name, values in self._weights[place].matrices(tensor).items()
        ]

    @torch.no_grad()
    def after_step(self) -> Update:
        """Return what was measured, with what the step did; once after the step of `before_step`.

        All processes of a distributed training call it.

        Raises:
            RuntimeError: the last `before_step` was of a step that is not due, or there was none.
        """
        if self._pending is None:
            raise RuntimeError("UpdateWatch.after_step follows before_step of a step that is due")
        pending, self._pending = self._pending, None
        moved = self._ranks.gathered(self._moved(pending.weights))
        solved = self._ranks.gathered(pending.solved)
        rows = [*self._rows(solved, moved), *self._adapted_rows(pending.adapted)]
        return Update(
            rows=tuple(sorted(rows, key=reading_order)),
            gradient_norm=pending.gradient_norm,
            clipped_gradient_norm=pending.clipped_gradient_norm,
            update_over_weight=_ratio(sum(m.change for m in moved), sum(m.before for m in moved)),
        )

    def _moved(self, before: Mapping[int, Tensor]) -> Iterator[_Moved]:
        for place, after in self._owned((w.weight.detach() for w in self._weights), copied=False):
            old = self._weights[place].matrices(before[place])
            for name, new in self._weights[place].matrices(after).items():
                single = torch.promote_types(new.dtype, torch.float32)
                change = squared_norm(new.to(single) - old[name].to(single))
                yield _Moved(place, name, float(change), float(squared_norm(old[name])))

    def _rows(self, solved: Sequence[Solved], moved: Sequence[_Moved]) -> Iterator[SpectrumRow]:
        ratio_of = {(m.place, m.name): _ratio(m.change, m.before) for m in moved}
        for of_layer in self._by_layer(solved).values():
            spectra = {name: matrix.spectrum for name, matrix in of_layer.items()}
            shapes = {n: self._weights[m.place].shapes[n] for n, m in of_layer.items()}
            first = next(iter(of_layer.values()))
            layer = self._weights[first.place].layer
            for row in self._make_rows.rows(layer, spectra, shapes, first.dtype):
                matrix = of_layer[row.projection]
                yield _with_columns(row, ratio_of[matrix.place, matrix.name], matrix.cosine)

    def _by_layer(self, solved: Sequence[Solved]) -> dict[tuple[int, str], dict[str, Solved]]:
        """Matrices of one layer together: the largest gradient says what is noise. Those of the
        adapters are another kind, whose sizes are those of A and B.
        """
        found: dict[tuple[int, str], dict[str, Solved]] = {}
        for matrix in sorted(solved, key=lambda matrix: matrix.place):
            kind = next((k for k in ADAPTER_MATRICES if matrix.name.endswith(k)), "")
            layer = self._weights[matrix.place].layer
            found.setdefault((layer, kind), {})[matrix.name] = matrix
        return found

    def _adapted_rows(self, adapted: Sequence[AdaptedSpectra]) -> Iterator[SpectrumRow]:
        for layer in dict.fromkeys(one.layer for one in adapted):
            own = [one for one in adapted if one.layer == layer]
            spectra = {name: one.spectra[name] for one in own for name in one.spectra}
            shapes = {name: one.shapes[name] for one in own for name in one.shapes}
            for row in self._make_rows.rows(layer, spectra, shapes, own[0].dtype):
                yield _with_columns(row, math.nan, math.nan)


def _with_columns(row: SpectrumRow, update_over_weight: float, cosine: float) -> SpectrumRow:
    more = {UPDATE_OVER_WEIGHT: update_over_weight, COSINE_PREVIOUS_UPDATE: cosine}
    return replace(row, own_metrics={**row.own_metrics, **more})


def _ratio(change: float, before: float) -> float:
    """The square root of two sums of squares' ratio; NaN for a zero weight."""
    return math.sqrt(change / before) if before else math.nan
