# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4. The reconstruction term
#
# **Question.** The first term of the ELBO is $\mathbb{E}_{q_\phi(z \mid x)}[\log p_\theta(x \mid z)]$. A decoder is a network with
# pixels at its end. Where in that is a probability, and what has the squared error to do with it?
#
# The [last notebook](03_the_elbo.ipynb) held every line of the ELBO against numbers, for a decoder that
# was a normal. Here the decoder may be anything.
#
# The decoder's network does not return an image. It returns the *parameters of a distribution* over images: one or two numbers
# per pixel, of which a *likelihood* makes $p_\theta(x \mid z) = \prod_d p(x_d \mid \text{numbers}_d(z))$. Which likelihood is a
# choice, and it starts with what $x$ is:
#
# | $x_d$ | likelihood | the decoder's numbers | $p(x_d \mid z)$ is |
# |---|---|---|---|
# | a bit | `bernoulli` | a logit | a mass on $\{0, 1\}$ |
# | in $[0, 1]$ | `continuous_bernoulli` | a logit | a density on $[0, 1]$ |
# | a real number | `normal` | a mean, and perhaps a scale | a density on the line |
# | a level $0, \dots, L - 1$ | `discretized_logistic` | a mean and a scale | a mass on the levels |

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

from vae_jax import build_model, elbo
from vae_jax.config import components
from vae_jax.distributions.bernoulli_logits import BernoulliLogits
from vae_jax.distributions.continuous_bernoulli import ContinuousBernoulli
from vae_jax.plots import show_images

plt.style.use("vae_jax.paper")

# %% [markdown]
# ## One set of images, four kinds of x
#
# The images are scikit-learn's handwritten digits, 8 x 8 pixels with 17 levels of grey. They come as bits (darker
# than half or not), as levels $0, \dots, 16$, or *dequantized*: $x = (\text{level} + u) / 17$ with $u$ uniform on $(0, 1)$, real
# numbers in $(0, 1)$ with a density.


# %%
def digits(options):
    """The training images of a data set of the library, `[1294, 8, 8, 1]`."""
    dataset = components.build("datasets", f"digits({options})")()
    raw = dataset.splits["train"]
    return jax.vmap(dataset.preprocess)(jax.random.split(jax.random.key(0), len(raw)), raw)


dequantized = digits("binarize='none', values='dequantized'")
DATA = {
    "bernoulli": digits("binarize='static'"),
    "continuous_bernoulli": dequantized,
    "normal(scale='learned')": dequantized,
    "discretized_logistic(levels=17)": digits("binarize='none', values='levels'"),
}


# %%
def build(likelihood, x):
    """A small VAE of digits with that likelihood, and its parameters at the start."""
    mlp = "mlp(hidden=(64,), activation='gelu')"
    model = build_model((8, 8, 1), 8, encoder=mlp, decoder=mlp, likelihood=likelihood)
    return model, jax.jit(model.init)(jax.random.key(1), x[:100])


# %%
def train(model, params, x, learned=1.0, steps=1000):
    """Climbs the ELBO with Adam; `learned` 0 leaves the likelihood's own parameters as they are."""
    optimizer = optax.adam(optax.cosine_decay_schedule(5e-3, steps))

    def step(carry, key):
        (params, state), (of_batch, of_z) = carry, jax.random.split(key)
        batch = x[jax.random.randint(of_batch, (100,), 0, len(x))]
        gradient = jax.grad(lambda p: -elbo(model, p, of_z, batch).surrogate)(params)
        gradient["likelihood"] = jax.tree.map(lambda g: learned * g, gradient["likelihood"])
        updates, state = optimizer.update(gradient, state)
        return (optax.apply_updates(params, updates), state), None

    start = params, optimizer.init(params)
    return jax.lax.scan(step, start, jax.random.split(jax.random.key(2), steps))[0][0]


# %%
def fit(likelihood, x):
    """A trained VAE's p(x|z) of ten images, at the encoder's mean, and the ELBO of all of them."""
    model, params = build(likelihood, x)

    @jax.jit
    def compiled(params, x):
        params = train(model, params, x, steps=500)
        z = model.encode(params, x[:10]).mean
        return model.decode(params, z), elbo(model, params, jax.random.key(3), x).value

    return compiled(params, x)


# %%
trained = {}
for likelihood, x in DATA.items():
    trained[likelihood], value = fit(likelihood, x)
    print(f"{likelihood:32s} ELBO {value.mean():7.2f} ± {value.std() / len(x) ** 0.5:.2f} nats")

# %% [markdown]
# The four numbers cannot be compared. Two are logarithms of masses, which are never above 0; two are logarithms
# of densities, which may be; and the first is of other data than the last. (The table of likelihoods in
# `docs/results.md` says how masses and densities of the same levels can be compared.)
#
# ## What a decoder says about a pixel
#
# Here is one pixel of one image, and what each decoder says about it, given the encoder's $z$. All of these add up, or
# integrate, to 1 over the values that $x_d$ can have. That is what makes them distributions.

