"""Which step of a response carries its gradient, and whether a wrong step shows.

Rows are of points that measure each step by itself (`gradients.by=step`): G_k is the gradient of
the mean loss of step k's n_k tokens, and Σ_k n_k·G_k is n·G of the whole response. Norms do not add
up so, but how far each n_k·G_k could move the sum is what n_k·‖G_k‖ says.

Intervals are percentiles over resampled responses (`question_weights`), the steps of one together.
"""

from gradsweep.analysis.steps.unspoilt import unspoilt as unspoilt
from gradsweep.analysis.steps.values import PLACES as PLACES
from gradsweep.analysis.steps.values import Share as Share
from gradsweep.analysis.steps.values import norms_by_step as norms_by_step
from gradsweep.analysis.steps.values import shares as shares
from gradsweep.analysis.steps.values import shares_by_place as shares_by_place
from gradsweep.analysis.steps.values import step_values as step_values
from gradsweep.analysis.steps.wrong_step import CONTROLS as CONTROLS
from gradsweep.analysis.steps.wrong_step import Detection as Detection
from gradsweep.analysis.steps.wrong_step import detections as detections
from gradsweep.analysis.steps.wrong_step import wrong_step_detection as wrong_step_detection
