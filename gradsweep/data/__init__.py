"""Data: from a config to its samples.

load_samples(config)     the samples of a point, and what the user must be told about them
count_questions(config)  how many questions it has to choose from
fingerprint(config)      a hash of the data themselves, for the identity of a point
"""

from gradsweep.data.fingerprints import fingerprint
from gradsweep.data.samples import LoadedSamples, count_questions, load_samples

__all__ = ["LoadedSamples", "count_questions", "fingerprint", "load_samples"]