# %%
image, row, column = 0, 4, 3


def pixel(likelihood, values):
    """p(x_d | z) of the one pixel at many values, its mean, and the pixel itself."""
    p = trained[likelihood]
    if likelihood == "bernoulli":  # one event, not made of elements
        mass = np.exp(BernoulliLogits(p.logits[image, row, column, 0], 0).log_prob(values))
    else:
        each = jax.jit(jax.vmap(lambda v: p.base_dist.log_prob(jnp.full((10, 8, 8, 1), v))))(values)
        mass = np.exp(each[:, image, row, column, 0])
    return mass, p.mean[image, row, column, 0], DATA[likelihood][image, row, column, 0]


# %%
VALUES = {
    "bernoulli": (jnp.arange(2.0), 1),
    "continuous_bernoulli": (jnp.linspace(0, 1, 1001), 1e-3),
    "normal(scale='learned')": (jnp.linspace(-0.5, 1.5, 2001), 1e-3),
    "discretized_logistic(levels=17)": (jnp.arange(17.0), 1),
}

# %%
figure, panels = plt.subplots(1, 4, figsize=(10, 2.6))
for axes, (likelihood, (values, width)) in zip(panels, VALUES.items(), strict=True):
    p, mean, x = pixel(likelihood, values)
    if width == 1:
        axes.bar(values, p, width=0.8 if len(values) > 2 else 0.2, alpha=0.6)
        assert np.isclose(p.sum(), 1, atol=1e-4)
    else:
        axes.fill_between(values, p, alpha=0.4, lw=0)
        assert np.isclose(np.trapezoid(p, values), 1, atol=1e-3)
    axes.axvline(mean, color="C1", label="mean")
    axes.plot(x, 0, "k^", ms=8, clip_on=False, label="$x_d$")
    axes.set(title=likelihood.split("(")[0], xlabel="$x_d$", ylim=(0, None))
    axes.set_ylabel("mass" if width == 1 else "density")
_ = panels[0].legend()

# %% [markdown]
# ## The mean is not a draw
#
# What is shown as "a sample" of a VAE is mostly the *mean* of $p_\theta(x \mid z)$ for a $z$ drawn from the prior. The mean is
# clean because it is an average; it is not what the model thinks images look like. A *draw* $x \sim p_\theta(x \mid z)$ is, and
# it shows what the likelihood leaves out: given $z$ the pixels are independent. Whatever the decoder's mean does not
# explain, it takes for noise, each pixel for itself.

# %%
figure, panels = plt.subplots(1, 4, figsize=(10, 3))
for axes, (likelihood, p) in zip(panels, trained.items(), strict=True):
    unit = 16.0 if "levels" in likelihood else 1.0
    draw = jax.jit(lambda p: p.sample(jax.random.key(4)))(p)
    sheet = np.concatenate([DATA[likelihood][:6], p.mean[:6], draw[:6]]) / unit
    show_images(axes, sheet, 6)
    axes.set_title(likelihood.split("(")[0])
for height, name in ((1 / 6, "a draw"), (3 / 6, "mean"), (5 / 6, "x")):
    panels[0].text(-0.03, height, name, transform=panels[0].transAxes, ha="right", va="center")

# %% [markdown]
# ## The squared error is a normal with a scale that somebody chose
#
# With $p_\theta(x \mid z) = \mathcal{N}(x; m_\theta(z), s^2 I)$ over $D$ pixels,
#
# $$\log p_\theta(x \mid z) = -\frac{1}{2 s^2} \lVert x - m_\theta(z) \rVert^2 - \frac{D}{2} \log (2 \pi s^2).$$
#
# If $s$ is fixed the second term is a constant, and maximizing the ELBO is minimizing
#
# $$\mathbb{E}_{q_\phi(z \mid x)}\left[\frac{1}{2 s^2} \lVert x - m_\theta(z) \rVert^2\right] + D_{\mathrm{KL}}\left(q_\phi(z \mid x) \,\|\, p(z)\right).$$
#
# A program that minimizes "squared error plus KL" has chosen $s$, without saying so:
#
# - the squared error *summed* over pixels, plus KL, is $s = 1 / \sqrt{2} \approx 0.71$, for pixels that go from 0 to 1;
# - the squared error *averaged* over pixels, which is the default of many a loss function, is $s = \sqrt{D / 2}$: 5.7
#   here, for 64 pixels.
#
# A weight $\beta$ on the KL is the same thing once more: it multiplies $s^2$.
#
# First that it is true. The gradient of the log density by $z$, which is what trains the encoder, is that of
# the squared error over $2 s^2$:

# %%
model, params = build("normal(scale='learned')", dequantized)


