"""The texts of stored samples: results hold none, so that they are read again from the data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import groupby
from operator import attrgetter
from textwrap import shorten
from typing import Any

from gradsweep.config import Responses
from gradsweep.config.objective import responses_of
from gradsweep.data import load_samples
from gradsweep.data.network import no_downloads
from gradsweep.errors import GradsweepError
from gradsweep.records import Unit
from gradsweep.store.metadata import stored_config

_NOT_THE_DATA = ("model", "gradients", "store", "tracking", "sweep")
"""Parts of a config that do not change what the samples are, but for `gradients.by`."""


def stored_units(record: Mapping[str, Any]) -> tuple[dict[str, Unit], str]:
    """Read a stored point's units again, by id, and say why there are none.

    An id is a hash of the texts: what is there under a stored id is what was measured. Nothing is
    downloaded.

    Args:
        record: the point's config.yaml; empty for a point that was not started.
    """
    if not record:
        return {}, "not started"
    of_data = {name: part for name, part in record["config"].items() if name not in _NOT_THE_DATA}
    by = record["config"].get("gradients", {}).get("by")
    key = json.dumps([of_data, by], sort_keys=True, default=str)
    if key not in _units_of_data:
        _units_of_data[key] = _read(record)
    return _units_of_data[key]


_units_of_data: dict[str, tuple[dict[str, Unit], str]] = {}
"""Points of several models share their data, and a page that is refreshed reads them once."""


def _read(record: Mapping[str, Any]) -> tuple[dict[str, Unit], str]:
    try:
        config = stored_config(record)
        with no_downloads():
            samples = load_samples(config).samples
    except (GradsweepError, OSError) as error:
        return {}, shorten(str(error), 300, placeholder=" …")
    several = responses_of(config.objective) is not Responses.single
    key = attrgetter("index") if several else attrgetter("sample_id")
    units = [Unit(tuple(members)) for _, members in groupby(samples, key)]
    return {unit.unit_id: unit for unit in units}, ""
