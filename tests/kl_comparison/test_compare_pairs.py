"""The comparison of a pair's KL with estimators whose bias and variance are known."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist
from scipy import stats

from vae_jax.errors import UserError
from vae_jax.kl_comparison.pairs.compare import compare
from vae_jax.kl_comparison.pairs.named import distribution, pair
from vae_jax.kl_comparison.pairs.reference import Reference
from vae_jax.kl_comparison.pairs.tables import terminal, to_json, truth, verdicts
from vae_jax.kl_estimators.plain import plain
from vae_jax.types import Estimate


def exact(power=-0.5, bias=0.0):
    """An estimator of 1/2 with standard deviation K^power, which it reports."""

    def estimator(key, q, p, num_samples):
        spread = jnp.asarray(float(num_samples) ** power)
        return Estimate(0.5 + bias + spread * jax.random.normal(key), spread)

    return estimator


def needs_many(key, q, p, num_samples):
    if num_samples < 4:
        raise UserError("at least 4 evaluations are needed")
    return plain(key, q, p, num_samples)


def impossible(key, q, p, num_samples):
    raise UserError("q has no inverse CDF")


@pytest.fixture(scope="module")
def study():
    estimators = {
        "plain": plain, "half": exact(), "one": exact(-1.0), "biased": exact(bias=0.2),
        "needs_many": needs_many, "impossible": impossible,
    }  # fmt: skip
    q, p = dist.Normal(1.0, 1.0), dist.Normal(0.0, 1.0)
    comparison = compare(q, p, estimators=estimators, max_samples=70, repetitions=400, quiet=True)
    return comparison, {row.name: row for row in comparison.rows}


@pytest.mark.slow
def test_known_variances_are_found(study):
    comparison, rows = study
    assert comparison.truth == Reference(0.5, 0.0, "closed form")
    assert [c.num_samples for c in rows["half"].cells] == [1, 4, 16, 64]
    for name, power in (("plain", -0.5), ("half", -0.5), ("one", -1.0)):
        row = rows[name]
        assert abs(row.slope - power) < 4 * row.slope_error
        for c in row.cells:  # log q - log p = z - 1/2, of variance 1
            assert abs(np.log(c.standard_deviation) - power * np.log(c.num_samples)) < 4 * c.deviation_error  # fmt: skip
            assert abs(c.z) < 4.5
    for c in rows["half"].cells:
        assert abs(c.coverage - 0.95) < 4 * np.sqrt(0.95 * 0.05 / c.repetitions)
        assert c.reported_error == pytest.approx(c.num_samples**-0.5)
        assert c.seconds > 0
    student = 2 * stats.t(3).cdf(1.96) - 1  # of 4 normal draws, with their own deviation
    at_4 = rows["plain"].cells[1]
    assert abs(at_4.coverage - student) < 4 * np.sqrt(student * (1 - student) / at_4.repetitions)


def test_every_estimator_has_its_verdict_or_its_reason(study):
    comparison, rows = study
    for name in ("plain", "half", "one", "needs_many"):
        assert rows[name].verdict.startswith("agrees with the closed form")
    assert rows["biased"].verdict.startswith("differs by +0.")
    assert rows["impossible"] == ("impossible", (), "q has no inverse CDF", *rows["impossible"][3:])
    assert rows["needs_many"].left_out == "K = 1: at least 4 evaluations are needed"
    assert comparison.doubt == ""
    assert comparison.quadrature.value == pytest.approx(0.5, abs=1e-6)
    words = verdicts(comparison)
    assert "impossible: left out: q has no inverse CDF" in words
    assert max(map(len, terminal(comparison).splitlines())) <= 110


def test_a_wrong_closed_form_is_caught(lab):
    names = f"{lab}.Shifted(loc=1.0)", "normal"
    comparison = compare(*pair(*names), estimators={"plain": plain}, max_samples=16, quiet=True)
    assert comparison.truth.value == pytest.approx(0.55, abs=1e-12)
    assert comparison.rows[0].verdict.startswith("differs by -0.0")
    assert "closed form that is in doubt" in comparison.doubt
    assert "differs from the closed form by -0.05" in truth(comparison)


def test_a_distribution_and_itself():
    q = dist.Normal(0.3, 0.7)
    comparison = compare(
        q, q, estimators={"plain": plain}, max_samples=16, repetitions=20, quiet=True
    )
    (row,) = comparison.rows
    assert comparison.truth.value == 0
    assert row.verdict == "agrees with the closed form (z = 0.0)"
    assert np.isnan(row.slope)
    assert "–" in terminal(comparison)
    assert json.loads(json.dumps(to_json(comparison), allow_nan=False))["rows"][0]["slope"] is None


PAIRS = {
    ("exponential(rate=2.0)", "exponential(rate=1.0)"): np.log(2) - 0.5,
    ("bernoulli(probs=0.3)", "bernoulli(probs=0.6)"): 0.3 * np.log(0.5) + 0.7 * np.log(0.7 / 0.4),
    ("normal(loc=[1, 0, 2], scale=[1, 1, 1])", "normal(loc=[0, 0, 0])"): 2.5,
    ("normal(loc=[0.5])", "normal(loc=[0.0])"): 0.125,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("names", "expected"), PAIRS.items(), ids=lambda v: str(v)[:40])
def test_pairs_with_known_answers(names, expected):
    options = {"estimators": {"plain": plain}, "max_samples": 4, "repetitions": 200}
    comparison = compare(*pair(*names), names=names, quiet=True, **options)
    assert abs(comparison.truth.value - expected) < 5 * comparison.truth.error + 1e-6
    assert comparison.rows[0].verdict.startswith("agrees")


@pytest.mark.slow
def test_a_mixture_has_its_approximations():
    q = distribution("normal_mixture(logits=[0, 0], loc=[[-1], [1]], scale=[[1], [1]])")
    p = distribution("normal(loc=[0])")
    estimators = {"plain": plain}
    comparison = compare(q, p, estimators=estimators, max_samples=4, repetitions=100, quiet=True)
    truth, of = comparison.truth.value, comparison.approximations
    assert of["convexity_upper"] == pytest.approx(0.5)  # each component is 1 from p
    assert of["durrieu_lower"] < truth < of["variational_upper"] + 1e-6
    [line] = [text for text in terminal(comparison).splitlines() if "convexity_upper" in text]
    assert f"{0.5 - truth:+.4f}" in line
    assert "upper bound" in line
    assert not compare(p, p, estimators=estimators, max_samples=1, quiet=True).approximations


def test_a_figure_shows_every_estimator(study):
    from vae_jax.kl_comparison.pairs.figures import figure

    above, below = figure(study[0]).axes
    drawn = {line.get_label() for line in above.lines}
    assert {"plain", "half", "one", "biased", "needs many"} < drawn
    looks = [(x.get_color(), x.get_marker()) for x in above.lines if x.get_marker() != "None"]
    assert len(set(looks)) == len(looks) == 5
    styles = [x.get_linestyle() for x in above.lines[:4]]
    assert len(set(styles)) == 4
    assert above.get_yscale() == "log"
    assert below.get_yscale() == "symlog"
