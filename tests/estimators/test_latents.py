import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import expit

from tests.estimators.linear_encoder import run_with
from tests.test_contracts import CASES, example_of
from vae_jax import build_model, evaluate
from vae_jax.config import components
from vae_jax.errors import UserError
from vae_jax.estimators._active import products, variances
from vae_jax.estimators._probes import NoClassesError, classes_of, neighbour, probe
from vae_jax.estimators.latents import in_ranges, latents
from vae_jax.runs.facts import find_facts
from vae_jax.types import Batch

N = 200
X = np.random.default_rng(0).normal(size=(N, 2))
SLOPES = np.array([[1.5, 0, 0, 0, 0], [0, 0, 0.5, 0, 0]])  # of E[z | x], `[x, z]`
LOC, SCALE = np.array([0, 0, 0, 0.3, 0.1]), np.array([0.4, 1, 0.8, 1, 1])
LABELS = (X[:, 0] > 0).astype(int)


def used_and_unused(labels=LABELS, x=X, **parts):
    """z_1 and z_3 depend on x; q(z_j|x) of z_2 is the prior, of z_4 and z_5 0.045 and 0.005 off."""
    kernel = np.concatenate([SLOPES, np.zeros((2, 5))], 1)
    return run_with(x, kernel, [*LOC, *np.log(SCALE)], labels, latent_dim=5, **parts)


@pytest.fixture(scope="module")
def results():
    return evaluate(used_and_unused(), estimators="latents|closed_form_kl", quiet=True)


def test_used_and_unused_dimensions_are_counted_and_named(results):
    numbers, values = results["numbers"], results["per_example"]
    assert numbers["active_units"]["mean"] == 2
    assert "remark" not in numbers["active_units"]
    assert numbers["collapsed_units"]["mean"] == 2
    assert numbers["collapsed_units"]["remark"].startswith("z_2, z_5 are collapsed: KL")
    mean = X @ SLOPES + LOC
    np.testing.assert_allclose(values["latent_mean"], mean, atol=1e-5)
    np.testing.assert_allclose(values["latent_scale"], np.tile(SCALE, (N, 1)), rtol=1e-5)
    assert numbers["mean_scale"]["mean"] == pytest.approx(SCALE.mean())
    np.testing.assert_allclose(values["variance_by_unit"].mean(0), mean.var(0), atol=1e-5)
    kl = 0.5 * (SCALE**2 + mean**2 - 1) - np.log(SCALE)
    np.testing.assert_allclose(values["kl_by_unit"], kl, atol=1e-5)
    np.testing.assert_allclose(values["kl_by_unit"].sum(1), values["kl"], rtol=1e-4)


def test_epsilon_and_delta_say_what_is_collapsed(results):
    """The KL of z_3 is over 0.15 nats for some share of the examples, and below it for others."""
    kl = results["per_example"]["kl_by_unit"][:, 2]
    above = (kl > 0.15).mean()
    assert 0.05 < above < 0.6
    for delta, expected in ((above + 1e-6, "z_2 to z_5 are"), (above - 1e-6, "z_2, z_4, z_5 are")):
        text = f"latents(epsilon=0.15, delta={delta})"
        number = evaluate(used_and_unused(), estimators=text, quiet=True)["numbers"][
            "collapsed_units"
        ]
        assert number["remark"].startswith(expected)
        assert number["mean"] == (4 if "to" in expected else 3)


def test_all_of_z_can_be_collapsed_and_nothing():
    run = run_with(X, np.zeros((2, 4)), np.zeros(4), latent_dim=2)
    remark = evaluate(run, estimators="latents", quiet=True)["numbers"]["collapsed_units"]["remark"]
    assert remark.startswith("all of z is collapsed")
    run = run_with(X, np.zeros((2, 4)), np.ones(4), latent_dim=2)
    number = evaluate(run, estimators="latents", quiet=True)["numbers"]["collapsed_units"]
    assert (number["mean"], "remark" in number) == (0, False)


def test_ranges_of_dimensions_are_in_words():
    assert in_ranges(np.array([3, 7, 8, 9, 11, 12])) == "z_3, z_7 to z_9, z_11, z_12"


def test_a_variance_near_the_threshold_is_said_to_be_unsure():
    slope = 0.1 / X[:, 0].std()
    kernel = np.array([[slope, 1, 0, 0], [0, 0, 0, 0]])
    run = run_with(X, kernel, np.zeros(4), latent_dim=2)
    number = evaluate(run, estimators="latents", quiet=True)["numbers"]["active_units"]
    assert "1 of 2 within 2 standard errors of 0.01" in number["remark"]


def test_the_variance_of_sampled_means_has_no_bias_and_the_error_that_is_told():
    """The mean of 10 draws of N(m, 1) has a variance of 0.1 beside that of m, which is 0.04."""
    rng, estimates = np.random.default_rng(0), []
    for _ in range(2000):
        m = 0.2 * rng.normal(size=(50, 1, 1))
        estimates.append(variances(products(m + rng.normal(size=(50, 2, 1)) / 5**0.5)))
    value, error = (np.concatenate(each) for each in zip(*estimates, strict=True))
    expected = 0.04 * 49 / 50
    assert abs(value.mean() - expected) < 5 * value.std(ddof=1) / 2000**0.5
    np.testing.assert_allclose(np.sqrt((error**2).mean()), value.std(ddof=1), rtol=0.1)


