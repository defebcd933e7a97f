# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3. The ELBO
#
# **Question.** $\log p_\theta(x)$ is an integral that cannot be done. Training needs something in its place:
# where does the *evidence lower bound* come from, and how far below $\log p_\theta(x)$ does it lie?
#
# The [last notebook](02_a_latent_variable.ipynb) asked for an *encoder* $q_\phi(z \mid x)$ that says which $z$ are worth
# a look. Here is what follows from having one, whatever it is:
#
# $$\log p_\theta(x) \;\ge\;
#   \underbrace{\mathbb{E}_{q_\phi(z \mid x)}\left[\log p_\theta(x \mid z)\right]
#   - D_{\mathrm{KL}}\left(q_\phi(z \mid x) \,\|\, p(z)\right)}_{\text{ELBO}} .$$
#
# There are ten lines from the left to the right. Nine of them say "=", one says "≥". This notebook computes every line, on a
# model where everything is known, in double precision, so that "=" can be held to thirteen
# digits, which is all that double precision allows after a dozen operations.

# %%
import jax

jax.config.update("jax_enable_x64", True)  # before anything is computed

# %%
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from numpyro.distributions import MultivariateNormal, Normal

from vae_jax import build_model, elbo
from vae_jax.divergences import closed_form_kl
from vae_jax.estimators.exact import exact_posterior, marginal
from vae_jax.estimators.quadrature import expectation

plt.style.use("vae_jax.paper")

# %% [markdown]
# ## A model in which everything is known
#
# The prior is $\mathcal{N}(0, I)$ in two dimensions and the decoder linear, $p_\theta(x \mid z) = \mathcal{N}(x; W z + b, s^2 I)$ in
# four. Then the *evidence* $p_\theta(x)$ and the *posterior* $p_\theta(z \mid x)$ are normals with known means and covariances
# (`exact`, `exact_posterior`). The encoder is linear as well, with a diagonal covariance. It has not been
# trained: its $q_\phi(z \mid x)$ is no good, and nothing in the derivation needs it to be.

# %%
model = build_model((4,), 2, encoder="linear", decoder="linear", likelihood="normal(scale=0.8)")
params = model.init(jax.random.key(0), jnp.zeros((1, 4)))
params = jax.tree.map(lambda leaf: leaf.astype(float), params)
params["decoder"]["Dense_0"]["kernel"] = jnp.array([[1.0, 0.5, -0.4, 0.8], [0.8, 0.9, 0.2, 0.3]])
x = jnp.array([0.9, -0.4, 0.3, 1.6])

prior = model.prior(params)  # p(z)
q = model.encode(params, x)  # q(z|x)
posterior = exact_posterior(model, params, x)  # p(z|x)
log_evidence = marginal(model, params, (4,)).log_prob(x)  # log p(x), a number
print("q:        mean", q.mean, " standard deviations", jnp.sqrt(q.variance))
print("p(z|x):   mean", posterior.mean, " standard deviations", jnp.sqrt(posterior.variance))
assert log_evidence.dtype == jnp.float64


# %% [markdown]
# $\mathbb{E}_q[f(z)]$, the average over the encoder's $z$, is an integral over two dimensions. `expectation` does it by
# Gauss-Hermite quadrature, a weighted sum over a few points that is exact for polynomials of low degree;
# all logarithms of normals are quadratic, so here it is exact, but for the sixteenth digit.


# %%
def E(f):
    """E_q f(z), nats where f is a logarithm."""
    return float(expectation(f, q, points=8))


log_q = q.log_prob  # z -> log q(z|x), and so on
log_prior, log_posterior = prior.log_prob, posterior.log_prob
log_likelihood = lambda z: model.decode(params, z).log_prob(x)
log_joint = lambda z: log_likelihood(z) + log_prior(z)  # log p(x, z) = log p(x|z) p(z)

side = jnp.linspace(-12, 12, 1201)  # line (1) wants the integral of q itself: a sum over a grid
mass = jnp.exp(log_q(jnp.stack(jnp.meshgrid(side, side), -1))).sum() * (side[1] - side[0]) ** 2
assert np.isclose(mass, 1, rtol=1e-13)

