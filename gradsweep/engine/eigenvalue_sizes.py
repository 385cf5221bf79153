"""How large the eigenvalue problems of a batch are, for devices that make ready for them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import torch

from gradsweep.config import Solver
from gradsweep.engine.batch import Layout
from gradsweep.engine.spectra import gram_size
from gradsweep.models.projections import ProjectionSite, projection_shapes


class EigenvalueSizes:
    """Of a model's sites on every device that makes ready."""

    def __init__(
        self,
        sites: Sequence[ProjectionSite],
        solver: Solver,
        always_ready: Collection[str] = ("cpu",),
    ) -> None:
        """`always_ready` are the kinds of devices that have nothing to prepare."""
        self._solver = solver
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
        tokens = {sum(lengths[row] for row in rows) for rows in layout.unit_rows}
        for device, shapes in self._shapes.items():
            sizes = {gram_size(t, m, n, self._solver) for t in tokens for m, n in shapes}
            yield device, (sizes | self._of_heads[device]) - {0}
