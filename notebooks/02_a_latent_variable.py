# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2. A latent variable
#
# **Question.** How do simple parts make a rich $p_\theta(x)$? And if $p_\theta(x)$ is only an average, why not
# compute it by averaging?
#
# The [last notebook](01_maximum_likelihood.ipynb) ended with a wish for a rich family of distributions. A
# variational autoencoder makes one out of two simple distributions and one function:
#
# - a *latent variable* $z$, which nobody observes, with a simple *prior* $p(z)$, here the standard normal;
# - a *decoder* $p_\theta(x \mid z)$, simple too, here a normal, whose mean is a function of $z$: a neural network
#   with parameters $\theta$.
#
# The probability of $x$ counts all the ways in which $x$ can have come about, each with its weight:
#
# $$p_\theta(x) = \int p_\theta(x \mid z)\, p(z)\, dz = \mathbb{E}_{p(z)}\left[p_\theta(x \mid z)\right].$$
#
# The $z$ is *marginalized out*.

# %%
from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import scipy.stats

from vae_jax import build_model
from vae_jax.estimators.exact import marginal
from vae_jax.estimators.importance import importance_sampling
from vae_jax.estimators.quadrature import log_p_by_quadrature
from vae_jax.types import Network, as_batch

plt.style.use("vae_jax.paper")

# %% [markdown]
# ## A line becomes a shape
#
# The latent has one dimension, the data have two. Where a VAE has a trained network there stands, for now, a
# function that one can see through: it winds the line of all $z$ into a spiral. `model.prior(params)` is $p(z)$ and
# `model.decode(params, z)` is $p_\theta(x \mid z)$, a round normal with standard deviation 0.2 around the
# spiral's point; both are distributions, with a `sample` and a `log_prob`.


# %%
def spiral(in_shape, out_shape):
    """A network without parameters, from z `[..., 1]` to a point of the plane `[..., 2, 1]`."""

    def apply(params, z):
        angle = 2 * z[..., 0] + 6.5
        point = 0.3 * angle * jnp.stack([jnp.cos(angle), jnp.sin(angle)])
        return jnp.moveaxis(point, 0, -1)[..., None]

    return Network(lambda key: {}, apply)


model = build_model((2,), latent_dim=1, decoder=spiral, likelihood="normal(scale=0.2)")
params = model.init(jax.random.key(0), jnp.zeros((1, 2)))
print("z = 0 is decoded to a normal around", model.decode(params, jnp.zeros(1)).mean)

# %% [markdown]
# To *draw* from $p_\theta(x)$ there is nothing to integrate: draw $z$ from the prior, then $x$ from the decoder, and
# forget $z$. This is *ancestral sampling*, and it is what a VAE does when it makes pictures.
#
# To *evaluate* $p_\theta(x)$ there is. With one latent dimension the integral can be done by adding up a fine grid
# of $z$: `quadrature` returns $\log p_\theta(x)$ in nats.


# %%
@jax.jit
def ancestral(key):
    """100,000 pairs z ~ p(z), x ~ p(x|z)."""
    of_z, of_x = jax.random.split(key)
    z = model.prior(params).sample(of_z, (100_000,))
    return z, model.decode(params, z).sample(of_x)


# %%
z, x = ancestral(jax.random.key(1))
edges, fine = np.linspace(-6, 6, 25), 4  # cells of side 1/2, and points of the integrals across one
step = 0.5 / fine
axis = np.arange(-6 + step / 2, 6, step)
points = jnp.asarray(np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2))
log_density = jax.jit(lambda x: log_p_by_quadrature(model, params, x, points=1500))(points)
density = np.exp(log_density, dtype=float).reshape(len(axis), len(axis))
print(f"the density's integral over the plane is {density.sum() * step**2:.6f}")
assert abs(density.sum() * step**2 - 1) < 1e-4

# %% [markdown]
# ## One draw, and many
#
# A single draw says next to nothing about whether the distribution is right: any point near the spiral could have
# been drawn, and so could many a point of another shape. What ancestral sampling promises is about *many*
# draws: the fraction that falls into a cell of the plane approaches
# the integral of $p_\theta(x)$ over it.

# %% tags=["cover"]
figure, panels = plt.subplots(1, 4, figsize=(10, 2.8), sharex=True, sharey=True)
for axes, n in zip(panels, (1, 100, 10_000), strict=False):
    axes.scatter(*x[:n].T, c=z[:n, 0], s=80 / n**0.5, vmin=-3, vmax=3, cmap="viridis", lw=0)
    axes.set(title=f"{n:,} draw" + "s" * (n > 1), xlabel="$x_1$", aspect="equal")