def with_scale(s):
    """The parameters at the start, with that scale; the library adds 0.001, so that s > 0."""
    return {**params, "likelihood": {"log_scale": jnp.log(s - 1e-3)}}


def log_density(z, x, s):
    return model.decode(with_scale(s), z).log_prob(x)


def less_squared_error(z, x, s):
    return -((x - model.decode(with_scale(s), z).mean) ** 2).sum() / (2 * s**2)


# %%
z, x = jnp.full(8, 0.5), dequantized[0]
for s in (0.2, 0.5**0.5, 32**0.5):
    both = log_density, less_squared_error
    of_density, of_error = (jax.jit(jax.grad(f))(z, x, s) for f in both)
    np.testing.assert_allclose(of_density, of_error, rtol=1e-3, atol=1e-4 / s**2)
    constant = log_density(z, x, s) - less_squared_error(z, x, s)
    assert np.isclose(constant, -64 / 2 * np.log(2 * np.pi * s**2), rtol=1e-4)
    print(f"s = {s:.3f}: the squared error is multiplied by {1 / (2 * s**2):.4f}")

# %% [markdown]
# The last two are 1, the sum over pixels, and 1/64, the average. What does $s$ do? Below, the same VAE is
# trained with six scales, and once with the scale learned, all at once by `vmap`.

# %%
scales = jnp.array([0.05, 0.1, 0.2, 0.3, 0.5**0.5, 32.0**0.5])
starts = jnp.append(scales, 0.3)  # the last is to be learned
free = jnp.append(jnp.zeros(len(scales)), 1.0)
run = lambda s, free: train(model, with_scale(s), dequantized, free)
fitted = jax.jit(jax.vmap(run))(starts, free)
s = 1e-3 + np.exp(fitted["likelihood"]["log_scale"])
terms = jax.jit(jax.vmap(lambda p: elbo(model, p, jax.random.key(5), dequantized)))(fitted)


# %%
def squared_error(params):
    """|x - m(z)|^2 at z ~ q(z|x), a sum over the 64 pixels, `[1294]`."""
    z = model.encode(params, dequantized).sample(jax.random.key(6))
    return ((dequantized - model.decode(params, z).mean) ** 2).sum((1, 2, 3))


rmse = np.sqrt(np.asarray(jax.jit(jax.vmap(squared_error))(fitted)).mean(1) / 64)
value = np.asarray(terms.value)
bounds, kls = value.mean(1), np.asarray(terms.terms["kl"]).mean(1)
for i, name in enumerate(["fixed"] * len(scales) + ["learned"]):
    terms_of_it = f"ELBO {bounds[i]:8.1f}, KL {kls[i]:5.1f} nats, error per pixel {rmse[i]:.3f}"
    print(f"{name:7s} s = {s[i]:.3f}: {terms_of_it}")

# %% [markdown]
# Three things can be read off:
#
# - **The KL falls with $s$, down to nothing.** A large $s$ says "all this is noise", and what is noise need not be encoded. With
#   the error summed over pixels the latent is hardly used, with the average not at all. This *posterior collapse* is no
#   fault of the optimizer: it is the best solution for that $s$. (In a linear VAE a latent dimension is used if the
#   data's variance along it exceeds $s^2$, Lucas et al. 2019; in 64 pixels from 0 to 1 little varies by 1/2.)
# - **The reconstruction does not tell.** The three smallest errors per pixel are within a few percent of each other, while
#   their KLs differ by a factor of two. The less noise is allowed, the more nats go into details that are noise.
# - **The ELBO tells.** With its constants it is a bound on a density of $x$ and can be compared over $s$ (here on the
#   images trained on; a choice would be made by others). The learned scale
#   has the highest, without a search, and it is the error per pixel that is left: the maximum over $s$
#   of the first formula is at $s^2 = \mathbb{E} \lVert x - m \rVert^2 / D$, averaged over examples and $z$ (Rybkin et al. 2021).

# %%
assert (np.diff(kls[:-1]) < 0.05).all()  # the larger s, the less is said about x
assert kls[4] < 0.5  # summed over pixels
assert kls[5] < 0.05  # averaged over pixels
assert (bounds[-1] > bounds[:-1]).all()
best = np.argsort(rmse)[:3]
assert np.ptp(rmse[best]) < 0.05 * rmse.min()
assert kls[best].max() > 1.5 * kls[best].min()
assert abs(s[-1] / rmse[-1] - 1) < 0.1  # the learned scale is the error that is left, nearly

