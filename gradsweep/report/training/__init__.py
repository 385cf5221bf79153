"""What a report says of training points: the section "While it trains", its tables and pictures.

`study` computes everything once; `section` is its Markdown, `tables` its files, `terminal` its
lines for a person who waits, `report.figures.training` its figures and `report.page.training` its
charts. `pairing` and `contrast` are what `compare` shows of training points.
"""

from gradsweep.report.training.study import TrainingStudy as TrainingStudy
from gradsweep.report.training.study import training_study as training_study
