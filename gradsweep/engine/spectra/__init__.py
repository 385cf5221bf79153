"""Exact singular values of G = dYᵀX from its factors, and the metrics of a spectrum."""

from gradsweep.engine.spectra.metrics import rank_tolerance, spectrum_row
from gradsweep.engine.spectra.similarity import SampleCosines
from gradsweep.engine.spectra.solve import Spectrum, factor_spectra, many_spectra

__all__ = [
    "SampleCosines",
    "Spectrum",
    "factor_spectra",
    "many_spectra",
    "rank_tolerance",
    "spectrum_row",
]
