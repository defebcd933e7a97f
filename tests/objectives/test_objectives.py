import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats

import vae_jax
from tests.compiled import compiled
from vae_jax import build_model
from vae_jax.batches.keys import example_keys
from vae_jax.config import components
from vae_jax.datasets import make_dataset
from vae_jax.divergences import kl_per_dimension
from vae_jax.errors import UserError
from vae_jax.estimators.quadrature import log_p_by_quadrature
from vae_jax.objectives.beta_tc import batch_weights
from vae_jax.objectives.elbo import OF_KL
from vae_jax.objectives.info_vae import squared_mmd
from vae_jax.objectives.renyi import power_mean
from vae_jax.runs.state import initial_state, optimization
from vae_jax.training.update import make_update
from vae_jax.types import Batch, Context

elbo, iwae, log_weights = map(compiled, (vae_jax.elbo, vae_jax.iwae, vae_jax.log_weights))
K = 6


def objective_of(text):
    return compiled(components.build("objectives", text))


@pytest.fixture(scope="module")
def keys(bits):
    return jax.random.split(jax.random.key(7), len(bits))


@pytest.fixture(scope="module")
def log_w(small, bits, keys):
    return np.asarray(log_weights(*small, keys, bits, K).log_weight, float)


@pytest.fixture(scope="module")
def moments(small, bits):
    """Means and standard deviations of q(z|x), `[12, 2]` each."""
    q = small[0].encode(small[1], bits).base_dist
    return np.asarray(q.loc, float), np.asarray(q.scale, float)


@pytest.fixture(scope="module")
def drawn(small, bits, keys):
    """The first draws of z, made again from what `log_weights` promises."""
    draw = lambda key, x: small[0].encode(small[1], x).sample(jax.random.fold_in(key, 0))  # noqa: E731
    return np.asarray(jax.vmap(draw)(keys, bits), float)


def log_mean(values):
    return np.log(np.mean([np.exp(v) for v in values]))


def riemann(log_w, betas):
    """The left Riemann sum, its expectations by self-normalized weights."""
    total = 0.0
    for low, high in itertools.pairwise(betas):
        w = [np.exp(low * v) for v in log_w]
        total += (high - low) * sum(a * b for a, b in zip(w, log_w, strict=True)) / sum(w)
    return total


DEFINITIONS = {
    "iwae(num_samples=6)": log_mean,
    "iwae(num_samples=6, gradient='stl')": log_mean,
    "iwae(num_samples=6, gradient='dreg')": log_mean,
    "miwae(num_samples=2, num_means=3)": lambda v: np.mean(
        [log_mean(v[i : i + 2]) for i in (0, 2, 4)]
    ),
    "piwae(num_samples=2, num_means=3)": log_mean,
    "ciwae(num_samples=6, beta=0.3)": lambda v: 0.3 * np.mean(v) + 0.7 * log_mean(v),
    "renyi(num_samples=6, alpha=0.4)": lambda v: log_mean(0.6 * v) / 0.6,
    "renyi(num_samples=6, alpha=3)": lambda v: log_mean(-2 * v) / -2,
    "renyi(num_samples=6, alpha=0)": log_mean,
    "renyi(num_samples=6, alpha=1)": np.mean,
    "renyi(num_samples=6, alpha=-1)": log_mean,
    "tvo(num_samples=6, partitions=1)": np.mean,
    "tvo(num_samples=6, partitions=3, first_beta=0.04)": lambda v: riemann(v, (0, 0.04, 0.2, 1)),
    "elbo(num_samples=6, gradient='stl')": np.mean,
    "elbo(num_samples=6, kl='sampled')": np.mean,
}


@pytest.mark.parametrize("text", DEFINITIONS)
def test_values_are_the_definitions(text, small, bits, keys, log_w):
    found = jax.jit(partial(components.build("objectives", text), small[0]))(small[1], keys, bits)
    expected = [DEFINITIONS[text](log_w[:, i]) for i in range(len(bits))]
    np.testing.assert_allclose(found.value, expected, rtol=1e-5)
    if text == "renyi(num_samples=6, alpha=-1)":  # what is maximized is above what is reported
        expected = [log_mean(2 * log_w[:, i]) / 2 for i in range(len(bits))]
    np.testing.assert_allclose(found.surrogate, np.mean(expected), rtol=1e-5)


