"""Types, units and cross-field checks of the configuration; values live in `conf/`.

Hydra composes YAML against these dataclasses (`register_configs`), and
`to_config` turns the result into plain objects whose `__post_init__` checks what
types alone cannot. Nothing here imports torch: a bad field fails before a model loads.
"""

from gradsweep.config.conditions import AnswerKind as AnswerKind
from gradsweep.config.conditions import CorrectnessConfig as CorrectnessConfig
from gradsweep.config.conditions import CorrectnessKind as CorrectnessKind
from gradsweep.config.conditions import DatasetConfig as DatasetConfig
from gradsweep.config.conditions import DatasetKind as DatasetKind
from gradsweep.config.conditions import IrrelevantSource as IrrelevantSource
from gradsweep.config.conditions import PaperSource as PaperSource
from gradsweep.config.conditions import Quality as Quality
from gradsweep.config.conditions import Release as Release
from gradsweep.config.conditions import own_data_name as own_data_name
from gradsweep.config.cot import Ablation as Ablation
from gradsweep.config.cot import CotConfig as CotConfig
from gradsweep.config.cot import CotKind as CotKind
from gradsweep.config.cot import CotLevel as CotLevel
from gradsweep.config.cot import cot_reading_key as cot_reading_key
from gradsweep.config.cot import is_reasoning_level as is_reasoning_level
from gradsweep.config.cot import kept_steps as kept_steps
from gradsweep.config.cot import matched_label as matched_label
from gradsweep.config.model import TEMPLATE_DATE as TEMPLATE_DATE
from gradsweep.config.model import DeviceMap as DeviceMap
from gradsweep.config.model import Dtype as Dtype
from gradsweep.config.model import ModelConfig as ModelConfig
from gradsweep.config.model import ModelPlacement as ModelPlacement
from gradsweep.config.model import ModelSource as ModelSource
from gradsweep.config.model import Prompt as Prompt
from gradsweep.config.model import Quantization as Quantization
from gradsweep.config.model import SourceKind as SourceKind
from gradsweep.config.model import Weights as Weights
from gradsweep.config.objective import DEFAULT_OBJECTIVE as DEFAULT_OBJECTIVE
from gradsweep.config.objective import Responses as Responses
from gradsweep.config.point import Config as Config
from gradsweep.config.run import NO_TRACKER as NO_TRACKER
from gradsweep.config.run import GradientsConfig as GradientsConfig
from gradsweep.config.run import Resolution as Resolution
from gradsweep.config.run import Solver as Solver
from gradsweep.config.run import SpectraOptions as SpectraOptions
from gradsweep.config.run import StoreConfig as StoreConfig
from gradsweep.config.run import TrackingConfig as TrackingConfig
from gradsweep.config.run import WandbMode as WandbMode
from gradsweep.config.training import Optimizer as Optimizer
from gradsweep.config.training import Schedule as Schedule
from gradsweep.config.training import TrainingConfig as TrainingConfig
from gradsweep.config.training import TrainingKind as TrainingKind
