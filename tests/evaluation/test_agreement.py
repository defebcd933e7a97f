"""Several estimates of log p(x) are compared, example by example."""

import numpy as np
import pytest

from tests.quick_runs import quick_config
from vae_jax import evaluate, fit
from vae_jax.config import components
from vae_jax.evaluation.agreement import agreement
from vae_jax.evaluation.numbers import table

N = 400
NAMES = ("importance(num_samples=100)", "ais", "exact", "surgery")
ESTIMATORS = {name: components.build("estimators", name)() for name in NAMES}


def values(of_ais, error, **more):
    """Arrays in which importance is 0 and AIS `of_ais`, each with its error."""
    arrays = {"log_p": np.zeros(N), "log_p_error": np.full(N, 0.3)}
    return arrays | {"log_p_ais": of_ais, "log_p_ais_error": np.full(N, error)} | more


def test_two_within_their_errors_agree():
    rng = np.random.default_rng(0)
    (line,) = agreement(ESTIMATORS, values(0.5 + 0.4 * rng.normal(size=N), 0.4))
    mean, error = 0.5, 0.4 / np.sqrt(N)
    assert line.startswith("log_p_ais and log_p agree: ")
    told = [float(word) for word in line.split(" agree: ")[1].split(" apart")[0].split(" ± ")]
    assert abs(told[0] - mean) < 5 * error
    assert abs(told[1] / error - 1) < 5 / np.sqrt(2 * N)


@pytest.mark.parametrize("sign", [1, -1])
def test_examples_beyond_their_errors_are_counted(sign):
    """Errors of 0.3 and 0.4 make one of 0.5: 2.4 is within five, 2.6 is not."""
    of_ais = np.zeros(N)
    of_ais[:8], of_ais[8:20] = sign * 2.6, sign * 2.4
    (line,) = agreement(ESTIMATORS, values(of_ais, 0.4))
    high, low = ("log_p_ais", "log_p") if sign > 0 else ("log_p", "log_p_ais")
    assert line.startswith(f"{high} and {low} disagree: ")
    assert "2.0% of the examples differ by over 5 errors, up to +2.60" in line


def test_each_two_are_compared_and_one_alone_is_not():
    exact = {"log_p_exact": np.full(N, 0.1), "log_p_exact_error": np.zeros(N)}
    lines = agreement(ESTIMATORS, values(np.zeros(N), 0.4, **exact))
    assert [line.split(" agree")[0] for line in lines] == [
        "log_p and log_p_ais", "log_p_exact and log_p", "log_p_exact and log_p_ais",
    ]  # fmt: skip
    assert agreement({"exact": ESTIMATORS["exact"]}, exact) == []


def test_an_evaluation_says_it():
    run = fit(quick_config(latent_dim=2, num_epochs=1), quiet=True)
    asked = "importance(num_samples=200)|quadrature(points=100)"
    results = evaluate(run, estimators=asked, quiet=True)
    (line,) = results["agreement"]
    assert "log_p" in line
    assert "log_p_quadrature" in line
    assert line in table(results)