@pytest.mark.parametrize("power", [2.0, 1e-2, 1e-5, 1e-9, 0.0, -1e-9, -1e-3, -2.0])
def test_a_power_mean_is_exact_near_the_geometric_mean(power):
    log_w = np.float32(np.random.default_rng(0).normal(-90, 5, (7, 4)))
    wide = np.longdouble(log_w)
    # By the cumulants where the power is small, so that nothing cancels.
    series = wide.mean(0) + power / 2 * wide.var(0) + power**2 / 6 * scipy.stats.moment(wide, 3)
    expected = series
    if abs(power) > 1e-4:
        expected = np.log(np.exp(power * (wide + 90)).mean(0)) / power - 90
    narrow = jnp.asarray(log_w)
    found, gradient = (
        power_mean(narrow, power),
        jax.grad(lambda v: power_mean(v, power).sum())(narrow),
    )
    np.testing.assert_allclose(found, np.float64(expected), rtol=3e-7)
    weights = scipy.special.softmax(power * log_w.astype(float), axis=0)
    np.testing.assert_allclose(gradient, weights, atol=1e-5)


def test_power_means_overflow_nowhere():
    log_w = jnp.array([[-1e4, 1e4], [-2e4, 2e4], [-3e4, 3e4]])
    for power in (1.0, 0.01, 1e-6, -1.0):
        found, gradient = jax.value_and_grad(lambda v, p=power: power_mean(v, p).sum())(log_w)
        assert jnp.isfinite(found)
        assert jnp.isfinite(gradient).all()


def test_tvo_lies_between_elbo_and_iwae_draw_by_draw(small, bits, keys, log_w):
    tight = np.asarray(iwae(*small, keys, bits, num_samples=K).value)
    for partitions in (2, 5):
        tvo = objective_of(f"tvo(num_samples={K}, partitions={partitions})")
        value = np.asarray(tvo(*small, keys, bits).value)
        assert (value >= log_w.mean(0) - 1e-5).all()
        assert (value <= tight + 1e-5).all()
    fine = [riemann(log_w[:, i], [0, *np.geomspace(0.001, 1, 400)]) for i in range(len(bits))]
    np.testing.assert_allclose(fine, tight, atol=0.01)


def branch(gradient, name):
    leaves = [np.asarray(leaf, float) for leaf in jax.tree.leaves(gradient[name])]
    return np.concatenate([leaf.reshape(-1) for leaf in leaves])


@pytest.mark.parametrize("posterior", ["diag_normal", "full_normal"])
def test_tvo_gradient_is_the_covariance_estimate(posterior, bits):
    """Per-draw Jacobians at fixed z, put together in NumPy by the formula of Masrani et al."""
    parts = {"encoder": "mlp(hidden=(4,))", "decoder": "mlp(hidden=(4,))", "posterior": posterior}
    model, key, x = build_model((1, 5, 1), 2, **parts), jax.random.key(4), bits[2]
    params = model.init(jax.random.key(1), bits)
    z = [model.encode(params, x).sample(jax.random.fold_in(key, k)) for k in range(3)]

    def terms(params):
        q, p = model.encode(params, x), model.prior(params)
        joint = [model.decode(params, z_k).log_prob(x) + p.log_prob(z_k) for z_k in z]
        return jnp.stack([jnp.stack(joint), jnp.stack([q.log_prob(z_k) for z_k in z])])

    log_p, log_q = np.asarray(terms(params), float)
    jacobian = jax.jit(jax.jacrev(terms))(params)
    f = log_p - log_q
    tvo = components.build("objectives", "tvo(num_samples=3, partitions=2, first_beta=0.3)")
    found = jax.jit(jax.grad(lambda p: tvo(model, p, key, x).surrogate))(params)
    for name in ("encoder", "decoder"):
        d_log_p, d_log_q = (
            np.concatenate(
                [np.asarray(a[i]).reshape(3, -1) for a in jax.tree.leaves(jacobian[name])], 1
            )
            for i in (0, 1)
        )
        expected = 0.0
        for beta, width in ((0.0, 0.3), (0.3, 0.7)):
            w = np.exp(beta * f) / np.exp(beta * f).sum()
            path = beta * d_log_p + (1 - beta) * d_log_q
            covariance = w @ (f[:, None] * path) - (w @ f) * (w @ path)
            expected = expected + width * (w @ (d_log_p - d_log_q) + covariance)
        np.testing.assert_allclose(branch(found, name), expected, rtol=1e-3, atol=1e-5)


