"""From rows to curves and to the study's measures. Reads frames, never imports torch.

`rows` is everywhere the frame of the store's reader: one line per point, sample, layer and
projection. Every function gives a tidy polars frame in reading order.
"""

from gradsweep.analysis.bootstrap import bootstrap_interval as bootstrap_interval
from gradsweep.analysis.claims import Finding as Finding
from gradsweep.analysis.claims import Verdict as Verdict
from gradsweep.analysis.claims import claim_verdicts as claim_verdicts
from gradsweep.analysis.claims import evaluate_claims as evaluate_claims
from gradsweep.analysis.claims import evaluate_rated_claims as evaluate_rated_claims
from gradsweep.analysis.claims import evaluate_training_claims as evaluate_training_claims
from gradsweep.analysis.claims import findings_frame as findings_frame
from gradsweep.analysis.conditions import conditions as conditions
from gradsweep.analysis.curves import curve_means as curve_means
from gradsweep.analysis.curves import curves as curves
from gradsweep.analysis.intervals import difference_intervals as difference_intervals
from gradsweep.analysis.intervals import part_intervals as part_intervals
from gradsweep.analysis.layers import layer_parts as layer_parts
from gradsweep.analysis.layers import part_means as part_means
from gradsweep.analysis.mad import mean_absolute_difference as mean_absolute_difference
from gradsweep.analysis.outliers import sample_outliers as sample_outliers
from gradsweep.analysis.paired import base_and_instruct as base_and_instruct
from gradsweep.analysis.paired import paired_tests as paired_tests
from gradsweep.analysis.pairs import condition_pairs as condition_pairs
from gradsweep.analysis.pairs import model_pairs as model_pairs
from gradsweep.analysis.relative_difference import relative_difference as relative_difference
from gradsweep.analysis.relative_difference import (
    relative_difference_means as relative_difference_means,
)
from gradsweep.analysis.resampling import resampled as resampled
from gradsweep.analysis.sample_metrics import sample_rows as sample_rows
from gradsweep.analysis.seeds import between_seeds as between_seeds
from gradsweep.analysis.summaries import condition_summaries as condition_summaries
from gradsweep.analysis.training import gap_by_step as gap_by_step
from gradsweep.analysis.training import gaps as gaps
from gradsweep.analysis.training import layers_by_step as layers_by_step
from gradsweep.analysis.training import norms_by_step as norms_by_step
from gradsweep.analysis.training import stability as stability
