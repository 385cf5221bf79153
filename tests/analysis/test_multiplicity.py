"""Corrections for many tests, against published rules and by what they promise."""

import numpy as np
import pytest

from gradsweep.analysis.multiplicity import adjusted_p_values
from gradsweep.errors import ConfigError


def test_holm_by_hand():
    found = adjusted_p_values(np.array([0.01, 0.04, 0.03, 0.005]), "holm")
    np.testing.assert_allclose(found, [0.03, 0.06, 0.06, 0.02])


def test_benjamini_hochberg_by_hand():
    found = adjusted_p_values(np.array([0.01, 0.04, 0.03, 0.5]), "benjamini_hochberg")
    np.testing.assert_allclose(found, [0.04, 0.16 / 3, 0.16 / 3, 0.5])


def test_one_test_needs_no_correction_and_none_is_above_one():
    for correction in ("holm", "benjamini_hochberg", "none"):
        assert adjusted_p_values(np.array([0.2]), correction).item() == 0.2
        assert (adjusted_p_values(np.full(9, 0.7), correction) <= 1).all()


def test_what_could_not_be_tested_is_no_member_of_the_family():
    found = adjusted_p_values(np.array([np.nan, 0.02, 0.03]), "holm")
    np.testing.assert_allclose(found, [np.nan, 0.04, 0.04])


def test_holm_keeps_the_chance_of_any_false_discovery():
    null = np.random.default_rng(0).uniform(size=(2000, 16))
    raw = np.mean([(family <= 0.05).any() for family in null])
    kept = np.mean([(adjusted_p_values(family, "holm") <= 0.05).any() for family in null])
    assert raw > 0.5
    assert kept == pytest.approx(0.05, abs=3.5 * np.sqrt(0.05 * 0.95 / 2000))


def test_benjamini_hochberg_finds_more_than_holm_at_its_false_discovery_rate():
    rng = np.random.default_rng(1)
    real = np.arange(20) < 10
    shares, found = [], {"holm": 0, "benjamini_hochberg": 0}
    for family in rng.uniform(size=(1000, 20)) * np.where(real, 0.02, 1):
        for correction in found:
            rejected = adjusted_p_values(family, correction) <= 0.05
            found[correction] += int((rejected & real).sum())
        shares.append((rejected & ~real).sum() / max(rejected.sum(), 1))
    assert found["benjamini_hochberg"] > found["holm"]
    assert np.mean(shares) < 0.05


def test_unknown_correction():
    with pytest.raises(ConfigError, match=r"correction=bonferroni is unknown; allowed are holm"):
        adjusted_p_values(np.array([0.5]), "bonferroni")