def test_beta_tc_is_its_definition(small, bits, keys, moments, drawn):
    """Chen et al. 2018, by loops over draws, examples and dimensions."""
    mean, scale = moments
    n, size = 50, len(bits)
    density = np.array(
        [[scipy.stats.norm(mean[k], scale[k]).pdf(z) for k in range(size)] for z in drawn]
    )
    log_p = scipy.stats.norm.logpdf(drawn).sum(1)
    plain = elbo(*small, keys, bits, kl="sampled")
    likelihood = float(plain.terms["log_likelihood"].mean())
    for kind in ("stratified", "weighted"):
        information = total_correlation = rest = 0.0
        for i in range(size):
            w = np.full(size, 1 / (n * size))
            if kind == "stratified":
                w = np.full(size, 1 / (size - 1))
                w[i], w[(i + 1) % size] = 1 / n, (n - size + 1) / (n * (size - 1))
            q_z = sum(w[k] * density[i, k].prod() for k in range(size))
            each = np.prod([sum(w[k] * density[i, k, j] for k in range(size)) for j in range(2)])
            information += np.log(density[i, i].prod() / q_z) / size
            total_correlation += np.log(q_z / each) / size
            rest += (np.log(each) - log_p[i]) / size
        text = f"beta_tc(alpha=0.7, beta=4, gamma=1.3, weights='{kind}')"
        found = objective_of(text)(*small, keys, bits, Context(num_examples=n))
        expected = likelihood - 0.7 * information - 4 * total_correlation - 1.3 * rest
        np.testing.assert_allclose(found.surrogate, expected, rtol=1e-5)
        np.testing.assert_array_equal(found.value, elbo(*small, keys, bits).value)
        apart = objective_of(f"beta_tc(beta=1, weights='{kind}')")
        np.testing.assert_allclose(apart(*small, keys, bits).surrogate, plain.surrogate, rtol=1e-5)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_stratified_weights_estimate_the_aggregate_without_bias(size):
    """Over all batches of 5 examples that have x_i in row r, the mean of W q is 1/N sum_n q_n."""
    density = np.random.default_rng(0).uniform(size=5)
    weights = batch_weights(size, 5)
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_allclose(np.diag(weights), 1 / 5)
    for i, row in itertools.product(range(5), range(size)):
        others = itertools.permutations([n for n in range(5) if n != i], size - 1)
        batches = [[*rest[:row], i, *rest[row:]] for rest in others]
        np.testing.assert_allclose(
            np.mean([weights[row] @ density[b] for b in batches]), density.mean()
        )


def test_an_objective_is_told_the_step_and_the_size_of_the_training_set(small, bits):
    contexts = []

    def objective(model, params, key, batch, context):
        contexts.append(context)
        assert batch.given is batch.observed is None
        return vae_jax.elbo(model, params, key, batch, context)

    rule, dataset = optimization(optax.sgd(0.1)), make_dataset({"train": bits, "test": bits})
    update = make_update(small[0], objective, rule, dataset)
    state = initial_state(small[0], rule, jax.random.key(0), Batch(jnp.asarray(bits)))
    jax.eval_shape(update, state, example_keys(jax.random.key(0), jax.numpy.arange(3)), bits[:3])
    [context] = contexts
    assert context.num_examples == 12
    assert context.step.shape == ()


