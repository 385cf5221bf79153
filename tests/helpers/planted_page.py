"""What the files would say of planted points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from gradsweep.records import AXES, POINT_LABELS
from gradsweep.report.cut import NOTHING_CUT
from gradsweep.report.page.points import ReportPoint, ReportPoints
from gradsweep.store import PointState
from gradsweep.store.series import with_model_labels


def stored_of(rows: pl.DataFrame, **changes: Any) -> ReportPoints:
    """As if the points of `rows` were done, with one sample each that could not be measured."""
    points = []
    labels = rows.select("point_id", *POINT_LABELS).unique(maintain_order=True)
    shown = with_model_labels(labels.with_columns(series_name="series"))
    for line in shown.to_dicts():
        record = {
            "point_id": line["point_id"],
            "versions": {"gradsweep": "0.1.0", "git_commit": "abc"},
            "config": {"cot": {"level": line["cot"]}, "seed": 0},
        }
        points.append(
            ReportPoint(
                point_id=line["point_id"],
                axes={axis: line[axis] for axis in AXES},
                state=PointState.DONE,
                n_stored=5,
                n_bad=1,
                note="",
                record=record,
                series=line["series_name"],
            )
        )
    sweep = {"name": "night", "command": ["python", "-m", "gradsweep"], "points": []}
    sweep |= {"written": "2026-01-01", "excluded": ["no such level"]}
    fields = {"results": Path("results"), "points": tuple(points), "samples": samples_of(rows)}
    fields["cut"] = NOTHING_CUT
    return ReportPoints(**(fields | {"sweeps": (sweep,)} | changes))


def samples_of(rows: pl.DataFrame) -> pl.DataFrame:
    good = rows.select("point_id", "sample_id", "question_id").unique(maintain_order=True)
    bad = good.unique("point_id", maintain_order=True).with_columns(
        sample_id=pl.lit("bad"), status=pl.lit("empty_response"), reason=pl.lit("nothing to read")
    )
    measured = good.with_columns(status=pl.lit("ok"), reason=pl.lit(""))
    return pl.concat([measured, bad]).with_columns(
        index=pl.int_range(pl.len()).over("point_id"),
        loss=pl.lit(1.5),
        n_prompt_tokens=pl.lit(7),
        n_response_tokens=pl.lit(3),
        truncated=pl.lit(False),
    )
