"""The comparison of a closed-form KL with sampled estimators: names, numbers, verdicts, command."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist
from numpyro.distributions import kl_divergence
from scipy import optimize, stats

from vae_jax.cli.main import main
from vae_jax.config import components
from vae_jax.distributions.normal_mixture import NormalMixture
from vae_jax.errors import UserError
from vae_jax.kl_comparison.pairs.cells import cell, relative_to, slope
from vae_jax.kl_comparison.pairs.compare import compare
from vae_jax.kl_comparison.pairs.named import distribution, names, pair, snake_case
from vae_jax.kl_comparison.pairs.reference import Reference, reference, rounding, sampled
from vae_jax.kl_comparison.pairs.tables import terminal, to_json, truth, verdicts
from vae_jax.kl_comparison.pairs.verdicts import FALSE_ALARMS, doubt, plus_minus, threshold, verdict
from vae_jax.kl_estimators.plain import plain
from vae_jax.types import Estimate

TRUTH = Reference(0.5, 0.0, "closed form")  # of N(1, 1) to N(0, 1)
OWN = """
import jax.numpy as jnp
from numpyro.distributions import Normal, kl_divergence

class Shifted(Normal):
    pass

@kl_divergence.register(Shifted, Normal)
def _wrong(q, p):  # 0.05 more than the KL of two normals
    ratio = (q.scale / p.scale) ** 2
    return 0.5 * (ratio + ((q.loc - p.loc) / p.scale) ** 2 - 1 - jnp.log(ratio)) + 0.05

def from_rate(rate):
    return Normal(0.0, 1 / rate)

number = 3

def text():
    return "no distribution"
"""


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A module of the user's own, whose closed form is wrong."""
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "my_densities.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path / "lab")
    before = dict(kl_divergence.funcs)
    yield "my_densities"
    for signature in set(kl_divergence.funcs) - set(before):
        del kl_divergence.funcs[signature]
    kl_divergence._cache.clear()
    sys.modules.pop("my_densities", None)


# Names