@pytest.mark.parametrize("kernel", ["gaussian", "inverse_multiquadratic"])
def test_info_vae_is_its_definition(kernel, small, bits, keys, drawn):
    prior = np.array(
        [small[0].prior(small[1]).sample(jax.random.fold_in(k, 1)) for k in keys], float
    )
    s2 = 0.7**2 * 2

    def k(a, b):
        d2 = ((a - b) ** 2).sum()
        return np.exp(-d2 / (2 * s2)) if kernel == "gaussian" else 2 * s2 / (2 * s2 + d2)

    n, mmd = len(bits), 0.0
    for i, j in itertools.product(range(n), range(n)):
        mmd -= 2 * k(drawn[i], prior[j]) / n**2
        if i != j:
            mmd += (k(drawn[i], drawn[j]) + k(prior[i], prior[j])) / (n * (n - 1))
    terms = elbo(*small, keys, bits).terms
    expected = (terms["log_likelihood"] - 0.8 * terms["kl"]).mean() - 30 * mmd
    text = f"info_vae(alpha=0.2, weight=30, kernel='{kernel}', bandwidth=0.7)"
    found = objective_of(text)(*small, keys, bits)
    np.testing.assert_allclose(found.surrogate, expected, rtol=1e-5)


def test_mmd_is_zero_in_the_mean_between_equals_only():
    a, b = jax.random.normal(jax.random.key(0), (2, 4000, 5, 2))
    same, other = jax.vmap(squared_mmd)(a, b), jax.vmap(squared_mmd)(a, b + 1)
    assert abs(same.mean()) < 5 * same.std() / 4000**0.5
    assert other.mean() > 50 * other.std() / 4000**0.5


@pytest.mark.parametrize("kind", [1, 2])
def test_dip_is_its_definition(kind, small, bits, keys, moments):
    mean, scale = moments
    covariance = np.cov(mean.T, bias=True) + (kind == 2) * np.diag((scale**2).mean(0))
    penalty = 3 * 2 * covariance[0, 1] ** 2 + 7 * ((np.diag(covariance) - 1) ** 2).sum()
    dip = objective_of(f"dip(kind={kind}, off_diagonal=3, diagonal=7)")
    expected = elbo(*small, keys, bits).surrogate - penalty
    np.testing.assert_allclose(dip(*small, keys, bits).surrogate, expected, rtol=1e-5)


@pytest.mark.slow
def test_dip_has_the_whole_covariance_of_a_full_normal(bits):
    model = build_model((1, 5, 1), 2, posterior="full_normal", decoder="linear")
    params = model.init(jax.random.key(0), bits)
    q = model.encode(params, bits)
    covariance = np.cov(q.loc.T, bias=True) + np.mean(
        [s @ s.T for s in np.asarray(q.scale_tril)], 0
    )
    penalty = 10 * ((covariance - np.eye(2)) ** 2).sum()
    bound = objective_of("dip")(model, params, jax.random.key(1), bits)
    expected = elbo(model, params, jax.random.key(1), bits).surrogate - penalty
    np.testing.assert_allclose(bound.surrogate, expected, rtol=1e-5)


NAMES = components.names("objectives")
VARIANTS = [
    "renyi(alpha=-2)",
    "renyi(alpha=2)",
    "iwae(gradient='dreg')",
    "elbo(gradient='stl', capacity=9.0)",
]


@pytest.mark.parametrize("text", [*NAMES, *VARIANTS])
def test_every_value_is_a_lower_bound(text, small):
    """Means over 400 keys, log p(x) by quadrature, for all x of 5 bits; in standard errors."""
    x = jnp.array(list(itertools.product([0.0, 1.0], repeat=5))).reshape(32, 1, 5, 1)
    objective = partial(components.build("objectives", text), *small)
    values = jax.jit(jax.vmap(lambda key: objective(key, x).value))(
        jax.random.split(jax.random.key(0), 400)
    )
    truth = log_p_by_quadrature(*small, x, points=100, margin=2.0)
    assert (values.mean(0) < truth + 5 * values.std(0, ddof=1) / 20 + 1e-5).all()


