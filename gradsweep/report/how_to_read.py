"""How to read the findings page, in its own words."""

from __future__ import annotations

from gradsweep.analysis.claims.foretells import FEWEST_RUNS
from gradsweep.analysis.questions import FEWEST_QUESTIONS

HOW_TO_READ = f"""\
Claims are those of *What Happened in LLMs Layers when Trained for Fast vs. Slow Thinking*
(arXiv 2410.23743). Numbers in brackets are bootstrap intervals over questions, the same questions
in every condition; the intervals decide, not the values before them.

- **✓ supported**: the interval lies beyond the smallest effect that counts, on the side that the
  claim says, or, for a claim that denies an effect, excludes every effect that counts.
- **✗ not supported**: there is evidence against it: the interval lies on the other side, or leaves
  room only for effects too small to count.
- **? undecided**: the interval allows both, or models and datasets contradict each other. More
  questions or more models help.
- **… too few for a verdict**: there are a value and an interval, with fewer than
  {FEWEST_QUESTIONS} questions (or {FEWEST_RUNS} runs) behind them.
- **– not testable with these points**: points or questions are missing; the page says which.

Beside a verdict stands what would reverse it: the statistics that decide it once more, with another
thing that could explain them taken out. *Loss summed over tokens*: the mean over a longer response
makes its gradient smaller by itself, the sum does not. *None as long as detailed*: short responses
repeated to the length of the long ones. *MAD over the mean*: larger curves have larger steps.
*The loss in place of the gradient*: the same verdict says that a pass forward would have told as
much.

Statistics in **bold** decide a claim; the others are details that it mentions. All are means over
the projections that were measured, ratios as geometric means. *all* averages the models and
datasets that could be tested, and speaks of these only."""

OF_OTHERS = """\
Claims are about the study's objective, `sft`. The first one is asked of every other objective, too,
in lines of its own (`objective=dpo`) that *all* does not average. Where its loss sums over tokens,
longer responses have larger gradients by that alone, and no control takes it out."""

OF_TRAINING = """\
Claims 6 and 7 are about training points, and no claims of the paper, which measures models before
they are trained. Claim 6 compares the runs of a model with each other: its intervals are over runs,
and its controls are partial rank correlations, *the same response length* given the tokens of a
response, *the same learning rate* given that. Claim 7 looks at each run's probe."""

OF_RATED = """\
Claims 8 to 10 are the follow-up's (arXiv 2504.10766), about data that others have rated. The two
ends of a rating are other samples: nothing is paired, and *samples* counts those of the smaller
side. *At equal response length*: both sides share one slope of the logarithm on that of the number
of response tokens, and are compared at the same number."""