# %% [markdown]
# ## The derivation, line by line
#
# $$
# \begin{aligned}
# \log p_\theta(x)
# &= \log p_\theta(x) \int q_\phi(z \mid x)\, dz && (1)\ \text{a density integrates to 1} \\
# &= \int q_\phi(z \mid x) \log p_\theta(x)\, dz && (2)\ \text{a constant goes inside} \\
# &= \mathbb{E}_q\left[\log \frac{p_\theta(x, z)}{p_\theta(z \mid x)}\right] && (3)\ p(x, z) = p(z \mid x)\, p(x) \\
# &= \mathbb{E}_q\left[\log \frac{p_\theta(x, z)\; q_\phi(z \mid x)}{p_\theta(z \mid x)\; q_\phi(z \mid x)}\right] && (4)\ \text{times 1} \\
# &= \mathbb{E}_q\left[\log \frac{p_\theta(x, z)}{q_\phi(z \mid x)}\right] + \mathbb{E}_q\left[\log \frac{q_\phi(z \mid x)}{p_\theta(z \mid x)}\right] && (5)\ \text{the log of a product} \\
# &= \mathbb{E}_q\left[\log \frac{p_\theta(x, z)}{q_\phi(z \mid x)}\right] + D_{\mathrm{KL}}\left(q_\phi(z \mid x) \,\|\, p_\theta(z \mid x)\right) && (6)\ \text{what a KL is} \\
# &\ge \mathbb{E}_q\left[\log \frac{p_\theta(x, z)}{q_\phi(z \mid x)}\right] && (7)\ \text{a KL is not negative} \\
# &= \mathbb{E}_q\left[\log \frac{p_\theta(x \mid z)\, p(z)}{q_\phi(z \mid x)}\right] && (8)\ p(x, z) = p(x \mid z)\, p(z) \\
# &= \mathbb{E}_q\left[\log p_\theta(x \mid z)\right] - \mathbb{E}_q\left[\log \frac{q_\phi(z \mid x)}{p(z)}\right] && (9)\ \text{the log of a product} \\
# &= \mathbb{E}_q\left[\log p_\theta(x \mid z)\right] - D_{\mathrm{KL}}\left(q_\phi(z \mid x) \,\|\, p(z)\right) && (10)\ \text{what a KL is}
# \end{aligned}
# $$
#
# The same, by the computer. `closed_form_kl` is a formula for the KL of two normals, and
# knows nothing of quadrature.

# %%
full_q = MultivariateNormal(q.mean, jnp.diag(q.variance))  # the same q, as the formula wants it
lines = {
    1: log_evidence * mass,
    2: E(lambda z: jnp.full(z.shape[:-1], log_evidence)),
    3: E(lambda z: log_joint(z) - log_posterior(z)),
    4: E(lambda z: log_joint(z) + log_q(z) - log_posterior(z) - log_q(z)),
    5: E(lambda z: log_joint(z) - log_q(z)) + E(lambda z: log_q(z) - log_posterior(z)),
    6: E(lambda z: log_joint(z) - log_q(z)) + closed_form_kl(full_q, posterior),
    7: E(lambda z: log_joint(z) - log_q(z)),
    8: E(lambda z: log_likelihood(z) + log_prior(z) - log_q(z)),
    9: E(log_likelihood) - E(lambda z: log_q(z) - log_prior(z)),
    10: E(log_likelihood) - closed_form_kl(q, prior),
}

# %%
lines = {number: float(value) for number, value in lines.items()}
print(f"log p(x) = {log_evidence:.14f} nats")
for number, value in lines.items():
    print(f"line {number:2d}:   {'≥' if number == 7 else '='} {value:.14f}")

