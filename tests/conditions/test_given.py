"""Models that are given y: p(x|z, y), q(z|x, y) and p(z|y), held against mathematics and SciPy."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from scipy.special import logsumexp

import vae_jax
from vae_jax import build_model, elbo, iwae
from vae_jax.batches.splits import examples
from vae_jax.brought import Coding
from vae_jax.config import components
from vae_jax.errors import UserError
from vae_jax.estimators.exact import exact
from vae_jax.flows.scales import scale_of
from vae_jax.model import fixed
from vae_jax.reporting import densities
from vae_jax.runs.facts import find_facts
from vae_jax.types import Batch

Y = jnp.eye(3)[jnp.array([0, 1, 2, 1])]
KEYS = jax.random.split(jax.random.key(0), 4)
PRIORS = [
    "normal",
    "mixture(components=2)",
    "vamp(components=2)",
    "realnvp(layers=2, hidden=(4,))",
    "maf(layers=1, hidden=(4,))",
    "autoregressive(components=2, hidden=(4,))",
]


def moved(params, by=0.3):
    """Parameters away from their start."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(7), len(leaves))
    pairs = zip(keys, leaves, strict=True)
    return tree.unflatten([leaf + by * jax.random.normal(k, leaf.shape) for k, leaf in pairs])


@pytest.fixture(scope="module")
def linear_given():
    """A linear-Gaussian model of 4 numbers given 3 classes, p(z|y) a normal; its parameters and x."""
    parts = {"encoder": "linear", "decoder": "linear", "likelihood": "normal(scale='learned')"}
    model = build_model((4,), 2, **parts, prior="conditional", given_shape=(3,))
    x = jax.random.normal(jax.random.key(1), (4, 4))
    params = moved(model.init(jax.random.key(2), Batch(x, Y)))
    params["encoder"] = jax.tree.map(
        lambda w: 0.1 * w, params["encoder"]
    )  # q wide: bounded weights
    return model, params, x


def by_hand(params, x, y):
    """log N(x; W m + V y + b, W S W' + s^2 I) with z ~ N(m, S) given y, by SciPy."""
    layer = params["decoder"]["Dense_0"]
    kernel, bias = (np.asarray(layer[name], np.float64) for name in ("kernel", "bias"))
    W, V = kernel[:2].T, kernel[2:].T
    base, slopes = params["prior"]["base"], params["prior"]["slopes"]
    loc = base["loc"] + y @ slopes["loc"]
    z_scale = scale_of(base["log_scale"] + y @ slopes["log_scale"])
    scale = 1e-3 + np.exp(np.float64(params["likelihood"]["log_scale"]))  # its smallest, and more
    covariance = W @ np.diag(np.asarray(z_scale, np.float64) ** 2) @ W.T
    normal = scipy.stats.multivariate_normal(
        W @ loc + V @ y + bias, covariance + scale**2 * np.eye(4)
    )
    return normal.logpdf(x)


def exact_log_p(model, params, batch):
    return exact().of_examples(model, params, KEYS, batch)["log_p_exact"]


def test_the_exact_log_p_of_x_given_y_is_that_of_the_normal(linear_given):
    model, params, x = linear_given
    expected = [
        by_hand(params, np.asarray(one), np.asarray(y)) for one, y in zip(x, Y, strict=True)
    ]
    np.testing.assert_allclose(exact_log_p(model, params, Batch(x, Y)), expected, rtol=2e-4)


def test_weights_of_draws_are_unbiased(linear_given):
    model, params, x = linear_given
    log_p = exact_log_p(model, params, Batch(x, Y))
    keys = jax.random.split(jax.random.key(3), 200)
    one = jax.jit(jax.vmap(lambda key: iwae(model, params, key, Batch(x, Y), num_samples=50).value))
    ratio = jnp.exp(one(keys) - log_p)  # the mean of p^(x) / p(x) is 1
    error = ratio.std(0) / np.sqrt(len(keys))
    assert (jnp.abs(ratio.mean(0) - 1) < 4 * error).all()


def test_bayes_rule_gives_the_class(linear_given):
    model, params, x = linear_given
    shares = np.array([0.5, 0.2, 0.3])
    labels = np.asarray(Y.argmax(1))
    bayes = components.build("estimators", "bayes(log_p='exact')")()
    drawn = bayes.of_examples(model, params, KEYS, Batch(x, Y))
    coding = Coding("labels", np.arange(3), None, shares)
    facts = find_facts(model, params, (4,))
    dataset = vae_jax.types.Dataset({}, lambda key, raw: raw, coding=coding)
    values = bayes.derive(facts._replace(dataset=dataset), jax.tree.map(np.asarray, drawn))
    joint = np.array([[by_hand(params, np.asarray(a), y) for y in np.eye(3)] for a in x])
    joint = joint + np.log(shares)
    marginal = logsumexp(joint, axis=1)
    np.testing.assert_allclose(values["log_p_marginal"], marginal, rtol=2e-4)
    expected = joint[np.arange(4), labels] - marginal
    np.testing.assert_allclose(values["log_p_label"], expected, rtol=2e-3, atol=2e-3)
    np.testing.assert_array_equal(values["accuracy"], joint.argmax(1) == labels)