# %% tags=["cover"]
figure, panels = plt.subplots(1, 3, figsize=(10, 3), sharex=True)
labels = "ELBO [nats]", "KL [nats]", "error per pixel (rms)"
for axes, values, label in zip(panels, (bounds, kls, rmse), labels, strict=True):
    axes.semilogx(s[:-1], values[:-1], "o-", ms=4, label="fixed scale")
    axes.plot(s[4], values[4], "C2s", ms=7, label="error summed over pixels")
    axes.plot(s[5], values[5], "C3D", ms=7, label="error averaged over pixels")
    axes.plot(s[-1], values[-1], "C1*", ms=12, label="learned scale")
    axes.set(xlabel="$s$", ylabel=label)
_ = figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)

# %% [markdown]
# And what such models generate: $z$ from the prior, decoded, first the mean and below it a draw of $x$.
# With the smallest scale the means are hardly digits. With a large one they are the same grey blot for every $z$,
# and the draws are noise: more of it than the data have, since $s$ was not asked to fit them.


# %%
def generated(params):
    """The mean of p(x|z) and a draw from it, for five z of the prior, `[5, 8, 8, 1]` each."""
    p = model.decode(params, jax.random.normal(jax.random.key(7), (5, 8)))
    return p.mean, p.sample(jax.random.key(8))


means, draws = jax.jit(jax.vmap(generated))(fitted)  # of each of the seven models
figure, panels = plt.subplots(1, 5, figsize=(10, 1.5))
for axes, i in zip(panels, (0, 6, 2, 4, 5), strict=True):
    show_images(axes, np.concatenate([means[i], draws[i]]), 5)
    axes.set_title(f"s = {s[i]:.2f}" + (", learned" if i == 6 else ""))

# %% [markdown]
# ## Grey pixels and the Bernoulli
#
# Much published work takes grey pixels $x_d \in [0, 1]$ and the "binary cross-entropy"
#
# $$x_d \log \mu_d + (1 - x_d) \log (1 - \mu_d),$$
#
# the logarithm of the Bernoulli's mass, at values that are neither 0 nor 1. Is it a log density of greys? A density integrates
# to 1. This one integrates to
#
# $$\int_0^1 \mu^x (1 - \mu)^{1 - x}\, dx = \frac{2 \mu - 1}{\log \mu - \log (1 - \mu)} \le \frac12 ,$$
#
# so for an image of 64 pixels to at most $2^{-64}$, and to how much depends on $\mu$, that is, on what is being
# learned. The *continuous Bernoulli* divides by this number (Loaiza-Ganem & Cunningham 2019), and is a density.

# %%
mu = jnp.array([*np.linspace(0.001, 0.499, 80), *np.linspace(0.501, 0.999, 80)])
x = jnp.linspace(0, 1, 4001)
logits = jnp.log(mu) - jnp.log1p(-mu)
area = lambda density: np.trapezoid(np.exp(density.log_prob(x[:, None])), x, axis=0)
of_cross_entropy = area(BernoulliLogits(logits, 0))
of_continuous = area(ContinuousBernoulli(logits))
np.testing.assert_allclose(of_cross_entropy, (2 * mu - 1) / logits, rtol=1e-3)
np.testing.assert_allclose(of_continuous, 1, rtol=1e-3)
assert of_cross_entropy.max() < 0.5 + 1e-4

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.2))
for colour, logit in (("C0", 0.0), ("C1", 2.0), ("C2", 4.0)):
    label = rf"$\mu$ = {jax.nn.sigmoid(logit):.2f}"
    left.plot(x, np.exp(ContinuousBernoulli(jnp.asarray(logit)).log_prob(x)), colour, label=label)
    left.plot(x, np.exp(BernoulliLogits(jnp.asarray(logit), 0).log_prob(x)), colour, ls="--")
left.plot([], [], "k", label="continuous Bernoulli")
left.plot([], [], "k--", label="cross-entropy, exponentiated")
left.set(xlabel="grey $x_d$", ylabel="density?")
left.legend()
right.plot(mu, of_continuous, "k", label="continuous Bernoulli")
right.plot(mu, of_cross_entropy, "k--", label="cross-entropy, exponentiated")
right.set(xlabel=r"$\mu$", ylabel="integral over $x_d$ from 0 to 1", ylim=(0, 1.1))
_ = right.legend(loc=(0.2, 0.62))

# %% [markdown]
# Nothing stops a program from training with it, and the pictures may be nice. But the number that comes out is no
# log-likelihood and no bound on one, and must not be compared with any that is. The library
# accepts greys for `bernoulli`, and says this in a warning. The honest ways are bits drawn from the greys, `continuous_bernoulli`, or a
# mass on the levels.
#
# **Answer.** The decoder's output is a distribution, and the reconstruction term is its log density, in nats, with
# all constants. The squared error is the special case of a normal whose scale somebody has fixed; that scale decides
# how much the latent is used, and the ELBO with its constants can choose it. A mean is not a draw. And whether
# a formula is a density can be checked: integrate it. What the other term, the KL to the prior,
# does to the latent is the [next question](05_the_prior_matching_term.ipynb).
