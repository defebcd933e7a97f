import numpy as np
import pytest
from scipy import stats

from vae_jax.sweeps.statistics import difference, estimate

REPETITIONS = 500


def test_mean_and_errors_by_hand():
    """Two seeds, three examples: means 2 and 4 over examples; 1.5, 3, 4.5 over seeds."""
    result = estimate(np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]]))
    assert result.mean == 3.0
    np.testing.assert_allclose(result.seeds_error, 1.0)  # std 1.4142, over sqrt 2
    np.testing.assert_allclose(result.examples_error, 1.5 / 3**0.5)  # std 1.5, over sqrt 3
    assert result.num_seeds == 2


def test_the_difference_by_hand():
    """Seeds' mean differences 1, 2 and 3: mean 2, std. error 1 / sqrt 3, t(2) = 4.3027 at 95%."""
    base = np.array([[0.0, 1.0], [2.0, 5.0], [1.0, 1.0]])
    values = base + np.array([[0.0, 2.0], [1.0, 3.0], [3.0, 3.0]])
    result = difference(values, base)
    np.testing.assert_allclose(result.estimate.mean, 2.0)
    np.testing.assert_allclose(result.estimate.seeds_error, 1 / 3**0.5)
    half = 4.302652729911275 / 3**0.5
    np.testing.assert_allclose(result.seeds_interval, (2 - half, 2 + half))
    # t = 2 sqrt 3; with two degrees of freedom P(|T| > t) = 1 - t / sqrt(2 + t^2)
    np.testing.assert_allclose(result.p_value, 1 - 12**0.5 / 14**0.5)
    # over examples: differences 4/3 and 8/3, std. error 2/3, t(1) = tan(0.475 pi) at 95%
    half = np.tan(0.475 * np.pi) * 2 / 3
    np.testing.assert_allclose(result.examples_interval, (2 - half, 2 + half))


def test_the_correction_is_bonferronis():
    rng = np.random.default_rng(0)
    values, base = rng.normal(size=(2, 5, 20))
    one, four = difference(values, base), difference(values, base, comparisons=4)
    np.testing.assert_allclose(four.p_value, min(1, 4 * one.p_value))
    wide = difference(values, base, confidence=1 - 0.05 / 4)
    np.testing.assert_allclose(four.seeds_interval, wide.seeds_interval)
    np.testing.assert_allclose(four.examples_interval, wide.examples_interval)


def test_one_seed_has_no_error_over_seeds():
    result = difference(np.ones((1, 4)) * [1, 2, 3, 4], np.zeros((1, 4)))
    assert result.seeds_interval is None
    assert result.p_value is None
    assert result.estimate.seeds_error is None
    assert result.examples_interval is not None


def simulated(rng, seeds, examples, effect):
    """Two settings whose results share each example's difficulty and each seed's luck."""
    shared = rng.normal(0, 5, examples) + rng.normal(0, 1, (seeds, 1))
    noise = rng.normal(0, 0.5, (2, seeds, 1)) + rng.normal(0, 1, (2, seeds, examples))
    return shared + noise[0] + effect, shared + noise[1]


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_paired_intervals_over_seeds_cover_at_their_nominal_rate(seeds):
    rng = np.random.default_rng(seeds)
    for confidence in (0.95, 0.8):
        hits = 0
        for _ in range(REPETITIONS):
            result = difference(*simulated(rng, seeds, 30, 0.7), confidence)
            hits += result.seeds_interval[0] <= 0.7 <= result.seeds_interval[1]
        error = (confidence * (1 - confidence) / REPETITIONS) ** 0.5
        assert abs(hits / REPETITIONS - confidence) < 3 * error


def test_paired_intervals_over_examples_cover_at_their_nominal_rate():
    """The seeds stay; an example's difference has mean 0.7 over examples."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(REPETITIONS):
        gain = 0.7 + rng.normal(0, 1, (1, 40)) + rng.normal(0, 1, (3, 40))
        base = rng.normal(0, 5, (3, 40))
        result = difference(base + gain, base)
        hits += result.examples_interval[0] <= 0.7 <= result.examples_interval[1]
    assert abs(hits / REPETITIONS - 0.95) < 3 * (0.95 * 0.05 / REPETITIONS) ** 0.5


@pytest.mark.slow
def test_corrected_intervals_cover_together():
    """Four settings without any effect: all four intervals hold 0 in at least 95 of 100 cases."""
    rng = np.random.default_rng(0)
    together = 0
    for _ in range(REPETITIONS):
        base = rng.normal(0, 1, (4, 10))
        result = [difference(rng.normal(0, 1, (4, 10)), base, comparisons=4) for _ in range(4)]
        together += all(f.seeds_interval[0] <= 0 <= f.seeds_interval[1] for f in result)
    lowest = stats.binom.ppf(0.001, REPETITIONS, 0.95)
    assert together >= lowest
    assert together < REPETITIONS


def test_the_same_difference_each_time_leaves_nothing_unsure():
    values = np.random.default_rng(0).normal(size=(3, 4))
    same = difference(values, values)
    assert same.seeds_interval == same.examples_interval == (0.0, 0.0)
    assert same.p_value == 1.0
    shifted = difference(values + 0.1, values)
    np.testing.assert_allclose(shifted.seeds_interval, (0.1, 0.1))
    assert shifted.p_value == 0.0


def test_numbers_that_are_none_have_no_p_value():
    result = difference(np.array([[np.nan, 1.0], [2.0, 1.0]]), np.zeros((2, 2)))
    assert result.p_value is None


@pytest.mark.parametrize("level", [0.95, 0.9999])
def test_intervals_and_p_values_are_scipys(level):
    values, base = np.random.default_rng(1).normal(0.3, 1, size=(2, 6, 9))
    result = difference(values, base, level)
    test = stats.ttest_1samp((values - base).mean(1), 0.0)
    np.testing.assert_allclose(result.seeds_interval, test.confidence_interval(level), rtol=1e-10)
    np.testing.assert_allclose(result.p_value, test.pvalue, rtol=1e-10)
