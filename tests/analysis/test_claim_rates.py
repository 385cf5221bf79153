"""How often the intervals behind the verdicts are right, over many planted studies."""

import numpy as np
import polars as pl
import pytest
from helpers.claim_rows import N_LAYERS, point

from gradsweep.analysis.claims import Expected, Statement, Verdict
from gradsweep.analysis.claims.matched import Matched, studies_of
from gradsweep.analysis.claims.statistics import log_ratio_of_means, separation
from gradsweep.analysis.claims.verdicts import decide
from gradsweep.analysis.point_rows import FrameRows
from gradsweep.records import Axes

REPLICATIONS = 200
KINDS = ("correct", "irrelevant")


def replicated(statistic, *, shift, noise, n_questions=25):
    """Value and 95 % interval of `statistic` between the two kinds, (3, replications)."""
    rows = pl.concat(point(1.0, correctness=kind, n_questions=n_questions) for kind in KINDS)
    group = {kind: Axes("tiny", "sums", "none", kind) for kind in KINDS}
    matched = studies_of(FrameRows(rows), "nuclear_norm", resamples=400, seed=0)[0].matched([group])
    rng = np.random.default_rng(1)
    found = []
    for _ in range(REPLICATIONS):
        size = (2, n_questions, N_LAYERS)
        # Mean 1, so that the mean curves differ by the factor 1 + shift.
        correct, irrelevant = rng.lognormal(-(noise**2) / 2, noise, size)
        values = {"correct": [correct], "irrelevant": [irrelevant * (1 + shift)]}
        one = Matched([tuple(range(N_LAYERS))], values, matched.weights, n_questions, 0)
        resampled = statistic(one)
        found.append([resampled[0], *np.quantile(resampled[1:], (0.025, 0.975))])
    return np.array(found).T


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_ratios_are_covered(shift):
    _, low, high = replicated(
        lambda m: log_ratio_of_means(m, "irrelevant", "correct"), shift=shift, noise=0.5
    )
    truth = np.log(1 + shift)
    # Percentile intervals of 25 questions are a little narrow.
    assert 0.88 <= np.mean((low <= truth) & (truth <= high)) <= 0.99
    # One tail of the interval: how often no effect would be called one.
    assert np.mean(low > truth) <= 0.08


def test_separation_is_covered_and_rarely_seen_in_noise():
    _, low, high = replicated(lambda m: separation(m, *KINDS), shift=0.3, noise=0.3)
    assert 0.88 <= np.mean((low <= 0.3) & (high >= 0.3)) <= 0.99
    _, low, _ = replicated(lambda m: separation(m, *KINDS), shift=0.0, noise=0.3)
    assert np.mean(low > 0) <= 0.05


def test_what_noise_adds_to_rd_is_removed():
    def relative_difference(matched):
        correct, irrelevant = (matched.curves(kind)[0] for kind in KINDS)
        return (np.abs(irrelevant - correct) / correct).mean(axis=1)

    plain, _, _ = replicated(relative_difference, shift=0.0, noise=0.5)
    assert (plain > 0.05).all()
    found, _, _ = replicated(lambda m: separation(m, *KINDS), shift=0.0, noise=0.5)
    squares = found * np.abs(found)
    assert abs(squares.mean()) <= 3.5 * squares.std() / np.sqrt(REPLICATIONS)
    assert squares.mean() < 0.25 * (plain**2).mean()


ABOVE = Statement("", "", Expected.ABOVE, 1.0, 1.1, ratio=True)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.15, 2.0, Verdict.SUPPORTED),
        (1.05, 2.0, Verdict.UNDECIDED),  # there is an effect, perhaps none that counts
        (0.9, 2.0, Verdict.UNDECIDED),
        (0.5, 0.8, Verdict.NOT_SUPPORTED),
        (0.95, 1.05, Verdict.NOT_SUPPORTED),
        (1.01, 1.05, Verdict.NOT_SUPPORTED),  # there is an effect, but none that counts
    ],
)
def test_intervals_become_verdicts(low, high, expected):
    assert decide(low, high, ABOVE)[0] is expected
    opposite = {
        Verdict.SUPPORTED: Verdict.NOT_SUPPORTED,
        Verdict.NOT_SUPPORTED: Verdict.SUPPORTED,
    }
    denied = Statement("", "", Expected.NOT_ABOVE, 1.0, 1.1, ratio=True)
    assert decide(low, high, denied)[0] is opposite.get(expected, expected)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1.15, 2.0, Verdict.SUPPORTED),
        (0.5, 0.85, Verdict.SUPPORTED),
        (1.05, 2.0, Verdict.UNDECIDED),
        (0.5, 0.95, Verdict.UNDECIDED),
        (0.95, 1.05, Verdict.NOT_SUPPORTED),
        (0.95, 1.2, Verdict.UNDECIDED),
    ],
)
def test_two_sided_statements(low, high, expected):
    apart = Statement("", "", Expected.APART, 1.0, 1.1, ratio=True)
    assert decide(low, high, apart)[0] is expected
