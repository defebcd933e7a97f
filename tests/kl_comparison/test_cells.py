"""Cells, the numbers of an estimator at one K, and the verdicts that they lead to."""

import numpy as np
import pytest
from scipy import optimize, stats

from vae_jax.kl_comparison.pairs.cells import cell, p_value, relative_to, slope
from vae_jax.kl_comparison.pairs.reference import Reference
from vae_jax.kl_comparison.pairs.verdicts import FALSE_ALARMS, doubt, plus_minus, threshold, verdict

TRUTH = Reference(0.5, 0.0, "closed form")  # of N(1, 1) to N(0, 1)


def normal_errors(k, power, seed=0, repetitions=1000, bias=0.0):
    noise = np.random.default_rng(seed).normal(size=repetitions)
    return TRUTH.value + bias + noise * k**power, np.full(repetitions, k**power)


def test_a_cell_is_what_scipy_says():
    values, errors = normal_errors(4, -0.5)
    values = np.r_[values, 1.1 - values]  # around a mean that is off, and not skewed
    errors = np.r_[errors, errors]
    c = cell(4, values, errors, 1e-6, TRUTH)
    test = stats.ttest_1samp(values, TRUTH.value)
    assert c.z == pytest.approx(test.statistic)
    assert c.p_value == pytest.approx(test.pvalue)
    assert c.standard_deviation == pytest.approx(values.std(ddof=1))
    assert c.bias_error == pytest.approx(stats.sem(values))
    kurtosis = stats.kurtosis(values, fisher=False)
    assert c.deviation_error == pytest.approx(np.sqrt((kurtosis - 1) / 8000))
    assert c.coverage == np.mean(np.abs(values - 0.5) < 1.96 * errors)


def test_errors_that_are_too_small_cover_too_little():
    values, errors = normal_errors(4, -0.5)
    half = cell(4, values, errors / 2, 1e-6, TRUTH).coverage
    assert abs(half - (2 * stats.norm.cdf(0.98) - 1)) < 4 * np.sqrt(0.67 * 0.33 / 1000)
    unknown = cell(1, values, np.full(1000, np.nan), 1e-6, TRUTH)
    assert np.isnan(unknown.coverage)
    assert np.isnan(unknown.reported_error)


def test_an_error_of_the_truth_and_rounding_widen_the_bias_error():
    values, errors = normal_errors(4, -0.5)
    c = cell(4, values, errors, 1e-6, TRUTH._replace(error=0.03), 0.04)
    assert c.bias_error == pytest.approx(np.sqrt(stats.sem(values) ** 2 + 0.05**2))


@pytest.mark.parametrize("power", [-0.5, -1.0, -1.5])
def test_the_slope_is_the_rate(power):
    ks = [4**i for i in range(7)]
    cells = [cell(k, *normal_errors(k, power, seed=k), 1e-6, TRUTH) for k in ks]
    value, error = slope(cells)
    assert abs(value - power) < 4 * error
    assert error < 0.02
    used = cells[3:]  # the larger half
    _, covariance = optimize.curve_fit(
        lambda x, a, b: a + b * x, np.log(ks[3:]), [np.log(c.standard_deviation) for c in used],
        sigma=[c.deviation_error for c in used], absolute_sigma=True,
    )  # fmt: skip
    assert error >= np.sqrt(covariance[1, 1]) * (1 - 1e-5)


def test_a_slope_is_of_many_draws():
    """An estimator that is `plain` for K = 1 to 16 and falls with 1 / K from there on."""
    powers = [(k, -0.5 if k <= 16 else -1.0) for k in (1, 4, 16, 64, 256, 1024, 4096)]
    cells = [cell(k, *normal_errors(k, power, seed=k), 1e-6, TRUTH) for k, power in powers]
    value, error = slope(cells)
    assert abs(value + 1) < 4 * error < 0.1


