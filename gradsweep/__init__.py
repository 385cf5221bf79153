"""gradsweep: layer-wise gradient spectra of LLMs under fast and slow thinking.

    import gradsweep
    result = gradsweep.extract(gradsweep.compose("cot=detailed", "n_samples=3"))
    result.rows()                                     # Polars: sample × layer × projection

    gradsweep.gradient_spectra(model, input_ids, response_mask).to_polars()

Names are imported on first use: `import gradsweep` itself loads neither torch nor Hydra.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradsweep.config import Config as Config
    from gradsweep.config import SpectraOptions as SpectraOptions
    from gradsweep.config.composition import compose as compose
    from gradsweep.engine.objectives import Objective as Objective
    from gradsweep.engine.passes import gradient_spectra as gradient_spectra
    from gradsweep.engine.probe import Probe as Probe
    from gradsweep.engine.result import GradientSpectra as GradientSpectra
    from gradsweep.errors import GradsweepError as GradsweepError
    from gradsweep.extraction import PointResult as PointResult
    from gradsweep.extraction import extract as extract
    from gradsweep.store.read import load_rows as load_rows
    from gradsweep.store.read import load_samples_table as load_samples_table
    from gradsweep.store.state import point_statuses as point_statuses
    from gradsweep.store.training import load_training as load_training
    from gradsweep.training.callback import SpectraCallback as SpectraCallback
    from gradsweep.training.lightning import (
        LightningSpectraCallback as LightningSpectraCallback,
    )
    from gradsweep.training.probe import ProbeSample as ProbeSample
    from gradsweep.training.probe import ProbeSet as ProbeSet
    from gradsweep.training.watch import watch as watch

_HOME = {
    "Config": "gradsweep.config",
    "GradientSpectra": "gradsweep.engine.result",
    "GradsweepError": "gradsweep.errors",
    "LightningSpectraCallback": "gradsweep.training.lightning",
    "Objective": "gradsweep.engine.objectives",
    "PointResult": "gradsweep.extraction",
    "Probe": "gradsweep.engine.probe",
    "ProbeSample": "gradsweep.training.probe",
    "ProbeSet": "gradsweep.training.probe",
    "SpectraCallback": "gradsweep.training.callback",
    "SpectraOptions": "gradsweep.config",
    "compose": "gradsweep.config.composition",
    "extract": "gradsweep.extraction",
    "gradient_spectra": "gradsweep.engine.passes",
    "load_rows": "gradsweep.store.read",
    "load_samples_table": "gradsweep.store.read",
    "load_training": "gradsweep.store.training",
    "point_statuses": "gradsweep.store.state",
    "watch": "gradsweep.training.watch",
}

__version__ = "0.1.0"
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'gradsweep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
