"""The page shows the texts of outliers, of a pair or group those of all its responses."""

from __future__ import annotations

import json
from pathlib import Path

from helpers.tiny_point import tiny_point

from gradsweep import compose, extract
from gradsweep.report.outliers import told_outliers
from gradsweep.report.page.points import report_points
from gradsweep.report.page.samples import samples_by_point
from gradsweep.store.selection import Selection


def test_an_outlier_among_pairs_is_shown_with_both_texts(saved_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    pairs = [{"prompt": f"{n}?", "chosen": f"It is {n}.", "rejected": "No idea."} for n in range(3)]
    path.write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
    given = ("dataset=jsonl", f"dataset.path={path}", "tracking=none", "objective=dpo")
    result = extract(
        compose(*tiny_point(saved_model, tmp_path / "results", *given)), show_progress=False
    )
    points = report_points(Selection(tmp_path / "results"), result.rows())
    outliers = told_outliers(result.rows(), result.samples(), "nuclear_norm")
    (shown,) = samples_by_point(points, outliers).values()
    assert not shown["without_text"]
    assert sorted(outlier["response"] for outlier in shown["outliers"]) == [
        f"[reward 1] It is {n}.\n\n[reward 0] No idea." for n in range(3)
    ]
