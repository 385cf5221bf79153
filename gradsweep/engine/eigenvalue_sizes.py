"""How large the eigenvalue problems of a batch are, for devices that make ready for them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import torch

from gradsweep.config import SpectraOptions
from gradsweep.engine.batch import Layout
from gradsweep.engine.spectra import gram_size
from gradsweep.models.projections import ProjectionSite, projection_shapes


class EigenvalueSizes:
    """Sizes that a model's sites need, on every device that makes ready for them."""

    def __init__(
        self,
        sites: Sequence[ProjectionSite],
        options: SpectraOptions,
        members: bool = False,
        always_ready: Collection[str] = ("cpu",),
    ) -> None:
        """Note the shapes of the weights.

        Args:
            sites: what is measured.
            options: how.
            members: whether the rows of a unit have spectra of their own, too.
            always_ready: kinds of devices that have nothing to prepare.
        """
        self._options, self._members = options, members
        self._shapes: dict[torch.device, set[tuple[int, int]]] = {}
        self._of_heads: dict[torch.device, set[int]] = {}
        for site in sites:
            device = next(site.module.parameters()).device
            if device.type in always_ready:
                continue
            shapes = projection_shapes(site)
            self._shapes.setdefault(device, set()).update(shapes.values())
            widths = {heads.width(*shapes[name]) for name, heads in site.heads.items()}
            self._of_heads.setdefault(device, set()).update(widths)

    def of(self, layout: Layout) -> Iterator[tuple[torch.device, set[int]]]:
        """Yield each device with the sizes of its problems."""
        lengths = [stop - start for start, stop in layout.spans]
        units = {sum(lengths[row] for row in rows) for rows in layout.unit_rows}
        several = (rows for rows in layout.unit_rows if self._members and len(rows) > 1)
        tokens = units | {lengths[row] for rows in several for row in rows}
        solver, geometry = self._options.solver, self._options.optimizer_geometry
        for device, shapes in self._shapes.items():
            sizes = {gram_size(t, m, n, solver) for t in tokens for m, n in shapes}
            if geometry:
                sizes |= {min(t, n) for t in units for _, n in shapes}  # XXᵀ, or XᵀX
            yield device, (sizes | self._of_heads[device]) - {0}