@pytest.mark.slow
def test_a_mixture_by_class_is_the_mixture_of_that_class():
    model = build_model(
        (4,), 2, prior="conditional(prior='mixture(components=2)')", given_shape=(3,)
    )
    params = moved(model.init(jax.random.key(0), Batch(jnp.zeros((4, 4)), Y)))
    z = jax.random.normal(jax.random.key(1), (4, 2))
    base, slopes = params["prior"]["base"], params["prior"]["slopes"]
    each = []
    for one, c in zip(np.asarray(z), np.asarray(Y.argmax(1)), strict=True):
        logits, loc, log_scale = (base[n] + slopes[n][c] for n in ("logits", "loc", "log_scale"))
        weights = np.exp(logits - logsumexp(logits))
        of = scipy.stats.norm(loc, np.exp(log_scale)).pdf(one).prod(-1)
        each.append(np.log((weights * of).sum()))
    np.testing.assert_allclose(
        jax.jit(lambda z: model.prior(params, Y).log_prob(z))(z), each, rtol=1e-4
    )
    log_prob = jax.jit(lambda y, z: model.prior(params, y).log_prob(z))
    by_class = [log_prob(y, z) for y in jnp.eye(3)]
    all_classes = log_prob(jnp.eye(3), z[:, None])
    np.testing.assert_allclose(all_classes, np.stack(by_class, 1), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "prior", [p if p == "normal" else pytest.param(p, marks=pytest.mark.slow) for p in PRIORS]
)
def test_leading_axes_of_conditions_are_examples_one_by_one(prior):
    """The densities of a batch are those of its examples; draws have each example's own density."""
    net = "mlp(hidden=(4,))"
    parts = {"encoder": net, "decoder": net, "prior": f"conditional(prior={prior!r})"}
    model = build_model((3,), 2, **parts, likelihood="normal", given_shape=(3,))
    x = jax.random.normal(jax.random.key(1), (4, 3))
    params = moved(model.init(jax.random.key(0), Batch(x, Y)))
    z = jax.jit(lambda y: model.prior(params, y).sample(jax.random.key(2), (5,)))(Y)
    assert z.shape == (5, 4, 2)
    log_prob = jax.jit(lambda y, z: model.prior(params, y).log_prob(z))
    together = log_prob(Y, z)
    one_by_one = [log_prob(y, z[:, i]) for i, y in enumerate(Y)]
    np.testing.assert_allclose(together, jnp.stack(one_by_one, 1), rtol=1e-4, atol=1e-5)
    assert np.abs(together[:, 0] - log_prob(Y[1], z[:, 0])).max() > 1e-3
    of_bound = jax.jit(jax.grad(lambda p: elbo(model, p, KEYS, Batch(x, Y)).surrogate))
    slopes = of_bound(params)["prior"]
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))
    assert any((leaf != 0).any() for leaf in jax.tree.leaves(slopes["slopes"]))


@pytest.mark.parametrize("network", ["linear", "mlp(hidden=(4,))", "conv(channels=(2,))"])
@pytest.mark.parametrize("embedding", [0, 2])
def test_every_network_sees_the_condition(network, embedding):
    parts = {"encoder": network, "decoder": network, "likelihood": "bernoulli"}
    model = build_model((4, 4, 1), 2, **parts, given_shape=(3,), embedding=embedding)
    x = (jax.random.uniform(jax.random.key(0), (4, 4, 4, 1)) < 0.5).astype(float)
    params = moved(model.init(jax.random.key(1), Batch(x, Y)))
    z = jnp.zeros((4, 2))
    q, other = model.encode(params, Batch(x, Y)), model.encode(params, Batch(x, jnp.roll(Y, 1, 1)))
    assert (jnp.abs(q.mean - other.mean).max(-1) > 1e-4).any()  # a rectifier may see nothing
    p, other = model.decode(params, z, Y), model.decode(params, z, jnp.roll(Y, 1, 1))
    assert (jnp.abs(p.mean - other.mean).reshape(4, -1).max(-1) > 1e-4).all()
    np.testing.assert_allclose(model.decode(params, z[0], Y[2]).mean, p.mean[2], rtol=1e-5)
    np.testing.assert_allclose(fixed(model, Y[2]).decode(params, z).mean[0], p.mean[2], rtol=1e-5)