@pytest.mark.parametrize("text", NAMES)
def test_one_example_without_a_batch_axis(text, small, bits):
    objective = partial(components.build("objectives", text), small[0])

    def bound(params):
        found = objective(params, jax.random.key(0), bits[0])
        return found.surrogate, found.value

    gradient, value = jax.jit(jax.grad(bound, has_aux=True))(small[1])
    assert value.shape == ()
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


FUNCTIONS = [
    "elbo(beta=2)",
    "elbo(kl='sampled', num_samples=3)",
    "elbo(free_bits=0.1)",
    "elbo(capacity=3)",
    "iwae",
    "miwae(num_samples=2, num_means=2)",
    "ciwae",
    "renyi",
    "renyi(alpha=-1)",
    "renyi(alpha=0.99999)",
    "beta_tc",
    "info_vae",
    "dip",
]


@pytest.mark.slow
@pytest.mark.parametrize("text", FUNCTIONS)
def test_gradients_are_those_of_the_surrogate(text, small, bits):
    """Central differences along the gradient, with the key fixed."""
    objective = components.build("objectives", text)
    surrogate = lambda params: objective(small[0], params, jax.random.key(3), bits).surrogate  # noqa: E731
    both = jax.jit(jax.value_and_grad(surrogate))
    f, gradient = lambda params: both(params)[0], both(small[1])[1]
    norm = np.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(gradient)))
    step = 0.01 / norm
    high, low = (
        f(jax.tree.map(lambda p, g, s=s: p + s * step * g, small[1], gradient)) for s in (1, -1)
    )
    np.testing.assert_allclose((high - low) / 0.02, norm, rtol=5e-3)


def gradients(model, params, x, text, n, seed=0):
    """The surrogate's gradients with n keys: `[n, parameters]` of the encoder and the rest."""
    objective = components.build("objectives", text)

    @jax.jit
    def all_of_them(keys):
        one = lambda key: jax.grad(lambda p: objective(model, p, key, x).surrogate)(params)  # noqa: E731
        return jax.lax.map(one, keys, batch_size=1000)

    found = all_of_them(jax.random.split(jax.random.key(seed), n))
    inference = {name: found.pop(name) for name in ("encoder", "posterior")}
    flat = lambda tree: [np.asarray(leaf).reshape(n, -1) for leaf in jax.tree.leaves(tree)]  # noqa: E731
    return [np.concatenate(flat(tree), 1) for tree in (inference, found)]


def apart(a, b):
    """The largest difference of means, in standard errors, over the parameters that are used."""
    error = np.sqrt(a.var(0) / len(a) + b.var(0) / len(b))
    used = error > 1e-6
    assert used.sum() > 5
    return np.abs((a.mean(0) - b.mean(0))[used] / error[used]).max()


N = 10_000


@pytest.fixture(scope="module")
def estimators(small, bits):
    """Gradients by estimator and K, each estimator with keys of its own."""
    texts = {g: f"iwae(num_samples={{}}, gradient='{g}')" for g in ("standard", "stl", "dreg")}
    return {
        (g, k): gradients(*small, bits[:2], text.format(k), N, seed)
        for seed, (g, text) in enumerate(texts.items())
        for k in (1, 4)
    }


def test_dreg_is_unbiased_and_stl_for_one_draw_only(estimators):
    for k, g in itertools.product((1, 4), ("stl", "dreg")):
        (encoder, rest), (true_encoder, true_rest) = estimators[g, k], estimators["standard", k]
        assert apart(rest, true_rest) < 5
        distance = apart(encoder, true_encoder)
        assert distance > 20 if (g, k) == ("stl", 4) else distance < 5


