"""Where a dose-response curve settles: a line, and from one of its doses on a plateau.

For every dose x_j inside the curve, y = a + b·min(x, x_j) is fitted by least squares; the best of
them is the change point. Whether there is one at all is tested against a single line, of which a
flat curve is a case: how much smaller the sum of squares becomes is compared with what it becomes
for curves that lie on the fitted line and have the noise of the bootstrap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEWEST_DOSES = 4
"""A line, a plateau, and the place where they meet are three numbers."""


@dataclass(frozen=True)
class ChangePoint:
    place: int
    """Index of the dose from which on the curve is flat, as far as the fit goes."""
    places: NDArray[np.int64]
    """The same in every resample."""
    p_value: float
    """Of the test against one line; small where there is a change point."""


def change_point(curves: Floats, doses: Floats) -> ChangePoint:
    """Find where a curve settles.

    Args:
        curves: (1 + resamples, doses), the observed sample first.
        doses: (doses,), at least `FEWEST_DOSES`, increasing.
    """
    curves = curves[np.isfinite(curves).all(axis=1)]
    line = _squares(curves[:1], _residuals(doses, doses[-1]))[0]
    bent = np.stack([_squares(curves, _residuals(doses, knot)) for knot in doses[1:-1]], axis=1)
    places = bent.argmin(axis=1) + 1
    on_a_line = _residuals(doses, doses[-1])
    noise = curves[1:] - curves[0]
    null = curves[0] - curves[0] @ on_a_line + noise
    gained = _gain(null, doses)
    # What rounding leaves of an exact line is no gain.
    least = 1e-12 * float(np.square(curves[0]).sum())
    found = float(line - bent[0].min())
    p_value = (1 + int((gained >= found - least).sum())) / (1 + len(gained))
    return ChangePoint(int(places[0]), places[1:], p_value)


def _gain(curves: Floats, doses: Floats) -> Floats:
    """By how much the best change point lowers the sum of squares of each curve."""
    line = _squares(curves, _residuals(doses, doses[-1]))
    bent = [_squares(curves, _residuals(doses, knot)) for knot in doses[1:-1]]
    return np.asarray(line - np.min(bent, axis=0))


def _residuals(doses: Floats, knot: float) -> Floats:
    """The matrix that leaves of a curve what a line up to `knot` and a plateau do not explain."""
    design = np.column_stack([np.ones_like(doses), np.minimum(doses, knot)])
    return np.asarray(np.eye(len(doses)) - design @ np.linalg.pinv(design))


def _squares(curves: Floats, residuals: Floats) -> Floats:
    return np.asarray(np.square(curves @ residuals).sum(axis=1))
