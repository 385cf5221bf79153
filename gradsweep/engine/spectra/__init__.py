"""Exact singular values of G = dYᵀX from its factors, and the metrics of a spectrum."""

from gradsweep.engine.spectra.backend import Backend as Backend
from gradsweep.engine.spectra.backend import Started as Started
from gradsweep.engine.spectra.backends import CpuBackend as CpuBackend
from gradsweep.engine.spectra.backends import CudaBackend as CudaBackend
from gradsweep.engine.spectra.backends import backend_for as backend_for
from gradsweep.engine.spectra.backends import factor_spectra as factor_spectra
from gradsweep.engine.spectra.factor_metrics import with_factor_metrics as with_factor_metrics
from gradsweep.engine.spectra.matrix import matrix_spectra as matrix_spectra
from gradsweep.engine.spectra.matrix import scaled_spectrum as scaled_spectrum
from gradsweep.engine.spectra.members import member_metrics as member_metrics
from gradsweep.engine.spectra.metrics import NOISE as NOISE
from gradsweep.engine.spectra.metrics import OwnMetric as OwnMetric
from gradsweep.engine.spectra.metrics import RowMaker as RowMaker
from gradsweep.engine.spectra.metrics import make_own_metrics as make_own_metrics
from gradsweep.engine.spectra.metrics import rank_tolerance as rank_tolerance
from gradsweep.engine.spectra.metrics import spectrum_row as spectrum_row
from gradsweep.engine.spectra.routes import gram_size as gram_size
from gradsweep.engine.spectra.routes import many_spectra as many_spectra
from gradsweep.engine.spectra.similarity import UnitCosines as UnitCosines
from gradsweep.engine.spectra.similarity import unit_cosines as unit_cosines
from gradsweep.engine.spectra.spectrum import Spectrum as Spectrum
