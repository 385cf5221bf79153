"""The sweeper of a planned grid: Hydra's own, with the points of the manifest as its cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override


class PlannedSweeper(BasicSweeper):
    """Starts each point of the sweep's manifest once: no duplicate, no cell that is no point.

    Two equal cells would otherwise be two jobs of a parallel launcher, racing for one point.
    """

    def split_arguments(  # type: ignore[override] # Hydra's is static, and calls it on `self`
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """Batches of cells, from the manifest that was written just before Hydra started."""
        from gradsweep.config.typed_paths import typed_path
        from gradsweep.store import SweepPaths
        from gradsweep.store.metadata import read_manifest

        assert self.config is not None
        results = Path(typed_path(self.config.store.root, "store.root"))
        paths = SweepPaths(results, self.config.sweep)
        points = read_manifest(paths)["points"]
        names = [o.input_line for o in overrides if o.get_key_element() == "sweep"]
        cells = [[*_own(point["overrides"]), *names[-1:]] for point in points]
        return list(self.split_overrides_to_chunks(cells, max_batch_size))

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """The plan has composed and checked every cell."""


def _own(overrides: Sequence[str]) -> list[str]:
    """What is the point's own: no settings of Hydra, which a launcher adds, and no sweep."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return [
        text
        for text, override in zip(overrides, parsed, strict=True)
        if not override.is_hydra_override() and override.get_key_element() != "sweep"
    ]