@pytest.mark.slow
def test_miwae_and_piwae_teach_what_they_say(small, bits, estimators):
    """MIWAE's gradient is IWAE_K's in the mean; PIWAE's decoder has IWAE_MK's, its encoder MIWAE's."""
    sizes = {"num_samples": 4, "num_means": 2}
    arguments = ", ".join(f"{name}={size}" for name, size in sizes.items())
    miwae = gradients(*small, bits[:2], f"miwae({arguments})", N, 5)
    for found, expected in zip(miwae, estimators["standard", 4], strict=True):
        assert apart(found, expected) < 5
        assert found.var(0).sum() < 0.6 * expected.var(0).sum()

    def gradient(text):
        objective = partial(components.build("objectives", text), small[0])
        return jax.jit(jax.grad(lambda p: objective(p, jax.random.key(2), bits).surrogate))(
            small[1]
        )

    texts = (f"piwae({arguments})", f"miwae({arguments})", "iwae(num_samples=8)")
    found, encoder, decoder = map(gradient, texts)
    np.testing.assert_allclose(branch(found, "encoder"), branch(encoder, "encoder"), atol=1e-5)
    np.testing.assert_allclose(branch(found, "decoder"), branch(decoder, "decoder"), atol=1e-5)


@pytest.mark.slow
def test_tvo_with_one_partition_has_the_gradient_of_the_elbo(small, bits, estimators):
    """In the mean; the covariance of K draws, with divisor K, is (K - 1) / K of the true one."""
    encoder, rest = gradients(*small, bits[:2], "tvo(num_samples=5, partitions=1)", N, 6)
    true_encoder, true_rest = estimators["standard", 1]
    assert apart(5 / 4 * encoder, true_encoder) < 5
    assert apart(rest, true_rest) < 5


@pytest.mark.slow
@pytest.mark.parametrize(
    "parts", [{"posterior": "full_normal"}, {"posterior": "iaf"}, {"prior": "vamp(components=5)"}]
)
def test_estimators_are_unbiased_with_other_parts(parts, bits):
    """A density from intermediates, a flow, and a prior that depends on the encoder's parameters."""
    model = build_model(
        (1, 5, 1), 2, encoder="mlp(hidden=(4,))", decoder="mlp(hidden=(4,))", **parts
    )
    params = jax.tree.map(lambda p: 1.5 * p, model.init(jax.random.key(0), bits))
    of = lambda text, seed: gradients(model, params, bits[:1], text, 4000, seed)  # noqa: E731
    for text in ("elbo(kl='sampled', gradient='{}')", "iwae(num_samples=3, gradient='{}')"):
        estimator = "stl" if "elbo" in text else "dreg"
        for a, b in zip(of(text.format("standard"), 0), of(text.format(estimator), 1), strict=True):
            assert b.shape[1] == 0 or apart(a, b) < 5


def test_the_path_derivative_is_without_noise_where_q_is_the_posterior(small, bits):
    """Decoder and encoder 0: p(z|x) = p(z) = N(0, I) = q(z|x)."""
    params = jax.tree.map(jnp.zeros_like, small[1])
    for text in ("elbo(gradient='stl')", "iwae(gradient='stl')", "iwae(gradient='dreg')"):
        assert np.abs(gradients(small[0], params, bits, text, 10)[0]).max() < 1e-6
    assert np.abs(gradients(small[0], params, bits, "elbo(kl='sampled')", 10)[0]).max() > 0.1


def signal_to_noise(found):
    """|mean| / standard deviation over all parameters; the mean's own noise is taken off."""
    variance = found.var(0, ddof=1).sum()
    return np.sqrt((found.mean(0) ** 2).sum() - variance / len(found)) / np.sqrt(variance)


@pytest.mark.slow
def test_signal_to_noise_falls_with_k_unless_doubly_reparameterized(small, bits):
    """The encoder's: K^-1/2 by the standard estimator (Rainforth et al. 2018, theorem 1)."""
    ks = (4, 16, 64)
    slope = {}
    for g in ("standard", "dreg"):
        text = f"iwae(num_samples={{}}, gradient='{g}')"
        found = [signal_to_noise(gradients(*small, bits[:1], text.format(k), N)[0]) for k in ks]
        slope[g] = np.polyfit(np.log(ks), np.log(found), 1)[0]
    assert abs(slope["standard"] + 0.5) < 0.1
    assert slope["dreg"] > -0.1


