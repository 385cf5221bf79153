"""The tables of a report for the page: texts to show, and the CSV to download."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradsweep.report.formats import TableFile, cell_texts, csv
from gradsweep.report.measures import Measures
from gradsweep.report.tables import tables


def table_texts(computed: Sequence[Measures]) -> list[dict[str, Any]]:
    """For each table: name, caption, keys, groups (heading and names), lines, csv."""
    return [_texts(table) for one in computed for table in tables(one)]


def _texts(table: TableFile) -> dict[str, Any]:
    return {
        "name": table.name,
        "caption": table.caption,
        "keys": table.keys,
        "groups": [{"heading": one.heading, "names": one.names} for one in table.groups],
        "blocks": table.blocks,
        "lines": cell_texts(table),
        "csv": csv(table),
    }
