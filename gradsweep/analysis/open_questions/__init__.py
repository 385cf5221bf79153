"""What the study leaves open, answered from stored points as far as they go.

One file per question: what is asked, which points it needs, how its statistics are made. `evaluate`
runs them, `question` has their records, `material` what they are answered from. Verdicts and
controls are those of `gradsweep.analysis.claims`. How to read them: docs/questions.md.
"""

from gradsweep.analysis.open_questions.evaluate import OPEN_QUESTIONS as OPEN_QUESTIONS
from gradsweep.analysis.open_questions.evaluate import (
    evaluate_open_questions as evaluate_open_questions,
)
from gradsweep.analysis.open_questions.question import Answer as Answer
from gradsweep.analysis.open_questions.question import Answered as Answered
from gradsweep.analysis.open_questions.question import Numbers as Numbers
from gradsweep.analysis.open_questions.question import OpenQuestion as OpenQuestion
from gradsweep.analysis.open_questions.question import Plot as Plot
from gradsweep.analysis.open_questions.question import answers_frame as answers_frame