@pytest.mark.slow
def test_dreg_decodes_once(bits):
    """The evaluation that gives w~ is merged with the one that is differentiated."""
    model = build_model((1, 5, 1), 2, encoder="mlp(hidden=(64,))", decoder="mlp(hidden=(64, 64))")
    params = model.init(jax.random.key(0), bits)

    def cost(gradient):
        f = lambda p: iwae(model, p, jax.random.key(0), bits, gradient=gradient).surrogate  # noqa: E731
        return jax.jit(jax.value_and_grad(f)).lower(params).compile().cost_analysis()["flops"]

    assert cost("dreg") < 1.05 * cost("standard")


def test_schedules_and_floors_of_the_elbo(small, bits, keys):
    plain = vae_jax.elbo(*small, keys, bits)
    likelihood, kl = (float(plain.terms[name].mean()) for name in ("log_likelihood", "kl"))
    cycle = {"warmup_steps": 4, "cycle_steps": 10}
    for options, step, penalty in (
        *((cycle, step, weight * kl) for step, weight in ((0, 0), (3, 0.75), (4, 1), (9, 1))),
        *((cycle, step, weight * kl) for step, weight in ((10, 0), (11, 0.25), (27, 1), (None, 1))),
        ({"free_bits_total": 0.5 * kl}, 0, kl),
        ({"free_bits_total": 2 * kl, "beta": 3.0}, 0, 6 * kl),
        ({"capacity": 3 * kl}, 0, 2 * kl),
        ({"capacity": 0.0, "beta": 2.0}, None, 2 * kl),
        ({"capacity": 3 * kl, "capacity_steps": 6}, 4, kl),
        ({"capacity": 3 * kl, "capacity_steps": 6}, 1, kl / 2),
        ({"capacity": 3 * kl, "capacity_steps": 6, "beta": 5.0}, 99, 10 * kl),
        ({"capacity": 3 * kl, "capacity_steps": 6}, None, 2 * kl),
    ):
        found = vae_jax.elbo(*small, keys, bits, Context(step), **options)
        np.testing.assert_allclose(found.surrogate, likelihood - penalty, rtol=1e-5)
        np.testing.assert_array_equal(found.value, plain.value)
    sampled = vae_jax.elbo(*small, keys, bits, kl="sampled", free_bits_total=100.0)
    np.testing.assert_allclose(sampled.surrogate, likelihood - 100, rtol=1e-5)
    per_dimension = kl_per_dimension(small[0].encode(small[1], bits), small[0].prior(small[1]))
    np.testing.assert_allclose(per_dimension.sum(-1), plain.terms["kl"], rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("elbo(gradient='stl', kl='closed_form')", "'stl' is of a sampled KL"),
        ("elbo(gradient='stl', free_bits=0.1)", "'stl' is of a sampled KL"),
        ("elbo(kl='sampled', free_bits=0.1)", "free_bits needs the closed form"),
        ("elbo(free_bits=0.1, free_bits_total=1)", "choose one"),
        ("elbo(free_bits_total=1, capacity=2)", "choose one"),
        ("elbo(capacity=-2)", "capacity=-2: a number of 0 or more"),
        ("elbo(capacity_steps=5)", "without a capacity"),
        ("elbo(cycle_steps=5)", "fits into it"),
        ("elbo(cycle_steps=5, warmup_steps=6)", "fits into it"),
        ("elbo(beta=-1)", "beta=-1: a number of 0 or more"),
        ("iwae(num_samples=0)", "a positive integer"),
        ("miwae(num_means=0)", "num_means=0"),
        ("piwae(num_samples=0)", "a positive integer"),
        ("ciwae(beta=1.5)", "from 0 to 1"),
        ("renyi(alpha=1e999)", "cannot read"),
        ("tvo(num_samples=1)", "an integer of 2 or more"),
        ("tvo(partitions=0)", "a positive integer"),
        ("tvo(first_beta=1)", "between 0 and 1"),
        ("beta_tc", "independent latent dimensions"),
        ("beta_tc(beta=-1)", "0 or more"),
        ("info_vae(alpha=2)", "at most 1"),
        ("info_vae(bandwidth=0)", "positive"),
        ("info_vae(weight=-1)", "0 or more"),
        ("dip", r"needs E\[z\|x\]"),
        ("dip(diagonal=-1)", "0 or more"),
    ],
)
def test_objectives_refuse_in_one_line(text, message, bits):
    model = build_model((1, 5, 1), 2, posterior="planar", decoder="linear", encoder="linear")
    params = model.init(jax.random.key(0), bits)
    with pytest.raises(UserError, match=message) as error:
        components.build("objectives", text)(model, params, jax.random.key(0), bits)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("prior", ["standard_normal", "mixture(components=3)"])