panels[3].imshow(density.T, origin="lower", extent=(-6, 6, -6, 6), cmap="Greys", vmax=0.25)
panels[3].set(title=r"$p_\theta(x)$ by quadrature", xlabel="$x_1$")
panels[0].set(ylabel="$x_2$", xlim=(-4.5, 4.5), ylim=(-4.5, 4.5))
bar = figure.colorbar(panels[0].collections[0], ax=panels, shrink=0.8)
bar.set_label("z that was drawn")

# %% [markdown]
# Counted, over the cells of side 1/2 in which at least ten draws are to be expected, everything else taken as one cell
# more: Pearson's chi-square test finds no difference between what was drawn and what the integral says. And the KL
# from the draws' frequencies to the exact probabilities falls like (cells - 1) / (2n) once $n$ is well above the
# number of cells, as in the last notebook: $n$ examples, and a parameter for each cell.

# %%
cells = density.reshape(24, fine, 24, fine).sum((1, 3)) * step**2  # each cell's probability


def frequencies(x):
    """The counts and the probabilities of the cells that expect ten draws or more, and of the rest."""
    counts = np.histogram2d(*np.asarray(x, float).T, bins=(edges, edges))[0]
    often = cells * 100_000 >= 10
    with_rest = lambda a, total: np.append(a[often], total - a[often].sum())
    return with_rest(counts, len(x)), with_rest(cells, 1.0)


# %%
counts, probabilities = frequencies(x)
test = scipy.stats.chisquare(counts, probabilities * len(x))
told = f"chi-square {test.statistic:.0f} with {len(counts) - 1} degrees of freedom"
print(f"{told}, p-value {test.pvalue:.2f}")
assert test.pvalue > 1e-3
for n in (1, 100, 10_000, 100_000):
    counts, probabilities = frequencies(x[:n])
    kl = scipy.stats.entropy(counts, probabilities)  # of the frequencies from p, nats
    print(f"n = {n:7,}: KL {kl:.4f} nats, theory {(len(counts) - 1) / (2 * n):.4f}")
assert abs(kl * 2 * n / (len(counts) - 1) - 1) < 5 * np.sqrt(2 / len(counts))

# %% [markdown]
# ## The average, by averaging
#
# The integral is an expected value, so the law of large numbers applies: draw $z_1, \dots, z_K$ from the prior and take
#
# $$\hat p_K(x) = \frac1K \sum_{k=1}^K p_\theta(x \mid z_k), \qquad z_k \sim p(z).$$
#
# In the library this is `importance` with the prior where other notebooks will have an encoder:
# draws that know nothing of the $x$ that is to be explained. Here are ten points $x$ of the model, and the truth
# by quadrature.


# %%
def without_encoder(model):
    """The model, with q(z|x) = p(z)."""
    prior = lambda params, batch: model.prior(params).expand(as_batch(batch).x.shape[:-1])
    return model._replace(encode=prior)


# %%
ten = x[:10]
keys = jax.random.split(jax.random.key(2), 10)
truth = log_p_by_quadrature(model, params, ten, points=6000)
found = importance_sampling(without_encoder(model), params, keys, ten, num_samples=100_000)
errors = (found["log_p"] - truth) / found["log_p_error"]
print("truth             ", *(f"{value:6.3f}" for value in truth))
print("estimate          ", *(f"{value:6.3f}" for value in found["log_p"]))
print("in standard errors", *(f"{value:6.1f}" for value in errors))
assert (abs(errors) < 4.5).all()
assert found["log_p_error"].max() < 0.05

# %% [markdown]
# It works. A hundred thousand draws give $\log p_\theta(x)$ to a hundredth of a nat. So why has no VAE ever been trained
# that way?
#
# ## More dimensions
#
# Take a decoder for which $\log p_\theta(x)$ is known with any number of latent dimensions. If the mean is
# linear in $z$, $p_\theta(x \mid z) = \mathcal{N}(x; W z, s^2 I)$, then $p_\theta(x) = \mathcal{N}(x; 0, W W^\top + s^2 I)$ and
# $p_\theta(z \mid x)$ is a normal too, so that its KL to the prior is a formula. The data have 50 dimensions, the latent from 1
# to 50.


# %%
def linear_gaussian(latent_dim):
    """A model with W ~ N(0, 1) and s = 2, its parameters, and W `[50, latent_dim]`."""
    model = build_model((50,), latent_dim, decoder="linear", likelihood="normal(scale=2.0)")
    W = jax.random.normal(jax.random.key(latent_dim), (50, latent_dim))
    return model, {"decoder": {"Dense_0": {"kernel": W.T, "bias": jnp.zeros(50)}}}, W


def posterior_kl(W, x):
    """KL(p(z|x) || p(z)) = (tr S + |m|^2 - log det S - d) / 2, p(z|x) = N(m, S), nats, `[...]`."""
    S = np.linalg.inv(np.eye(W.shape[1]) + W.T @ W / 4)
    m = x @ W @ S / 4
    return (np.trace(S) + (m**2).sum(-1) - np.linalg.slogdet(S)[1] - len(S)) / 2


