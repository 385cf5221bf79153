"""What `gradient_spectra` gives: results by unit, and their table."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape

import polars as pl

from gradsweep.records import SampleResult


@dataclass(frozen=True)
class GradientSpectra:
    """What `gradient_spectra` measured, unit by unit."""

    samples: tuple[SampleResult, ...]

    def to_polars(self) -> pl.DataFrame:
        """One line per (unit, layer, projection): `sample`, `loss`, every field of a row, and a
        column for each of the user's own metrics.
        """
        lines = []
        for i, sample in enumerate(self.samples):
            for row in sample.rows:
                values = asdict(row)
                own_metrics = values.pop("own_metrics")
                lines.append({"sample": i, "loss": sample.loss} | values | own_metrics)
        return pl.DataFrame(lines, infer_schema_length=None)

    def __repr__(self) -> str:
        rows = [row for sample in self.samples for row in sample.rows]
        layers = len({row.layer for row in rows})
        projections = " ".join(dict.fromkeys(row.projection for row in rows))
        return (
            f"GradientSpectra({len(self.samples)} units, {len(rows)} rows: {projections} of "
            f"{layers} layers; .to_polars() is their table)"
        )

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>{self.to_polars()._repr_html_()}"
