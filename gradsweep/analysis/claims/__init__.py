"""Does the paper's story hold in these points? Each claim, its statistics and its verdict.

One file per claim: what it says, which points it needs, how the statistic is made from their
curves; `fast_thinking`, `slow_thinking`, `instruct_models`, `knowledge` and `early_layers` are the
paper's, `foretells` and `gap_stays` are about training points, `data_quality` has its follow-up's.
`evaluate`, `training` and `rated` run them, `estimate` makes their intervals, `verdicts` is the
rule by which these become verdicts, `controls` has what would reverse them, `together` sums a claim
up.
How to read them: docs/findings.md.
"""

from gradsweep.analysis.claims.evaluate import CLAIMS as CLAIMS
from gradsweep.analysis.claims.evaluate import evaluate_claims as evaluate_claims
from gradsweep.analysis.claims.finding import OVERALL as OVERALL
from gradsweep.analysis.claims.finding import Claim as Claim
from gradsweep.analysis.claims.finding import ClaimVerdict as ClaimVerdict
from gradsweep.analysis.claims.finding import Control as Control
from gradsweep.analysis.claims.finding import Expected as Expected
from gradsweep.analysis.claims.finding import Finding as Finding
from gradsweep.analysis.claims.finding import Outcome as Outcome
from gradsweep.analysis.claims.finding import Statement as Statement
from gradsweep.analysis.claims.finding import Verdict as Verdict
from gradsweep.analysis.claims.finding import findings_frame as findings_frame
from gradsweep.analysis.claims.rated import RATED_CLAIMS as RATED_CLAIMS
from gradsweep.analysis.claims.rated import evaluate_rated_claims as evaluate_rated_claims
from gradsweep.analysis.claims.together import ALL_CLAIMS as ALL_CLAIMS
from gradsweep.analysis.claims.together import claim_verdicts as claim_verdicts
from gradsweep.analysis.claims.training import TRAINING_CLAIMS as TRAINING_CLAIMS
from gradsweep.analysis.claims.training import evaluate_training_claims as evaluate_training_claims
