"""The records that flow through gradsweep: one type per arrow of the design.

    data ──Sample──► models ──EncodedSample──► gradients ──Factors──► spectra ──SpectrumRow──► store

`Factors` holds tensors and lives in `gradsweep.engine.factors`; everything
here is plain Python, so that the store, the analysis and the sweep never import torch.
"""

from gradsweep.records.points import AXES as AXES
from gradsweep.records.points import POINT_LABELS as POINT_LABELS
from gradsweep.records.points import STUDY_OBJECTIVE as STUDY_OBJECTIVE
from gradsweep.records.points import WHOLE as WHOLE
from gradsweep.records.points import Axes as Axes
from gradsweep.records.points import Shard as Shard
from gradsweep.records.points import axis_words as axis_words
from gradsweep.records.points import full_axes as full_axes
from gradsweep.records.rows import ADAPTER_MATRICES as ADAPTER_MATRICES
from gradsweep.records.rows import ALL_PROJECTIONS as ALL_PROJECTIONS
from gradsweep.records.rows import ATTENTION_PROJECTIONS as ATTENTION_PROJECTIONS
from gradsweep.records.rows import HEAD_PROJECTIONS as HEAD_PROJECTIONS
from gradsweep.records.rows import METRIC_NAMES as METRIC_NAMES
from gradsweep.records.rows import METRICS as METRICS
from gradsweep.records.rows import MLP_PROJECTIONS as MLP_PROJECTIONS
from gradsweep.records.rows import MORE_ATTENTION_PROJECTIONS as MORE_ATTENTION_PROJECTIONS
from gradsweep.records.rows import OPTIONAL_METRICS as OPTIONAL_METRICS
from gradsweep.records.rows import PROJECTIONS as PROJECTIONS
from gradsweep.records.rows import READING_ORDER as READING_ORDER
from gradsweep.records.rows import ROW_KEY as ROW_KEY
from gradsweep.records.rows import SAMPLE_METRIC_NAMES as SAMPLE_METRIC_NAMES
from gradsweep.records.rows import SAMPLE_METRICS as SAMPLE_METRICS
from gradsweep.records.rows import WHOLE_SAMPLE as WHOLE_SAMPLE
from gradsweep.records.rows import MetricName as MetricName
from gradsweep.records.rows import SampleResult as SampleResult
from gradsweep.records.rows import SpectrumRow as SpectrumRow
from gradsweep.records.rows import adapter_name as adapter_name
from gradsweep.records.samples import EncodedSample as EncodedSample
from gradsweep.records.samples import EncodedUnit as EncodedUnit
from gradsweep.records.samples import Sample as Sample
from gradsweep.records.samples import SampleStatus as SampleStatus
from gradsweep.records.samples import Step as Step
from gradsweep.records.samples import StepLabel as StepLabel
from gradsweep.records.samples import Unit as Unit
from gradsweep.records.training import MOMENT as MOMENT
from gradsweep.records.training import UPDATE as UPDATE
from gradsweep.records.training import Moment as Moment
from gradsweep.records.training import Source as Source
from gradsweep.records.training import TrainingStep as TrainingStep
