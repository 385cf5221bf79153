"""From rows to curves and to the study's measures. Reads frames, never imports torch.

`rows` is everywhere the frame of the store's reader: one line per point, sample, layer and
projection. Every function gives a tidy polars frame in reading order.
"""

from gradsweep.analysis.bootstrap import bootstrap_interval as bootstrap_interval
from gradsweep.analysis.curves import curve_means as curve_means
from gradsweep.analysis.curves import curves as curves
from gradsweep.analysis.layers import layer_parts as layer_parts
from gradsweep.analysis.mad import mean_absolute_difference as mean_absolute_difference
from gradsweep.analysis.relative_difference import relative_difference as relative_difference
from gradsweep.analysis.relative_difference import (
    relative_difference_means as relative_difference_means,
)