upper, lower = [lines[i] for i in range(1, 7)], [lines[i] for i in range(7, 11)]
np.testing.assert_allclose(upper, float(log_evidence), rtol=1e-13)
np.testing.assert_allclose(lower, lines[10], rtol=1e-13)
gap = float(closed_form_kl(full_q, posterior))
print(f"line 6 - line 7 = {lines[6] - lines[7]:.14f}; KL(q || p(z|x)) = {gap:.14f}")
assert lines[7] < lines[6]
np.testing.assert_allclose(log_evidence - lines[10], gap, rtol=1e-12)

# %% tags=["cover"]
figure, axes = plt.subplots(figsize=(8.6, 3.2))
axes.axhline(log_evidence, color="k", lw=0.8, ls="--")
axes.fill_between([6.6, 10.4], lines[10], log_evidence, color="C1", alpha=0.2, lw=0)
for number, value in lines.items():
    colour = "C0" if number < 7 else "C1"
    axes.hlines(value, number - 0.4, number + 0.4, color=colour, lw=5)
    axes.text(number, value - 0.09, f"{value:.4f}", ha="center", va="top", fontsize="small")
label = r"left out: $D_{\mathrm{KL}}(q_\phi(z \mid x) \,\|\, p_\theta(z \mid x))$"
axes.text(8.5, lines[10] + gap / 2, label, ha="center", va="center")
axes.text(0.4, log_evidence + 0.12, r"$\log p_\theta(x)$")
axes.text(6.5, lines[10], "ELBO", ha="right", va="center")
axes.set(xlabel="line of the derivation", ylabel="nats", xlim=(0.3, 10.7))
axes.set_ylim(lines[10] - 0.4, log_evidence + 0.4)
_ = axes.set_xticks(range(1, 11), [f"({i})" for i in range(1, 11)])

# %% [markdown]
# So the whole of the "≥" is one term that is left out, $D_{\mathrm{KL}}(q_\phi(z \mid x) \,\|\, p_\theta(z \mid x))$: how far
# the encoder is from the true posterior. It is left out because it cannot be computed, the posterior being what
# nobody knows; and it can be left out because it is never negative. What is left contains the decoder, the prior and
# the encoder, which are all known functions.
#
# ## Three ways to write the same number
#
# Lines 8 to 10 are the ELBO in other words, and there is one more:
#
# - **reconstruction and KL**, line 10: explain $x$ from draws of the encoder, and keep the encoder close to the prior;
# - **log weights**, line 8: the average of $\log w$, $w = p_\theta(x \mid z)\, p(z) / q_\phi(z \mid x)$, where $w$ has
#   the average $p_\theta(x)$;
# - **energy and entropy**: $\mathbb{E}_q[\log p_\theta(x, z)] + \mathbb{H}[q_\phi(z \mid x)]$: put mass where the joint
#   density is high, but stay spread out.
#
# They differ as soon as the average over $q$ is taken by draws of $z$, as it is in training. `elbo` does that; with
# `kl='closed_form'` it is line 10, with `kl='sampled'` line 8. Same mean, other noise.

# %%
entropy = float(q.base_dist.entropy().sum())
assert np.isclose(E(log_joint) + entropy, lines[10], rtol=1e-13)
keys = jax.random.split(jax.random.key(1), 2000)
for kl in ("closed_form", "sampled"):
    one = jax.jit(lambda key, kl=kl: elbo(model, params, key, x, kl=kl).value)
    values = jax.vmap(one)(keys)  # 2,000 times the ELBO by a single draw of z
    error = values.std() / np.sqrt(len(keys))
    told = f"one draw has a standard deviation of {values.std():.2f}"
    print(f"kl='{kl}': {values.mean():.3f} ± {error:.3f} nats; {told}")
    assert abs(values.mean() - lines[10]) < 4 * error