def test_a_model_that_is_given_y_says_so(linear_given):
    model, params, x = linear_given
    with pytest.raises(UserError, match=r"conditioned: Batch\(x, given=\[..., 3\]\)"):
        model.encode(params, x)
    with pytest.raises(UserError, match="given has shape"):
        model.decode(params, jnp.zeros(2), jnp.zeros(4))
    with pytest.raises(UserError, match=r"p\(z \| y\) needs y"):
        model.prior(params)


def test_classes_and_numbers_become_conditions():
    words = Coding.of("animal", np.array(["cat", "dog", "ant", "dog"]))
    np.testing.assert_array_equal(words.encode(["dog", "ant"]), [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_allclose(words.shares, [0.25, 0.25, 0.5])
    numbers = Coding.of("label", np.array([7, 3, 3]))
    np.testing.assert_array_equal(numbers.encode([3, "7"]), [[1, 0], [0, 1]])
    with pytest.raises(UserError, match="no class 5: there are 3, 7"):
        numbers.codes([5])
    ages = Coding.of("age", np.array([10.0, 20.0, 60.0]))
    np.testing.assert_allclose(ages.encode([30.0]), [[0]], atol=1e-6)
    np.testing.assert_allclose(ages.encode([10.0, 20.0, 60.0]).std(), 1, rtol=1e-6)
    with pytest.raises(UserError, match="not finite"):
        Coding.of("age", np.array([1.0, np.nan]))
    with pytest.raises(UserError, match="1 empty cell: each example needs a class"):
        Coding.of("ward", np.array(["A", "", "B"]))


@pytest.fixture(scope="module")
def conditional_run(tmp_path_factory):
    """A run of 3 epochs on the linear-Gaussian data with 3 classes, and its directory."""
    cfg = vae_jax.default_config()
    cfg.data, cfg.given = (
        "linear_gaussian(size=1000, classes=3, test=100, validation=100)",
        "labels",
    )
    cfg.prior, cfg.latent_dim, cfg.num_epochs = "conditional", 2, 3
    cfg.encoder = cfg.decoder = "linear"
    cfg.likelihood = "normal(scale='learned')"
    workdir = tmp_path_factory.mktemp("conditional")
    return vae_jax.fit(cfg, workdir, quiet=True), workdir


@pytest.mark.slow
def test_a_run_is_given_labels_and_read_back_with_them(conditional_run):
    run, workdir = conditional_run
    estimators = "importance(num_samples=20, iwae_samples=())|bayes(log_p='exact')"
    numbers = vae_jax.evaluate(run, estimators=estimators, quiet=True)
    assert numbers["given"] == "labels"
    again = vae_jax.evaluate(vae_jax.load(workdir), estimators=estimators, quiet=True)
    assert again["numbers"] == numbers["numbers"]
    values = numbers["per_example"]
    _, batch = examples(run.dataset, jax.random.key(0), "test", 100)
    np.testing.assert_array_equal(batch.given.argmax(1), run.dataset.labels["test"])
    of_class = values["log_p_by_class"][np.arange(100), run.dataset.labels["test"]]
    np.testing.assert_allclose(of_class, values["log_p_exact"], rtol=1e-4)
    np.testing.assert_array_equal(run.condition(2), [0, 0, 1])


@pytest.mark.slow
def test_the_data_s_own_density_given_y_is_that_of_its_normal():
    data = components.build("datasets", "linear_gaussian(x_dim=3, size=3000, classes=2, seed=1)")()
    x, y = jnp.asarray(data.splits["train"]), jnp.eye(2)[jnp.asarray(data.labels["train"])]
    given, marginal = data.log_prob_given(x, y), data.log_prob(x)
    each = jnp.stack([data.log_prob_given(x, jnp.eye(2)[c]) for c in range(2)])
    np.testing.assert_allclose(marginal, logsumexp(np.asarray(each), axis=0) - np.log(2), rtol=1e-5)
    # E log p(x|y) of its own draws is minus the entropy of the normal.
    W, rng = np.random.default_rng(1).normal(size=(3, 2)), len(x)
    entropy = scipy.stats.multivariate_normal(np.zeros(3), W @ W.T + 0.25 * np.eye(3)).entropy()
    assert abs(given.mean() + entropy) < 4 * given.std() / np.sqrt(rng)
    run = types.SimpleNamespace(dataset=data)  # the figure at one condition is of p(x|y) too
    np.testing.assert_allclose(densities._known(run, jnp.eye(2)[1])(x), each[1])
    assert densities._known(run, None) is data.log_prob


def test_mistakes_in_the_condition_cost_a_line():
    cfg = vae_jax.default_config()
    for given, line in [
        ("lables", "unknown condition 'lables'"),
        ("labels(embeding=3)", "unknown argument of given 'embeding'"),
        ("labels(embedding=-1)", "a whole number is needed"),
    ]:
        cfg.given = given
        with pytest.raises(UserError, match=r"config\.given") as caught:
            vae_jax.fit(cfg, quiet=True)
        assert line in str(caught.value)
