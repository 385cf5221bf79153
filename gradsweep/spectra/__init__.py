"""Exact singular values of G = dYᵀX from its factors, and the metrics of a spectrum."""

from gradsweep.spectra.metrics import rank_tolerance, spectrum_row
from gradsweep.spectra.similarity import SampleCosines
from gradsweep.spectra.solve import Spectrum, factor_spectra, many_spectra

__all__ = [
    "SampleCosines",
    "Spectrum",
    "factor_spectra",
    "many_spectra",
    "rank_tolerance",
    "spectrum_row",
]
