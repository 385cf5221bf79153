"""What training points show by step: norms, gaps between probes, how steady a run is.

A run is one training point. `moments` has every moment's numbers over the same resampled
questions, `gap` how far apart two levels of CoT are by step, `contrast` two conditions of training
side by side, `stability` a run in a few numbers.
"""

from gradsweep.analysis.training.contrast import contrast_by_step as contrast_by_step
from gradsweep.analysis.training.gap import Gap as Gap
from gradsweep.analysis.training.gap import gap_by_step as gap_by_step
from gradsweep.analysis.training.gap import gaps as gaps
from gradsweep.analysis.training.moments import layers_by_step as layers_by_step
from gradsweep.analysis.training.moments import norms_by_step as norms_by_step
from gradsweep.analysis.training.stability import stability as stability
