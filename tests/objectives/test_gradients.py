"""The gradients: finite differences, unbiased estimators, their noise and their cost."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vae_jax
from tests.objectives.gradients import N, apart, branch, gradients, signal_to_noise
from vae_jax import build_model
from vae_jax.config import components


@pytest.mark.slow
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
    gradient = jax.jit(jax.grad(lambda p: tvo(model, p, key, x).surrogate))(params)
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
        np.testing.assert_allclose(branch(gradient, name), expected, rtol=1e-3, atol=1e-5)


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

    def surrogate(params):
        return objective(small[0], params, jax.random.key(3), bits).surrogate

    both = jax.jit(jax.value_and_grad(surrogate))
    f, gradient = lambda params: both(params)[0], both(small[1])[1]
    norm = np.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(gradient)))
    step = 0.01 / norm
    high, low = (
        f(jax.tree.map(lambda p, g, s=s: p + s * step * g, small[1], gradient)) for s in (1, -1)
    )
    np.testing.assert_allclose((high - low) / 0.02, norm, rtol=5e-3)


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
    for draws, expected in zip(miwae, estimators["standard", 4], strict=True):
        assert apart(draws, expected) < 5
        assert draws.var(0).sum() < 0.6 * expected.var(0).sum()

    def gradient(text):
        objective = partial(components.build("objectives", text), small[0])
        return jax.jit(jax.grad(lambda p: objective(p, jax.random.key(2), bits).surrogate))(
            small[1]
        )

    texts = (f"piwae({arguments})", f"miwae({arguments})", "iwae(num_samples=8)")
    piwae, encoder, decoder = map(gradient, texts)
    np.testing.assert_allclose(branch(piwae, "encoder"), branch(encoder, "encoder"), atol=1e-5)
    np.testing.assert_allclose(branch(piwae, "decoder"), branch(decoder, "decoder"), atol=1e-5)


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

    def of(text, seed):
        return gradients(model, params, bits[:1], text, 4000, seed)

    for text in ("elbo(kl='sampled', gradient='{}')", "iwae(num_samples=3, gradient='{}')"):
        estimator = "stl" if "elbo" in text else "dreg"
        for a, b in zip(of(text.format("standard"), 0), of(text.format(estimator), 1), strict=True):
            assert b.shape[1] == 0 or apart(a, b) < 5


@pytest.mark.slow
def test_the_path_derivative_is_without_noise_where_q_is_the_posterior(small, bits):
    """Decoder and encoder 0: p(z|x) = p(z) = N(0, I) = q(z|x)."""
    params = jax.tree.map(jnp.zeros_like, small[1])
    for text in ("elbo(gradient='stl')", "iwae(gradient='stl')", "iwae(gradient='dreg')"):
        assert np.abs(gradients(small[0], params, bits, text, 10)[0]).max() < 1e-6
    assert np.abs(gradients(small[0], params, bits, "elbo(kl='sampled')", 10)[0]).max() > 0.1


@pytest.mark.slow
def test_signal_to_noise_falls_with_k_unless_doubly_reparameterized(small, bits):
    """The encoder's: K^-1/2 by the standard estimator (Rainforth et al. 2018, theorem 1)."""
    ks = (4, 16, 64)
    slope = {}
    for g in ("standard", "dreg"):
        text = f"iwae(num_samples={{}}, gradient='{g}')"
        ratios = [signal_to_noise(gradients(*small, bits[:1], text.format(k), N)[0]) for k in ks]
        slope[g] = np.polyfit(np.log(ks), np.log(ratios), 1)[0]
    assert abs(slope["standard"] + 0.5) < 0.1
    assert slope["dreg"] > -0.1


@pytest.mark.slow
def test_dreg_decodes_once(bits):
    """The evaluation that gives w~ is merged with the one that is differentiated."""
    model = build_model((1, 5, 1), 2, encoder="mlp(hidden=(64,))", decoder="mlp(hidden=(64, 64))")
    params = model.init(jax.random.key(0), bits)

    def cost(gradient):
        def surrogate(params):
            return vae_jax.iwae(model, params, jax.random.key(0), bits, gradient=gradient).surrogate

        return (
            jax.jit(jax.value_and_grad(surrogate)).lower(params).compile().cost_analysis()["flops"]
        )

    assert cost("dreg") < 1.05 * cost("standard")