@pytest.mark.parametrize(
    "name", [*components.names("kl_estimators"), "stratified(least_replicates=2)"]
)
def test_the_kl_may_be_any_estimator_and_a_biased_one_is_never_reported(
    name, prior, small, bits, keys
):
    """The estimate from a key of its own is what is differentiated; the rest is as without it."""
    model = build_model(
        (1, 5, 1), 2, encoder="mlp(hidden=(8,))", decoder="mlp(hidden=(8,))", prior=prior
    )
    params = small[1] | {"prior": model.init(jax.random.key(3), bits)["prior"]}
    estimator = components.build("kl_estimators", name)

    @jax.jit
    def estimates(params):
        def one(key, x):
            q, p = model.encode(params, x), model.prior(params)
            return estimator(jax.random.fold_in(key, OF_KL), q, p, 8).value

        return jax.vmap(one)(keys, bits)

    usual, bound = (elbo(model, params, keys, bits, num_samples=8, kl=kl) for kl in ("auto", name))
    likelihood = usual.terms["log_likelihood"]
    np.testing.assert_allclose(bound.terms["log_likelihood"], likelihood, rtol=1e-5)
    penalty = likelihood.mean() - bound.surrogate
    np.testing.assert_allclose(penalty, estimates(params).mean(), rtol=1e-3, atol=1e-5)
    reported = usual.terms["kl"] if name == "half_squared" else estimates(params)
    np.testing.assert_allclose(bound.value, likelihood - reported, rtol=1e-4, atol=1e-5)
    assert bound.terms.keys() == {"log_likelihood", "kl"}


def test_the_gradient_is_that_of_the_estimator(small, bits, keys):
    """A biased estimator is differentiated, though its value is not reported."""
    model, params = small

    def surrogate(params, kl):
        return vae_jax.elbo(model, params, keys, bits, num_samples=4, kl=kl).surrogate

    def by_hand(params):
        def one(key, x):
            q = model.encode(params, x)
            z = q.sample(jax.random.fold_in(key, OF_KL), (4,))
            return jnp.mean((q.log_prob(z) - model.prior(params).log_prob(z)) ** 2) / 2

        likelihood = vae_jax.elbo(model, params, keys, bits, num_samples=4).terms["log_likelihood"]
        return likelihood.mean() - jax.vmap(one)(keys, bits).mean()

    ours, expected = (
        jax.jit(jax.grad(partial(surrogate, kl="half_squared")))(params),
        jax.jit(jax.grad(by_hand))(params),
    )
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5), ours, expected)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"kl": "plane"}, "did you mean 'plain'"),
        ({"kl": "plain", "free_bits": 0.1}, "free_bits needs the closed form"),
        ({"kl": "plain", "gradient": "stl"}, "gradient='stl'"),
        ({"kl": "closed_form", "gradient": "stl"}, "gradient='stl'"),
    ],
)
def test_a_kl_that_does_not_go_with_the_rest_is_refused(options, expected, small, bits, keys):
    with pytest.raises(UserError, match=expected):
        vae_jax.elbo(*small, keys, bits, **options)