# %%
draws = (10, 1000, 10_000)


def shortfall(latent_dim, examples=20):
    """log p(x) less its estimates, `[examples, draws]`, and KL(p(z|x) || p(z)), nats."""
    model, params, W = linear_gaussian(latent_dim)
    p_x = marginal(model, params, (50,))
    x = p_x.sample(jax.random.key(0), (examples,))
    keys = jax.random.split(jax.random.key(1), examples)
    options = {"num_samples": draws[-1], "iwae_samples": draws[:-1]}
    estimate = partial(importance_sampling, without_encoder(model), params, **options)
    found = jax.jit(estimate)(keys, x)
    estimates = [found["iwae_10"], found["iwae_1000"], found["log_p"]]
    kl = posterior_kl(np.asarray(W), np.asarray(x))
    return p_x.log_prob(x)[:, None] - jnp.stack(estimates, -1), kl


# %%
dimensions = (1, 2, 5, 10, 20, 35, 50)
gaps, kls = (np.stack(a) for a in zip(*map(shortfall, dimensions), strict=True))

# %%
for d, gap, kl in zip(dimensions, gaps.mean(1), kls.mean(1), strict=True):
    told = ", ".join(f"{k:,} draws {g:7.2f}" for k, g in zip(draws, gap, strict=True))
    print(f"{d:2d} dimensions: KL(p(z|x) || p(z)) = {kl:5.1f}; too low by {told} nats")

# %% [markdown]
# Ten thousand draws do for two dimensions. With fifty the estimate is wrong by more than a hundred nats: it is
# not a noisy $\log p_\theta(x)$ but a different number. What happened to the law of large numbers? It still holds,
# only later than anybody can wait. To explain $x$, $z$ has to lie where the *posterior* $p_\theta(z \mid x)$ has its mass.
# That is a small part of the prior, and about
#
# $$e^{D_{\mathrm{KL}}\left(p_\theta(z \mid x) \,\|\, p(z)\right)}$$
#
# draws are needed before one hits it (Chatterjee & Diaconis 2018). A dimension contributes a nat
# here; the number of draws is an exponential of the number of dimensions. On the right is each example by itself: where
# the logarithm of the number of draws exceeds the KL by a few nats the estimate is good; where the two are equal
# it is off by about a nat; beyond, it falls, and by more than the KL's excess (dotted).

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.5))
for k, gap in zip(draws, np.moveaxis(gaps, -1, 0), strict=True):
    left.plot(dimensions, gap.mean(1), "o-", ms=4, label=f"{k:,} draws")
    right.plot((kls - np.log(k)).ravel(), gap.ravel(), ".", ms=5, alpha=0.6, label=f"{k:,} draws")
left.set(xlabel="latent dimensions", ylabel=r"$\log p_\theta(x) - \log\hat p_K(x)$ [nats]")
left.legend()
line = np.linspace(0, kls.max())
right.plot(line, line, "k:", lw=1, label=r"gap $= D_{\mathrm{KL}} - \log K$")
right.axvline(0, color="k", lw=0.5)
right.set_yscale("symlog", linthresh=1)
right.set(xlabel=r"$D_{\mathrm{KL}}(p_\theta(z \mid x) \,\|\, p(z)) - \log K$ [nats]")
right.set(ylabel=left.get_ylabel(), ylim=(-10, 1000))
_ = right.legend(loc="lower right")

# %%
excess = kls[:, :, None] - np.log(draws)
assert abs(gaps[excess < -4]).max() < 0.3
assert (gaps[excess > 5] > excess[excess > 5] - 5).all()
assert (np.diff(gaps.mean(1), axis=1) < 0.05).all()  # more draws, a smaller gap
assert gaps[-1, :, -1].mean() > 100

# %% [markdown]
# The gap has a sign. Since the logarithm is concave, $\mathbb{E}[\log \hat p_K(x)] \le \log \mathbb{E}[\hat p_K(x)] = \log p_\theta(x)$
# (Jensen's inequality): averaging too few draws gives a *lower bound* in expectation, and a useless one.
#
# For images it is hopeless. The library's VAE of handwritten digits (`docs/results.md`, `mnist`) has an encoder that lies
# 25 nats from the prior: $e^{25}$ is seventy billion draws, for one number, of one image, at one step of training.
#
# **Answer.** A simple prior, seen through a function, makes as rich a $p_\theta(x)$ as the function allows. Drawing
# from it is easy, and no single draw tells whether it is right. Its value at a given $x$ is an integral; draws from
# the prior find it in one or two dimensions and miss it in fifty, because almost none of them has anything
# to do with $x$. What is wanted is something that, shown $x$, says which $z$ are worth a look: an *encoder*
# $q_\phi(z \mid x)$. What it has to do with $\log p_\theta(x)$ is the [next question](03_the_elbo.ipynb).