def test_moments_and_kls_without_a_closed_form_are_those_of_quadrature():
    """z = 2 sigmoid(e) - 1, e ~ N(0.5, 0.7^2), against the uniform prior on [-1, 1]."""
    e = stats.norm(0.5, 0.7)

    def expectation(f):
        return integrate.quad(lambda t: e.pdf(t) * f(t), -8, 9)[0]

    def log_ratio(t):
        slope = 2 * expit(t) * expit(-t)
        return e.logpdf(t) - np.log(slope) - np.log(0.5)

    mean = expectation(lambda t: 2 * expit(t) - 1)
    parts = {"posterior": "logit_normal", "prior": "uniform"}
    run = run_with(X, np.zeros((2, 2)), [0.5, np.log(0.7)], latent_dim=1, **parts)
    results = evaluate(run, estimators="latents", quiet=True)
    values = {name: array.reshape(N) for name, array in results["per_example"].items()}
    expected = {
        "latent_mean": mean,
        "kl_by_unit": expectation(log_ratio),
        "variance_by_unit": 0,
    }
    for name, value in expected.items():
        error = values[name].std(ddof=1) / N**0.5
        assert 0 < error < 0.03
        assert abs(values[name].mean() - value) < 5 * error, name
    variance = expectation(lambda t: (2 * expit(t) - 1 - mean) ** 2)
    squares = values["latent_scale"] ** 2
    assert abs(squares.mean() - variance) < 5 * squares.std(ddof=1) / N**0.5
    assert results["numbers"]["active_units"]["mean"] == 0


def test_neither_batches_nor_other_examples_change_a_value():
    run = used_and_unused(posterior="student_t")
    whole = evaluate(run, estimators="latents", quiet=True)["per_example"]
    parts = evaluate(run, estimators="latents", num_examples=30, batch_size=7, quiet=True)
    for name in ("latent_mean", "latent_scale", "kl_by_unit"):
        np.testing.assert_allclose(
            parts["per_example"][name], whole[name][:30], rtol=1e-4, atol=1e-5
        )


def test_layers_are_counted_by_the_rule_of_one_layer():
    """Layers whose conditionals do not depend on the one above: z_1 and z_3 alone move with x."""
    parts = {"prior": "layered(network=linear)", "posterior": "top_down(network=linear, context=2)"}
    model = build_model(
        (2,), (2, 3), encoder="linear", decoder="linear", likelihood="normal", **parts
    )
    x = X.astype(np.float32)
    params = jax.tree.map(jnp.zeros_like, model.init(jax.random.key(0), x))
    dense = params["encoder"]["Dense_0"]  # features: m and log s of the top layer, and 2 of x
    dense["kernel"] = dense["kernel"].at[0, 0].set(1.0).at[1, 4].set(1.0)
    [below] = params["posterior"]["layers"]
    below["Dense_0"]["kernel"] = below["Dense_0"]["kernel"].at[0, 0].set(0.5)
    run = used_and_unused()
    run = run._replace(params=params, parts=type(run.parts)(**{**vars(run.parts), "model": model}))
    results = evaluate(run, estimators="latents", quiet=True)
    numbers, values = results["numbers"], results["per_example"]
    assert numbers["active_units"]["mean"] == 2
    assert (numbers["active_layer_1"]["mean"], numbers["active_layer_2"]["mean"]) == (1, 1)
    assert numbers["collapsed_units"]["remark"].startswith("z_2, z_4, z_5 are")
    layers = [values["kl_layer_2"], values["kl_layer_1"]]
    by_unit = values["kl_by_unit"]
    np.testing.assert_allclose([by_unit[:, :2].sum(1), by_unit[:, 2:].sum(1)], layers, atol=1e-5)


def test_labels_are_told_where_z_separates_them_and_by_chance_where_they_are_shuffled(results):
    far = X + 20 * LABELS[:, None]
    numbers = evaluate(used_and_unused(x=far), estimators="latents", quiet=True)["numbers"]
    for name in ("probe_accuracy", "neighbour_accuracy"):
        assert numbers[name]["mean"] == 1
        assert "2 classes, the largest 5" in numbers[name]["method"]
        right = results["per_example"][name]
        assert set(np.unique(right)) == {0, 1}
        number = results["numbers"][name]
        error = (right.mean() * (1 - right.mean()) / (N - 1)) ** 0.5
        assert (number["mean"], number["n"]) == (right.mean(), N)
        assert number["standard_error"] == pytest.approx(error)


@pytest.mark.parametrize("told", [probe, neighbour])
def test_accuracies_are_out_of_sample(told):
    """With more dimensions than examples a probe tells any labels of the examples it has seen."""
    rng = np.random.default_rng(0)
    z, labels = rng.normal(size=(80, 100)), rng.permutation(np.arange(80) % 4)
    right = told(z, labels)
    assert abs(right.mean() - 1 / 4) < 5 * (3 / 16 / 80) ** 0.5
    assert told(z + 10 * np.eye(4)[labels].repeat(25, 1), labels).mean() == 1