def test_a_slope_of_nothing_is_unknown():
    still = [cell(k, np.full(10, 0.5), np.zeros(10), 1e-6, TRUTH) for k in (1, 4, 16)]
    assert np.isnan(slope(still)).all()
    noisy = [cell(k, *normal_errors(k, -0.5), 1e-6, TRUTH) for k in (1, 4, 16)]
    assert np.isnan(slope(noisy[:2])).all()
    assert np.isnan(slope(noisy, floor=0.3)).all()  # 1/4 is below it, so that two are left


def test_efficiency_is_of_variance_and_time():
    base = cell(4, *normal_errors(4, -0.5), 1e-6, TRUTH)
    other = base._replace(standard_deviation=base.standard_deviation / 3, seconds=2e-6)
    assert relative_to([other], [base])[0].efficiency == pytest.approx(9 / 2)
    assert np.isnan(relative_to([other._replace(standard_deviation=0.0)], [base])[0].efficiency)
    assert np.isnan(relative_to([other], [])[0].efficiency)


def judged(*cells, threshold=1e-3):
    return verdict(cells, "closed form", threshold)


def test_verdicts_in_words():
    right = cell(16, *normal_errors(16, -0.5), 1e-6, TRUTH)
    wrong = cell(16, *normal_errors(16, -0.5, bias=-0.1), 1e-6, TRUTH)
    assert judged(right) == f"agrees with the closed form (z = {right.z:.1f})"
    assert judged(wrong).startswith("differs by -0.1")
    assert " at K = 4" in judged(wrong._replace(num_samples=4), right)
    heavy = cell(4, np.r_[normal_errors(4, -0.5)[0], 90.0], np.ones(1001), 1e-6, TRUTH)
    assert "heavy tails" in judged(right, heavy)
    assert judged(heavy, right) == judged(right)  # few draws, of a finite variance
    broken = cell(4, np.r_[normal_errors(4, -0.5)[0], np.inf], np.ones(1001), 1e-6, TRUTH)
    assert "1 of 1001 estimates at K = 4 are not finite" in judged(broken, right)
    assert doubt([[wrong], [right]], "closed form", 1e-3) == ""
    assert "in doubt" in doubt([[wrong], [heavy]], "closed form", 1e-3)


def test_p_values_of_skewed_values_are_right_at_both_ends():
    """At 1 in 100 each, means of 60 exponential values; Student's t alone has 4 in 100 below."""
    values = np.random.default_rng(0).exponential(1.0, (4000, 60))
    z = (values.mean(1) - 1) / stats.sem(values, axis=1)
    skewness = stats.skew(values, axis=1)
    p = np.array([p_value(*each, 60) for each in zip(z, skewness, strict=True)])
    for side in (z > 0, z < 0):
        share = ((p < 0.02) & side).mean()
        assert abs(share - 0.01) < 5 * np.sqrt(0.01 / 4000)


def test_a_p_value_is_halls():
    """z = 1, skewness 2, 36 values: a = 1/9, and z' = 1 + 1/9 + 1/243 + 1/18."""
    expected = 2 * stats.t.sf(1 + 1 / 9 + 1 / 243 + 1 / 18, 35)
    assert p_value(1.0, 2.0, 36) == pytest.approx(expected)


@pytest.mark.slow
def test_a_table_of_right_estimators_seldom_accuses_one():
    """600 tables of 7 cells of skewed values, at 1 in 100 each; Student's t alone has 24."""
    limit, alarms = threshold(7), 0
    for seed in range(600):
        values = np.random.default_rng(seed).exponential(0.5, (7, 60))
        cells = [cell(4, v, v, 1e-6, TRUTH) for v in values]
        alarms += any(judged(c, threshold=limit).startswith("differs") for c in cells)
    assert stats.binom(600, FALSE_ALARMS).sf(15) < 1e-3
    assert alarms <= 15


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [(-0.0312, 0.0034, "-0.031 ± 0.003"), (0.5, 0.012, "0.500 ± 0.012"), (0.25, 0.0, "0.25"),
     (123.4, 20, "123 ± 20"), (0.123456789, 2e-9, "0.123456789 ± 2e-09")],
)  # fmt: skip
def test_numbers_are_rounded_to_their_error(value, error, expected):
    assert plus_minus(value, error) == expected
