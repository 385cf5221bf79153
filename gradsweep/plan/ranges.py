"""`range(…)` on the command line: refused where it has no value, or no end."""

from __future__ import annotations

import math
from decimal import Decimal

from hydra.core.override_parser.types import Override, RangeSweep

from gradsweep.errors import ConfigError

MOST = 100_000
"""Values of one range: far more than any grid has, and few enough to be written down."""


def require_values(override: Override) -> None:
    """See that a range has values, and that they come to an end.

    Raises:
        ConfigError: it has none, or too many; says what it takes and what to type.
    """
    swept = override.value()
    if not isinstance(swept, RangeSweep):
        return
    assert swept.start is not None
    assert swept.stop is not None
    start, stop, step = swept.start, swept.stop, swept.step
    if not all(map(math.isfinite, (start, stop, step))):
        raise _refused(override, "start, stop and step are numbers")
    if step == 0:
        raise _refused(override, "with a step of 0 it never comes to its end")
    n_values = math.ceil((Decimal(str(stop)) - Decimal(str(start))) / Decimal(str(step)))
    if n_values <= 0:
        way = "below" if step > 0 else "above"
        raise _refused(override, f"it has no values, as start is not {way} stop")
    if n_values > MOST:
        raise _refused(override, f"it has {n_values} values, and at most {MOST} are allowed")


def _refused(override: Override, why: str) -> ConfigError:
    name = override.get_key_element()
    return ConfigError(
        f"{override.input_line}: {why}; allowed is range(start,stop,step) without stop itself, as "
        f"in {name}=range(0,3), which is {name}=0,1,2, or {name}=range(3,0,-1), which is "
        f"{name}=3,2,1"
    )