def test_the_probe_is_the_best_linear_one():
    """Two normals 2 apart along (1, 1): the best rule is right with probability Phi(1)."""
    rng = np.random.default_rng(0)
    labels = np.arange(4000) % 2
    z = rng.normal(size=(4000, 2)) + 2**0.5 * labels[:, None]
    best = stats.norm.cdf(1)
    right = probe(z * [1, 1000], labels)  # whatever the units
    assert abs(right.mean() - best) < 4 * (best * (1 - best) / 4000) ** 0.5
    distance = ((z[:, None, :] - z[None, :500]) ** 2).sum(-1)
    distance[np.arange(500), np.arange(500)] = np.inf
    nearest = labels[distance.argmin(0)]
    np.testing.assert_array_equal(neighbour(z, labels)[:500], nearest == labels[:500])


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (np.linspace(0, 1, N), "numbers and no classes"),
        (np.arange(N), "200 values, more than 100 classes"),
        (np.r_[np.zeros(N - 4), np.ones(4)], "fewer than two classes have 5"),
    ],
)
def test_labels_that_are_no_classes_are_left_out_with_a_word(labels, reason):
    numbers = evaluate(used_and_unused(labels), estimators="latents", quiet=True)["numbers"]
    assert "probe_accuracy" not in numbers
    assert reason in numbers["active_units"]["remark"]


def test_labels_are_words_or_numbers_and_some_may_be_missing():
    words = np.array(["cat", "dog", "eel"])[np.arange(30) % 3]
    np.testing.assert_array_equal(classes_of(words), np.arange(30) % 3)
    some = np.where(np.arange(30) < 4, np.nan, np.arange(30) % 3)
    classes = classes_of(some)
    assert (classes[:4] == -1).all()
    right = neighbour(np.eye(3)[np.arange(30) % 3], classes)
    assert np.isnan(right[:4]).all()
    assert (right[4:] == 1).all()
    with pytest.raises(NoClassesError):
        classes_of(np.ones(30))
    labels = np.where(np.arange(N) < 10, np.nan, LABELS)
    number = evaluate(used_and_unused(labels), estimators="latents", quiet=True)["numbers"]
    assert number["probe_accuracy"]["n"] == N - 10
    assert number["probe_accuracy"]["mean"] > 0.8


def test_labels_are_those_of_the_examples_that_are_evaluated():
    labels = np.where(np.arange(N) < 60, LABELS, 1 - LABELS)  # of the rest they say the opposite
    numbers = evaluate(used_and_unused(labels), estimators="latents", num_examples=60, quiet=True)
    assert numbers["numbers"]["probe_accuracy"]["mean"] > 0.8
    assert numbers["numbers"]["probe_accuracy"]["n"] == 60


def test_what_is_not_possible_is_refused_in_a_line():
    facts = used_and_unused().facts
    with pytest.raises(UserError, match="an even number"):
        latents(num_samples=3).require(facts)
    many = {"prior": "denoising(network='mlp(hidden=(4,))')", "posterior": "diffused(steps=20)"}
    parts = {"encoder": "identity", "decoder": "linear", "likelihood": "normal"} | many
    model = build_model((2,), None, **parts)
    params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((4, 2)))
    with pytest.raises(UserError, match="at most 16 layers"):
        latents().require(find_facts(model, params, (2,)))


OF_PARTS = [case for case in CASES if case[0] in ("prior", "posterior")]
FEW = [("prior", "mixture"), ("posterior", "iaf")]
MANY = [pytest.param(case, marks=pytest.mark.slow) for case in OF_PARTS if case not in FEW]
NO_KL = ("householder", "planar", "iaf")
PRODUCTS = (
    *("standard_normal", "normal", "laplace", "student_t", "logistic", "uniform", "layered"),
    "conditional",  # on nothing: a normal
)


@pytest.mark.parametrize("case", [*FEW, *MANY], ids="-".join)
def test_each_prior_and_posterior_has_the_numbers_that_are_known(case):
    model, params, x, _ = example_of(*case)
    estimator = components.build("estimators", "latents")()
    keys = jax.random.split(jax.random.key(0), len(x))
    values = jax.jit(lambda p, k, x: estimator.of_examples(model, p, k, Batch(x)))(params, keys, x)
    values = {n: np.asarray(v, np.float64) for n, v in values.items()}
    facts = find_facts(model, params, x.shape[1:])
    estimator.require(facts)
    numbers = estimator.summary(values | estimator.derive(facts, values))
    role, name = case
    is_known = name in PRODUCTS if role == "prior" else name not in NO_KL
    assert ("collapsed_units" in numbers) == is_known
    assert ("no kl_by_unit" in numbers["active_units"].remark) != is_known
    assert np.isfinite(values["latent_mean"]).all()
    assert (values["latent_scale"] > 0).all()
