"""The study's known failure signatures, looked for: what is wrong, and what to do.

    check_*(texts, tokens, rows) ──Check──► examine, examine_stored ──Examination──► show

Comes after extraction in the order of imports. Only a trial pass (`examine`) imports torch.
"""

from gradsweep.doctor.check import Check, CheckState
from gradsweep.doctor.examination import Examination, examine, examine_stored

__all__ = ["Check", "Examination", "CheckState", "examine", "examine_stored"]
