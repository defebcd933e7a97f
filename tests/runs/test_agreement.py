"""Several estimates of log p(x) are compared, example by example."""

import numpy as np
import pytest

from tests.quick_runs import quick_config
from vae_jax import evaluate, fit
from vae_jax.config import components
from vae_jax.evaluation.numbers import table
from vae_jax.runs.agreement import agreement
from vae_jax.runs.results import read_results, save_results

N = 400
NAMES = ("importance(num_samples=100)", "ais", "exact", "surgery")
QUANTITIES = {n: components.build("estimators", n)().quantities for n in NAMES}
NUMBERS = {n: q._asdict() for every in QUANTITIES.values() for n, q in every.items()}


def values(of_ais, error, **more):
    """Arrays in which importance is 0 and AIS `of_ais`, each with its error."""
    arrays = {"log_p": np.zeros(N), "log_p_error": np.full(N, 0.3)}
    return arrays | {"log_p_ais": of_ais, "log_p_ais_error": np.full(N, error)} | more


def test_two_within_their_errors_agree():
    rng = np.random.default_rng(0)
    (line,) = agreement(NUMBERS, values(0.08 + 0.4 * rng.normal(size=N), 0.4))
    mean, error = 0.08, 0.4 / np.sqrt(N)
    assert line.startswith("log_p_ais and log_p agree: ")
    told = [float(word) for word in line.split(" agree: ")[1].split(" apart")[0].split(" ± ")]
    assert abs(told[0] - mean) < 5 * error
    assert abs(told[1] / error - 1) < 5 / np.sqrt(2 * N)


@pytest.mark.parametrize("sign", [1, -1])
def test_examples_beyond_their_errors_are_counted(sign):
    """Errors of 0.3 and 0.4 make one of 0.5: 2.4 is within five, 2.6 is not."""
    of_ais = np.zeros(N)
    of_ais[:8], of_ais[8:20] = sign * 2.6, sign * 2.4
    (line,) = agreement(NUMBERS, values(of_ais, 0.4))
    high, low = ("log_p_ais", "log_p") if sign > 0 else ("log_p", "log_p_ais")
    assert line.startswith(f"{high} and {low} disagree: ")
    assert "2.0% of the examples differ by over 5 errors, up to +2.60" in line


def test_a_mean_difference_is_seen_where_no_example_is_far():
    rng = np.random.default_rng(0)
    (line,) = agreement(NUMBERS, values(0.5 + 0.1 * rng.normal(size=N), 0.4))
    assert " disagree: 0.5" in line or " disagree: 0.49" in line
    assert "0.0% of the examples differ by over 5 errors; the higher is believed" in line
    little = values(0.05 + 0.01 * rng.normal(size=N), 0.4)
    assert " agree: " in agreement(NUMBERS, little)[0]


def test_an_estimate_without_errors_is_not_compared():
    arrays = values(np.full(N, 3.0), 0.4)
    assert agreement(NUMBERS, arrays | {"log_p_error": np.full(N, np.nan)}) == []


def test_the_exact_one_is_believed_also_where_it_is_lower():
    exact = {"log_p_exact": np.full(N, -9.0), "log_p_exact_error": np.zeros(N)}
    lines = agreement(NUMBERS, values(np.zeros(N), 0.4, **exact))
    assert sum(line.endswith("log_p_exact is believed") for line in lines) == 2


def test_each_two_are_compared_and_one_alone_is_not():
    exact = {"log_p_exact": np.full(N, 0.1), "log_p_exact_error": np.zeros(N)}
    lines = agreement(NUMBERS, values(np.zeros(N), 0.4, **exact))
    assert [line.split(" agree")[0] for line in lines] == [
        "log_p and log_p_ais", "log_p_exact and log_p", "log_p_exact and log_p_ais",
    ]  # fmt: skip
    assert agreement(NUMBERS, exact) == []


@pytest.mark.slow
def test_an_evaluation_says_it_of_its_own_and_of_what_is_there(tmp_path):
    run = fit(quick_config(latent_dim=2, num_epochs=1), tmp_path, quiet=True)
    asked = "importance(num_samples=200)|prior_sampling(num_samples=200)"
    results = evaluate(run, estimators=asked, quiet=True)
    (line,) = results["agreement"]
    assert {"log_p", "log_p_prior"} <= set(line.split())
    assert line in table(results)
    save_results(tmp_path, "test", results)
    save_results(tmp_path, "test", evaluate(run, estimators="quadrature(points=100)", quiet=True))
    lines = read_results(tmp_path)["test"]["agreement"]
    assert len(lines) == 3
    assert line in lines
    assert sum("log_p_quadrature" in each for each in lines) == 2