def test_every_distribution_has_one_name_of_its_own():
    classes = [n for n, c in vars(dist).items() if isinstance(c, type) and issubclass(c, dist.Distribution)]  # fmt: skip
    snakes = [snake_case(name) for name in classes]
    assert len(set(snakes)) == len(snakes) > 80
    assert set(snakes) - {"distribution"} <= set(names())
    expected = {"student_t", "lkj_cholesky", "car", "chi2", "multivariate_normal", "categorical"}
    assert expected | {"normal_mixture", "continuous_bernoulli"} <= set(names())


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("normal(loc=1, scale=2)", 0.3, stats.norm(1, 2).logpdf(0.3)),
        ("normal(loc=[0, 1], scale=[1, 2])", [0.3, 0.1],
         stats.norm([0, 1], [1, 2]).logpdf([0.3, 0.1]).sum()),
        ("asymmetric_laplace_quantile(quantile=0.5)", 0.7, stats.laplace(0, 2).logpdf(0.7)),
        ("multivariate_normal(loc=[0, 0], covariance_matrix=[[1, 0.5], [0.5, 1]])", [0.2, 0.4],
         stats.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]]).logpdf([0.2, 0.4])),
        ("log_normal(loc=1, scale=0.5)", 2.0, stats.lognorm(0.5, scale=np.e).logpdf(2)),
        ("discrete_uniform(low=2, high=6)", 4, stats.randint(2, 7).logpmf(4)),
        ("categorical(probs=[0.3, 0.7])", 1, np.log(0.7)),
        ("mixture_same_family(mixing_distribution=categorical(probs=[0.3, 0.7]), "
         "component_distribution=normal(loc=[-1, 1], scale=[1, 2]))", 0.4,
         np.log(0.3 * stats.norm(-1, 1).pdf(0.4) + 0.7 * stats.norm(1, 2).pdf(0.4))),
        ("normal_mixture(logits=[0, 0], loc=[[0, 1], [2, 3]], scale=[[1, 1], [1, 1]])", [1, 2],
         stats.multivariate_normal([0, 1]).logpdf([1, 2])),  # halfway between both components
        ("numpyro.distributions.Laplace(loc=1.0)", 0.0, stats.laplace(1).logpdf(0)),
        ("my_densities.from_rate(rate=4.0)", 0.1, stats.norm(0, 0.25).logpdf(0.1)),
    ],
)  # fmt: skip
def test_a_text_is_the_density_that_scipy_has(lab, text, value, expected):
    found = distribution(text)
    assert found.batch_shape == ()
    np.testing.assert_allclose(found.log_prob(jnp.asarray(value)), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("q", "p", "expected"),
    [
        ("normall", "normal", "--q: unknown distribution 'normall': did you mean 'normal'?"),
        ("normal", "normal(lok=1)", "--p: unknown argument of normal 'lok': did you mean 'loc'?"),
        ("normal(scale=-1.0)", "normal", "normal: scale=-1.0: a positive number is needed"),
        ("normal(scale=0)", "normal", "scale=0: a positive number is needed"),
        ("normal(scale=1e-50)", "normal", "scale=1e-50: a positive number is needed"),  # 0 in single precision
        ("normal(loc=nan)", "normal", "loc=nan is not an array of numbers"),
        ("normal(loc=1e400)", "normal", "cannot read"),
        ("normal(loc=1e39)", "normal", "loc=1e+39 is not finite in float32"),
        ("normal(loc='a')", "normal", "is not an array of numbers"),
        ("normal(loc=[[1, 2], [3]])", "normal", "is not an array of numbers"),
        ("normal(loc=[0, 1], scale=[1, 2, 3])", "normal", "Incompatible shapes"),
        ("normal(1, 2)", "normal", "write name(argument=literal, ...)"),
        ("beta(concentration1=1)", "beta", "missing a required argument: 'concentration0'"),
        ("bernoulli(probs=1.5)", "normal", "probs=1.5: a number from 0 to 1 is needed"),
        ("multivariate_normal(loc=[0, 0], covariance_matrix=[[1, 2], [2, 1]])", "normal",
         "what NumPyro calls positive definite is needed"),
        ("uniform(low=1, high=0)", "normal", "not finite at its own draws"),
        ("mixture_same_family(mixing_distribution=1, component_distribution=normal)", "normal",
         "must be a numpyro.distributions.Categorical"),
        ("nowhere.Thing(a=1)", "normal", "no module 'nowhere'"),
        ("my_densities.Nothing", "normal", "my_densities defines no 'Nothing'"),
        ("my_densities.number", "normal", "my_densities.number is no function"),
        ("my_densities.text", "normal", "makes no NumPyro distribution"),
        ("normal", "normal(loc=[0])", "q has events of shape [], p of [1]"),
        ("normal", "poisson(rate=1)", "q is continuous, p discrete"),
        ("normal", "half_normal", "is infinite"),
        ("uniform(low=0, high=2)", "uniform", "is infinite: q(z) reaches from 0 to 2"),
        ("discrete_uniform(high=5)", "discrete_uniform(high=4)", "is infinite"),
        ("categorical(probs=[0.5, 0.5])", "categorical(probs=[1.0, 0.0])", "is infinite: p(z) is 0"),
        ("dirichlet(concentration=[1, 1])", "normal(loc=[0, 0])", "q lies on 1 dimension"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(lab, q, p, expected):
    with pytest.raises(UserError) as error:
        pair(q, p)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


# Truth


def test_a_closed_form_is_taken_in_double_precision():
    pair = dist.Normal(1.0, 0.5), dist.Normal(0.3, 2.0)
    found = reference(*pair)
    expected = np.log(4) + (0.25 + (1 - float(np.float32(0.3))) ** 2) / 8 - 0.5
    assert found.method == "closed form"
    assert found.value == pytest.approx(expected, abs=1e-14)


def test_many_draws_agree_with_a_closed_form():
    found = sampled(dist.Normal(1.0, 1.0), dist.Normal(0.0, 1.0), seed=0)
    assert found.error == pytest.approx(1 / np.sqrt(2**22), rel=0.2)  # log q - log p = z - 1/2
    assert abs(found.value - 0.5) < 4 * found.error


def test_what_has_no_closed_form_and_no_quadrature_is_sampled(monkeypatch):
    monkeypatch.setattr("vae_jax.kl_comparison.pairs.reference.CHUNKS", 16)
    q, p = (
        NormalMixture(jnp.zeros(2), jnp.eye(2, 3), jnp.ones((2, 3))),
        dist.Normal(jnp.zeros(3)).to_event(1),
    )
    assert reference(q, p).method == "mean of 87,376 draws"


def test_rounding_is_what_single_precision_loses():
    near, far = (rounding(dist.Normal(0.0, 1.0), dist.Normal(0.5, s)) for s in (1, 0.01))
    assert 0 < near < 1e-6
    assert near < far


# Numbers


def normal_errors(k, power, seed=0, repetitions=1000, bias=0.0):
    noise = np.random.default_rng(seed).normal(size=repetitions)
    return TRUTH.value + bias + noise * k**power, np.full(repetitions, k**power)


def test_a_cell_is_what_scipy_says():
    values, errors = normal_errors(4, -0.5)
    values = np.r_[values, 1.1 - values]  # around a mean that is off, and not skewed
    errors = np.r_[errors, errors]
    found = cell(4, values, errors, 1e-6, TRUTH)
    test = stats.ttest_1samp(values, TRUTH.value)
    assert found.z == pytest.approx(test.statistic)
    assert found.p_value == pytest.approx(test.pvalue)
    assert found.standard_deviation == pytest.approx(values.std(ddof=1))
    assert found.bias_error == pytest.approx(stats.sem(values))
    kurtosis = stats.kurtosis(values, fisher=False)
    assert found.deviation_error == pytest.approx(np.sqrt((kurtosis - 1) / 8000))
    assert found.coverage == np.mean(np.abs(values - 0.5) < 1.96 * errors)


def test_errors_that_are_too_small_cover_too_little():
    values, errors = normal_errors(4, -0.5)
    half = cell(4, values, errors / 2, 1e-6, TRUTH).coverage
    assert abs(half - (2 * stats.norm.cdf(0.98) - 1)) < 4 * np.sqrt(0.67 * 0.33 / 1000)
    unknown = cell(1, values, np.full(1000, np.nan), 1e-6, TRUTH)
    assert np.isnan(unknown.coverage)
    assert np.isnan(unknown.reported_error)


def test_an_error_of_the_truth_and_rounding_widen_the_bias_error():
    values, errors = normal_errors(4, -0.5)
    found = cell(4, values, errors, 1e-6, TRUTH._replace(error=0.03), 0.04)
    assert found.bias_error == pytest.approx(np.sqrt(stats.sem(values) ** 2 + 0.05**2))


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


# Verdicts


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


# The study


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
    found = compare(q, p, estimators=estimators, max_samples=70, repetitions=400, quiet=True)
    return found, {row.name: row for row in found.rows}


@pytest.mark.slow
def test_known_variances_are_found(study):
    found, rows = study
    assert found.truth == Reference(0.5, 0.0, "closed form")
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
    found, rows = study
    for name in ("plain", "half", "one", "needs_many"):
        assert rows[name].verdict.startswith("agrees with the closed form")
    assert rows["biased"].verdict.startswith("differs by +0.")
    assert rows["impossible"] == ("impossible", (), "q has no inverse CDF", *rows["impossible"][3:])
    assert rows["needs_many"].left_out == "K = 1: at least 4 evaluations are needed"
    assert found.doubt == ""
    assert found.quadrature.value == pytest.approx(0.5, abs=1e-6)
    said = verdicts(found)
    assert "impossible: left out: q has no inverse CDF" in said
    assert max(map(len, terminal(found).splitlines())) <= 110


def test_a_wrong_closed_form_is_caught(lab):
    names = f"{lab}.Shifted(loc=1.0)", "normal"
    found = compare(*pair(*names), estimators={"plain": plain}, max_samples=16, quiet=True)
    assert found.truth.value == pytest.approx(0.55, abs=1e-12)
    assert found.rows[0].verdict.startswith("differs by -0.0")
    assert "closed form that is in doubt" in found.doubt
    assert "differs from the closed form by -0.05" in truth(found)


def test_a_distribution_and_itself():
    q = dist.Normal(0.3, 0.7)
    found = compare(q, q, estimators={"plain": plain}, max_samples=16, repetitions=20, quiet=True)
    (row,) = found.rows
    assert found.truth.value == 0
    assert row.verdict == "agrees with the closed form (z = 0.0)"
    assert np.isnan(row.slope)
    assert "–" in terminal(found)
    assert json.loads(json.dumps(to_json(found), allow_nan=False))["rows"][0]["slope"] is None


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
    found = compare(*pair(*names), names=names, quiet=True, **options)
    assert abs(found.truth.value - expected) < 5 * found.truth.error + 1e-6
    assert found.rows[0].verdict.startswith("agrees")


# The command


def call(capsys, *arguments):
    status = main(["vae-jax", "compare-kl", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_command_from_names_to_files(capsys, tmp_path):
    sizes = ("--max_samples=4", "--num_repetitions=100")
    pair = ("--q=normal(loc=1.0, scale=0.5)", "--p=laplace(loc=0.0, scale=1.0)")
    status, out, err = call(capsys, *pair, *sizes, f"--output={tmp_path / 'new'}")
    assert status == 0, err
    results = json.loads((tmp_path / "new" / "results.json").read_text())
    estimators = {row["name"] for row in results["rows"]}
    assert estimators == set(components.names("kl_estimators"))
    # E|z| for z ~ N(1, 1/4), less the entropy of q, and log 2
    folded = 2 * 0.5 * stats.norm.pdf(2) + 1 - 2 * stats.norm.cdf(-2)
    expected = folded + np.log(2) - stats.norm(1, 0.5).entropy()
    assert results["truth"]["value"] == pytest.approx(expected, abs=1e-6)
    assert f"{expected:.8f}"[:7] in out
    assert all(name in out for name in estimators)
    assert str(tmp_path / "new" / "figures" / "compare_kl.png") in out
    picture = (tmp_path / "new" / "figures" / "compare_kl.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    width = int.from_bytes(picture[16:20], "big")
    assert width == round(3.4 * 200)
    assert "## plain" in (tmp_path / "new" / "table.md").read_text()


@pytest.mark.slow
def test_a_mixture_has_its_approximations():
    q = distribution("normal_mixture(logits=[0, 0], loc=[[-1], [1]], scale=[[1], [1]])")
    p = distribution("normal(loc=[0])")
    estimators = {"plain": plain}
    found = compare(q, p, estimators=estimators, max_samples=4, repetitions=100, quiet=True)
    truth, of = found.truth.value, found.approximations
    assert of["convexity_upper"] == pytest.approx(0.5)  # each component is 1 from p
    assert of["durrieu_lower"] < truth < of["variational_upper"] + 1e-6
    [line] = [text for text in terminal(found).splitlines() if "convexity_upper" in text]
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


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "say either --q=DISTRIBUTION --p=DISTRIBUTION or --workdir=RUN"),
        (["--q=normal"], "--p=DISTRIBUTION is needed too"),
        (["--p=normal"], "--q=DISTRIBUTION is needed too"),
        (["--q=normal", "--p=normal", "--workdir=runs/a"], "say either"),
        (["--q=normal", "--p=normal", "--split=test"], "--split goes with --workdir"),
        (["--workdir=runs/a", "--output=b"], "--output goes with --q and --p"),
        (["--workdir={tmp}"], "holds no run"),
        (["--q=normal", "--p=laplce"], "did you mean 'laplace'"),
        (["--q=normal", "--p=normal", "--max_samples=0"], "not a positive integer"),
        (["--q=normal", "--p=normal", "--num_repetitions=1"], "1 is not integer >= 2"),
        (["--q=normal", "--p=normal", "--device=tpu"], "is not there"),
        (["--q=normal", "--p=normal", "--output=/proc/nowhere"], "--output=/proc/nowhere cannot be"),
        (["normal", "laplace"], "unexpected argument 'normal'"),
    ],
)  # fmt: skip
def test_a_wrong_command_is_one_line(capsys, tmp_path, arguments, expected):
    status, out, err = call(capsys, *(a.replace("{tmp}", str(tmp_path)) for a in arguments))
    assert status == 2, err
    assert out == ""
    assert expected in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_help_lists_the_distributions(capsys):
    status, out, _ = call(capsys, "--help")
    assert status == 0
    assert all(name in out for name in names())