# %% [markdown]
# ## Closing the gap
#
# For a given model $\log p_\theta(x)$ does not depend on $\phi$. Since
#
# $$\text{ELBO} = \log p_\theta(x) - D_{\mathrm{KL}}\left(q_\phi(z \mid x) \,\|\, p_\theta(z \mid x)\right),$$
#
# raising the ELBO by changing $q$ can do only one thing: bring $q$ closer to the posterior, without ever looking at
# it. Below, the mean and the scales of a normal $q$ are moved by gradient ascent on the ELBO.
#
# It comes to rest at a gap that is not zero. This posterior has a correlation, and a $q$ with a diagonal covariance
# has none. The best it can do is known (Bishop 2006, section 10.1.2): the posterior's mean, and the inverses of the
# diagonal of the posterior's precision $\Lambda$ as variances, which leaves
# $\frac12 \left(\sum_j \log \Lambda_{jj} - \log \det \Lambda\right)$ nats. Line 7 would equal line 6
# for a $q$ with a full covariance (`full_normal` in the library). The ellipses below lie at two standard
# deviations.


# %%
def bound(loc, log_scale):
    """The ELBO of N(loc, diag(exp(log_scale))^2), nats, by line 10."""
    q = Normal(loc, jnp.exp(log_scale)).to_event(1)
    return expectation(log_likelihood, q, points=3) - closed_form_kl(q, prior)


optimizer = optax.adam(0.05)
start = (q.mean, jnp.log(q.variance) / 2)


def step(carry, _):
    at, state = carry
    value, gradient = jax.value_and_grad(lambda at: -bound(*at))(at)
    updates, state = optimizer.update(gradient, state)
    return (optax.apply_updates(at, updates), state), (-value, *at)


# %%
values, locs, log_scales = jax.lax.scan(step, (start, optimizer.init(start)), length=400)[1]
precision = np.linalg.inv(posterior.covariance_matrix)
least = (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1]) / 2
gaps = log_evidence - values
print(f"gap at the start {gaps[0]:.4f}, at the end {gaps[-1]:.6f} nats")
print(f"the least gap of a diagonal q {least:.6f} nats")
np.testing.assert_allclose(values[0], lines[10], rtol=1e-13)
np.testing.assert_allclose(gaps[-1], least, rtol=1e-6)
np.testing.assert_allclose(locs[-1], posterior.mean, atol=1e-4)
np.testing.assert_allclose(np.exp(-2 * log_scales[-1]), np.diag(precision), rtol=1e-4)


# %%
def ellipse(mean, covariance):
    """The points at Mahalanobis distance 2."""
    angle = np.linspace(0, 2 * np.pi, 100)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    return np.asarray(mean)[:, None] + 2 * np.linalg.cholesky(covariance) @ circle


# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.6))
left.plot(*ellipse(posterior.mean, posterior.covariance_matrix), "k", label=r"$p_\theta(z \mid x)$")
left.plot(*ellipse(jnp.zeros(2), jnp.eye(2)), color="0.7", label=r"$p(z)$")
for i, shade in ((0, 0.35), (15, 0.5), (399, 1.0)):
    diagonal = ellipse(locs[i], np.diag(np.exp(2 * log_scales[i])))
    left.plot(*diagonal, "C1", alpha=shade, label=rf"$q_\phi(z \mid x)$ after {i} steps")
left.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
left.legend(loc="center left", bbox_to_anchor=(1, 0.5))
right.axhline(log_evidence, color="k", ls="--", lw=1, label=r"$\log p_\theta(x)$")
left_out = r"$D_{\mathrm{KL}}(q_\phi \,\|\, p_\theta(z \mid x))$"
right.fill_between(range(400), values, log_evidence, color="C1", alpha=0.2, lw=0, label=left_out)
right.plot(values, "C1", label="ELBO")
right.set(xlabel=r"steps of gradient ascent in $q_\phi$", ylabel="nats", xlim=(-5, 200))
_ = right.legend(loc="lower right")

# %% [markdown]
# ## Two players
#
# In training both move, $\phi$ and $\theta$, and both climb the same function. To see what that does, let the model have
# one parameter: $p_\theta(x \mid z) = \mathcal{N}(x; \theta z, 0.5^2)$ with $z$ and $x$ in one dimension, for 200 examples that were
# drawn with $\theta = 1.5$. Everything is averaged over them.
#
# - *Maximizing over the encoder* leaves $\log p_\theta(x)$ where it is and lifts the bound to it, at the present $\theta$.
# - *Maximizing over the model* lifts the bound too. There the gap may open again, which does no harm: where the bound
#   has gone up by so much, $\log p_\theta(x)$, which lies above it and touched it, has gone up at least as much.
#
# Taking turns is the EM algorithm (Neal & Hinton 1998); a VAE takes small steps in both at once.

# %%
data = np.asarray(jax.random.normal(jax.random.key(2), (200,))) * np.sqrt(1.5**2 + 0.5**2)
second = (data**2).mean()  # all that the averages need
thetas = np.linspace(0.2, 2.4, 300)


def log_p(theta):
    """The average of log p(x) = log N(x; 0, theta^2 + 1/4), nats."""
    variance = theta**2 + 0.25
    return -0.5 * (np.log(2 * np.pi * variance) + second / variance)


# %%
def average_elbo(theta, a, v):
    """The average ELBO of q(z|x) = N(a x, v), by line 10: reconstruction less KL, in moments."""
    squared_error = (1 - theta * a) ** 2 * second + theta**2 * v
    kl = 0.5 * (a**2 * second + v - np.log(v) - 1)
    return -0.5 * np.log(2 * np.pi * 0.25) - squared_error / (2 * 0.25) - kl


# %%
theta, path = 0.5, []
for _ in range(100):
    precision = theta**2 / 0.25 + 1  # of the posterior p(z|x) = N(a x, v)
    a, v = theta / (0.25 * precision), 1 / precision
    path.append((theta, a, v))
    assert np.isclose(average_elbo(theta, a, v), log_p(theta), rtol=1e-12)  # the bound touches
    assert (average_elbo(thetas, a, v) <= log_p(thetas) + 1e-12).all()  # and nowhere is above
    better = a * second / (a**2 * second + v)  # the maximum over the model, encoder held
    assert log_p(better) - log_p(theta) >= average_elbo(better, a, v) - log_p(theta) - 1e-12
    theta = better
best = np.sqrt(second - 0.25)  # of maximum likelihood: theta^2 + 1/4 is the data's second moment
print(f"theta after 100 turns {theta:.6f}, by maximum likelihood {best:.6f}")
assert np.isclose(theta, best, atol=1e-5)

# %%
figure, axes = plt.subplots(figsize=(8.6, 3.8))
axes.plot(thetas, log_p(thetas), "k", label=r"$\log p_\theta(x)$")
for i, colour in ((0, "C1"), (1, "C0"), (3, "C2")):
    (theta, a, v), to = path[i], path[i + 1][0]
    held, top = average_elbo(thetas, a, v), average_elbo(to, a, v)
    axes.plot(thetas, held, colour, label=f"ELBO of the encoder of turn {i + 1}")
    axes.plot(theta, log_p(theta), "o", color=colour, ms=7)
    arrow = {"arrowstyle": "->", "color": colour, "shrinkB": 0}
    axes.annotate("", (to, top), (theta, log_p(theta)), arrowprops=arrow)
    axes.plot([to, to], [top, log_p(to)], colour, ls=":")
axes.axvline(best, color="k", ls=":", lw=1, label="maximum likelihood")
axes.set(xlabel=r"$\theta$", ylabel="nats per example", xlim=(0.2, 2.4), ylim=(-4, -1.7))
_ = axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))

# %% [markdown]
# Each coloured curve is the bound for one encoder, which is held while $\theta$ varies. It touches
# $\log p_\theta(x)$ (the dot) at the $\theta$ for which that encoder is the posterior. The arrow is the model's
# turn, to the top of the curve; the dotted line up to $\log p_\theta(x)$ is the encoder's.
#
# **Answer.** The ELBO is $\log p_\theta(x)$ with one term left out, the KL from the encoder to the true posterior. All other
# lines of the derivation are equalities, to the last digit. So the bound is as good as the encoder: maximizing it in $\phi$
# closes the gap as far as the family of $q$ allows, maximizing it in $\theta$ raises the likelihood or closes the gap,
# and neither needs the posterior. What stands in the first of its two terms, $\log p_\theta(x \mid z)$, is the
# [next question](04_the_reconstruction_term.ipynb).
