# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10. From a VAE to a diffusion model
#
# **Question.** A diffusion model turns noise into a picture in a thousand small steps, and no encoder is in sight.
# It is said to be a VAE all the same. Which changes lead from one to the other, and what does each
# of them cost in nats?
#
# The road has five steps, and each of them changes one part:
#
# 1. The flat $z$ becomes a hierarchy, as in the [last notebook](09_more_layers.ipynb), with all layers as large as $x$.
# 2. The posterior is fixed: nothing of it is learned any more, it adds noise.
# 3. The prior removes the noise, with one network for all layers.
# 4. Training looks at one layer at a time, drawn at random.
# 5. That makes layers cheap, so there can be a thousand.
#
# First we walk it with points in a plane, and print the same ELBO at each step. Then we ask why there must be so many layers, for
# normal data, where every number is known. At last there are pictures.

# %%
import jax

# Many small models: what takes time is to compile them, not to run them.
jax.config.update("jax_disable_most_optimizations", True)

# %%
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from tabulate import tabulate

import vae_jax
from vae_jax import build_model, elbo
from vae_jax.distributions.diffusion import Denoising, scales
from vae_jax.estimators.exact import marginal
from vae_jax.plots import BLUE, GREEN, GREY, ORANGE
from vae_jax.types import Prior, no_params

plt.style.use("vae_jax.paper")

# %% [markdown]
# ## The road
#
# The data are two interleaved half circles in the plane, with noise of standard deviation 0.1. All changes
# are made to the one config, and stay.

# %%
config = vae_jax.default_config()
config.data = "two_moons(noise=0.1, validation=0)"
config.encoder = config.decoder = "mlp(hidden=(64, 64))"
config.likelihood, config.latent_dim = "normal(scale='learned')", 2
config.batch_size, config.num_epochs, config.eval_every_epochs = 125, 25, 25.0
schedule = "cosine_decay_schedule(init_value=3e-3, decay_steps=num_steps)"
config.optimizer = f"adam(learning_rate={schedule})"
runs, bounds = {}, {}


def bound(model, params, x, **options):
    """The ELBO of each x, nats: the same function for all models here."""
    of_x = jax.jit(lambda params, x: elbo(model, params, jax.random.key(1), x, **options).value)
    return np.asarray(of_x(params, x))


# %%
def train(name, num_samples=20, **options):
    """One row of the table."""
    runs[name] = run = vae_jax.fit(config, quiet=True)
    x = jnp.asarray(run.dataset.splits["test"])
    bounds[name] = bound(run.model, run.params, x, num_samples=num_samples, **options)


train("VAE, flat z")

# %% [markdown]
# **All layers as large as $x$.** Four layers of two dimensions each: $p(z)=p(z_3)\prod_{t=1}^3p_\theta(z_{t-1}\mid z_t)$, and a
# posterior that is drawn from the top. (The layer beside $x$ has the number 0 from here on, which is how
# diffusion models count.) No dimension is saved, and nothing is learned that the flat model could not do.

# %%
config.latent_dim = (2, 2, 2, 2)
config.prior = "layered(network=mlp(hidden=(32,)))"
config.posterior = "top_down(network=mlp(hidden=(32,)), context=32)"
train("hierarchical VAE")

# %% [markdown]
# **The posterior is fixed.** Now $q$ is not learned. Layer $t$ is $x$ made smaller, with noise added,
#
# $$q(z_t\mid x)=\mathcal N(\alpha_t x,\,\sigma_t^2I),\qquad\alpha_t^2+\sigma_t^2=1,\qquad
# \mathrm{SNR}_t=\alpha_t^2/\sigma_t^2=e^{-\gamma_t},$$
#
# and $\gamma_t$ rises evenly from layer 0, which is nearly $x$, to the top, which is nearly $\mathcal N(0,I)$. The encoder is the
# identity, and so is the decoder: the likelihood, `inverted`, only undoes the last bit of noise. All
# that learns is the prior, still `layered`, with a network for each layer.

# %%
config.encoder = config.decoder = "identity"
config.latent_dim = 2  # of a layer; the posterior says how many there are
config.posterior, config.likelihood = "diffused(steps=3, gamma_min=-6.0)", "inverted"
train("fixed posterior")

# %% [markdown]
# **The prior removes noise.** If one knew $x$, the way from $z_t$ down to $z_{t-1}$ would be known: $q(z_{t-1}\mid z_t,x)$ is a
# normal with a formula. One does not, so a network looks at $z_t$ and makes a guess $\hat x_\theta(z_t,t)$, which takes its place:
#
# $$p_\theta(z_{t-1}\mid z_t)=q\left(z_{t-1}\mid z_t,\,x=\hat x_\theta(z_t,t)\right).$$
#
# One network does it for all $t$. Both normals have the same variance, so the KL of a layer is a squared error,
#
# $$D_{\mathrm{KL}}\left(q(z_{t-1}\mid z_t,x)\,\|\,p_\theta(z_{t-1}\mid z_t)\right)
# =\tfrac12\left(\mathrm{SNR}_{t-1}-\mathrm{SNR}_t\right)\left\|x-\hat x_\theta(z_t,t)\right\|^2.$$

# %%
network = "mlp(hidden=(64, 64), activation='silu')"  # it sees sin and cos of 2 pi z_t, too
config.prior = f"denoising(network={network}, data_frequencies=(0,))"
train("denoising prior")

# %% [markdown]
# **One layer at a time.** The KL is a sum over layers, and each $z_t$ can be drawn without the others, since $q(z_t\mid x)$
# is known. So the KL of a layer drawn at random, times the number of them, has the right mean, which we check with the model just
# trained. An update then costs one call of the network, however many layers there are, and the last step is to have a thousand.

# %%
x = jnp.asarray(runs["denoising prior"].dataset.splits["test"])
again = runs["denoising prior"].model, runs["denoising prior"].params, x
bounds["the same, one layer at a time"] = bound(*again, kl="one_layer", num_samples=300)
config.objective = "elbo(kl='one_layer')"
config.posterior = "diffused(steps=1000, gamma_min=-6.0)"
train("1,000 steps", kl="one_layer", num_samples=300)

# %%
rows = []
for name, values in bounds.items():
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    of = runs.get(name, runs["denoising prior"])
    layers = len(getattr(of.facts.posterior, "sizes", (2,)))
    rows.append([name, f"{layers:,}", f"{mean:.3f} ± {error:.3f}"])
print(tabulate(rows, ("model", "layers", "ELBO [nats]"), disable_numparse=True))
print(f"\n{len(x):,} test points; {of.step:,} updates of each model")

# %%
means = {name: values.mean() for name, values in bounds.items()}
all_layers, one_layer = means["denoising prior"], means["the same, one layer at a time"]
assert abs(one_layer - all_layers) < 0.05 * abs(all_layers)
assert means["fixed posterior"] > means["VAE, flat z"] - 0.5
assert all_layers < means["fixed posterior"] - 10  # the dear step
for name in runs:
    if name != "1,000 steps":  # which pays it back
        gain = bounds["1,000 steps"] - bounds[name]  # paired by point
        assert gain.mean() > 2 * gain.std() / np.sqrt(len(gain)), name

# %% [markdown]
# A hierarchy cost next to nothing, and fixing its posterior a few tenths of a nat. The prior that denoises costs many nats, and a thousand layers bring them back, and more: the last model has the best bound of all. The reason is in
# the variances. `layered` learns a mean *and* a scale for each layer; the prior that denoises has only a mean, and takes
# the scale that would be right if $x$ were known. It is too sure of itself, the more so the larger the step
# from $z_t$ to $z_{t-1}$. How much it loses can be computed.
#
# ## Where everything is known
#
# Let $x\sim\mathcal N(0,v)$ be a single number, $v=0.7$. Then the best guess is known, the mean of $p(x\mid z_t)$,
#
# $$\hat x(z_t,t)=\frac{v\,\alpha_t\,z_t}{v\,\alpha_t^2+\sigma_t^2},\qquad
# \mathbb E\left|x-\hat x\right|^2=\frac{v}{1+v\,\mathrm{SNR}_t}.$$
#
# With a part of our own in place of the network, as in [notebook 7](07_your_own_prior_and_likelihood.ipynb), it is a
# model of this library, without any parameters. Its $\gamma$ goes from 5, nearly all noise, to $-13.3$, nearly none.

# %%
V = 0.7


def best_guess(gamma, layer, z):
    """E[x | z_t] of x ~ N(0, V)."""
    alpha, sigma = scales(gamma[layer][..., None])
    return V * alpha * z / (V * alpha**2 + sigma**2)


# %%
def exact_denoiser(spec) -> Prior:
    """The prior `denoising` with the best guess in place of a network."""

    def distribution(params, given=None):
        gamma = spec.noise(params)
        return Denoising(best_guess, gamma, gamma, spec.sizes[0])

    return Prior(no_params, distribution, spec.sizes[0])


# %%
x = jnp.sqrt(V) * jax.random.normal(jax.random.key(0), (20_000, 1))


def gaussian(T):
    """The model with T steps, and its parameters, of which there are none."""
    parts = {"encoder": "identity", "decoder": "identity", "likelihood": "inverted"}
    parts["posterior"] = f"diffused(steps={T}, gamma_min=-13.3, gamma_max=5.0)"
    model = build_model((1,), prior=exact_denoiser, **parts)
    return model, model.init(jax.random.key(0), x[:1])


# %% [markdown]
# The KL of all layers but the top, the *diffusion term*, is then a sum, and it is a sum of rectangles:
#
# $$\tfrac12\sum_{t=1}^T\left(\mathrm{SNR}_{t-1}-\mathrm{SNR}_t\right)\frac{v}{1+v\,\mathrm{SNR}_t}
# \;\longrightarrow\;
# \tfrac12\int_{\mathrm{SNR}_T}^{\mathrm{SNR}_0}\frac{v\,ds}{1+v\,s}=\tfrac12\log\frac{1+v\,\mathrm{SNR}_0}{1+v\,\mathrm{SNR}_T}.$$
#
# Each rectangle has the height of its noisy end, where the error of the guess is largest, so the sum lies above the
# integral. It falls whenever the steps are halved.


# %%
def diffusion_term(T):
    """The sum of rectangles, nats."""
    snr = np.exp(-np.linspace(5.0, -13.3, T + 1))
    return 0.5 * (np.diff(snr) * V / (1 + V * snr[:-1])).sum()


Ts = 2 ** np.arange(13)  # 1, 2, 4, ..., 4096
terms = np.array([diffusion_term(T) for T in Ts])
snr_0, snr_1 = np.exp(13.3), np.exp(-5.0)
limit = 0.5 * np.log((1 + V * snr_0) / (1 + V * snr_1))
print(f"diffusion term, T = 64: {diffusion_term(64):.4f}, T = 1000: {diffusion_term(1000):.4f}")
print(f"its limit: {limit:.5f} nats")

# %%
assert (np.diff(terms) < 0).all()
assert terms[-1] > limit
assert np.isclose(terms[-1] - limit, (terms[-2] - limit) / 2, rtol=0.01)  # as 1/T
assert np.isclose(limit, 6.46931, atol=5e-6)
assert np.isclose(diffusion_term(1000), 6.5243, atol=5e-5)

# %% [markdown]
# Two more terms make the bound: the KL of the top layer, and the reconstruction from $z_0$. Both are formulas of
# normals. The bound of the model is held against them.


# %%
def negative_bound(diffusion):
    """Minus the ELBO of an average x, nats, with that diffusion term."""
    top = V * snr_1 / (1 + snr_1) + 1 / (1 + snr_1)  # E z_T^2
    kl_of_top = 0.5 * (top - 1 + np.log(1 + snr_1))
    reconstruction = 0.5 * np.log(2 * np.pi / snr_0) + 0.5
    return reconstruction + kl_of_top + diffusion


model, params = gaussian(64)
values = -bound(model, params, x, num_samples=1)
error = values.std() / np.sqrt(len(values))
expected = negative_bound(diffusion_term(64))
print(f"minus the ELBO at T = 64: {values.mean():.3f} ± {error:.3f}; formula {expected:.5f}")
assert abs(values.mean() - expected) < 4 * error
assert np.isclose(expected, 2.17797, atol=5e-6)

# %% [markdown]
# ## The model is better than its bound
#
# This model is linear-Gaussian: every $p(z_{t-1}\mid z_t)$ is a normal whose mean is linear in $z_t$. So $p(x)$ is a normal
# as well, and its variance can be followed down the chain: each layer multiplies it by the square of a slope and adds
# the variance of its own noise. `marginal` reads it off the model without knowing the formula.


# %%
def model_variance(T):
    """The variance of the model's own x."""
    gamma, variance = np.linspace(5.0, -13.3, T + 1), 1.0
    alpha, sigma = np.sqrt(1 / (1 + np.exp(gamma))), np.sqrt(1 / (1 + np.exp(-gamma)))
    for t in range(T):
        lost = -np.expm1(gamma[t + 1] - gamma[t])
        kept = (sigma[t + 1] / sigma[t]) ** 2 * alpha[t] / alpha[t + 1]
        slope = kept + alpha[t + 1] * lost * V * alpha[t] / (V * alpha[t] ** 2 + sigma[t] ** 2)
        variance = slope**2 * variance + sigma[t + 1] ** 2 * lost
    return (variance + sigma[-1] ** 2) / alpha[-1] ** 2


# %%
def negative_log_p(T):
    """Minus log p(x) of an average x of the data, nats."""
    variance = model_variance(T)
    return 0.5 * (np.log(2 * np.pi * variance) + V / variance)


# %%
own = float(marginal(model, params, (1,)).covariance_matrix[0, 0])
entropy = 0.5 * np.log(2 * np.pi * np.e * V)
print(f"variance of the model's x at T = 64: {own:.4f}, by recursion {model_variance(64):.4f}")
print(f"minus the ELBO  {expected:.5f} nats")
print(f"minus log p(x)  {negative_log_p(64):.5f} nats")
print(f"entropy of x    {entropy:.5f} nats")
assert np.isclose(own, model_variance(64), rtol=1e-3)
assert np.isclose(negative_log_p(64), 1.24570, atol=5e-6)
assert np.isclose(entropy, 1.24060, atol=5e-6)

# %%
elbos = negative_bound(terms)
log_ps = np.array([negative_log_p(T) for T in Ts])
assert (elbos > log_ps).all()
assert (log_ps > entropy).all()
assert 0 <= negative_bound(limit) - entropy < 1e-4  # nothing is lost by infinitely many steps
figure, axes = plt.subplots(figsize=(6.4, 3.4))
axes.loglog(Ts[2:], (elbos - entropy)[2:], "o-", color=BLUE, label="ELBO")
axes.loglog(Ts[2:], (log_ps - entropy)[2:], "s-", color=ORANGE, label=r"$\log p_\theta(x)$, exact")
axes.set_xticks(Ts[2::2], [f"{T:,}" for T in Ts[2::2]])
axes.minorticks_off()
axes.set(xlabel="$T$, steps", ylabel=r"nats below $-\mathbb{H}[p]$")
axes.set_title("the exact denoiser of normal data", fontsize="small")
_ = axes.legend()

# %% [markdown]
# At $T=64$ the bound says that the model is nearly a nat worse than the data's entropy allows, and the model is
# half a hundredth of a nat worse. The gap is all the bound's: $q$ is fixed, so nothing can bring it closer to the posterior
# of the model, except shorter steps. Their loss falls as $1/T$, and in the limit the bound and the entropy agree but for
# what little the ends $\gamma=5$ and $-13.3$ leave. So a bound at few steps says little about the model it bounds.
#
# ## Why training uses the KL of one layer
#
# In the ELBO the KL can be taken from the densities of all layers at one draw, as the mean of $\log p(x,z)-\log q(z\mid x)$, the *log weight*;
# as a sum of closed forms, each given a draw of $z_t$; or as one of these, of a layer at random. All three
# have the same mean. The last column below is the standard deviation of a single draw.

# %%
rows, noise = [], {}
for T in (4, 1000):
    model, params = gaussian(T)
    exact = -negative_bound(diffusion_term(T))
    for kl in ("sampled", "auto", "one_layer"):
        values = bound(model, params, x[:5000], kl=kl, num_samples=1)
        noise[T, kl] = values.std()
        error = noise[T, kl] / np.sqrt(len(values))
        assert abs(values.mean() - exact) < 4.5 * error, (T, kl)
        found = f"{values.mean():.2f} ± {error:.2f}"
        rows.append([T, kl, f"{exact:.2f}", found, f"{noise[T, kl]:.1f}"])
headers = "T", "kl", "ELBO, formula", "ELBO, drawn", "std. of a draw"
print(tabulate(rows, headers, disable_numparse=True))

# %%
ratio = (noise[1000, "one_layer"] / noise[1000, "auto"]) ** 2
print(f"T = 1000: one layer has {ratio:.0f} times the variance of all")
assert 90 < noise[4, "sampled"] < 105
assert 0.9 < noise[4, "auto"] / noise[4, "sampled"] < 1.1
assert noise[1000, "sampled"] < noise[1000, "auto"] < noise[1000, "one_layer"]
assert 5 < ratio < 20

# %% [markdown]
# At four steps a log weight strays by nearly a hundred nats from draw to draw. A factor of $e^{100}$ is no weight to average, so importance
# sampling, which gave $\log p_\theta(x)$ of the VAEs, is of no use here. The closed forms do not help: what strays is
# the error of the guess, times a large difference of SNRs.
#
# At a thousand steps the log weight is the quietest of the three. That is no surprise: $\log w=\log p_\theta(x)-\log\left(q(z\mid x)/p_\theta(z\mid x)\right)$,
# which is a constant where $q$ is the posterior, and with short steps it nearly is. So low noise is not why diffusion models are
# trained on KLs. The reason is the price: a log weight, like the sum of all KLs, takes a thousand calls of the network, and the KL of one layer
# takes one. It has some ten times the variance of the sum for a thousandth of the work, and a batch has many layers in it.
#
# ## From noise to data
#
# Back to the plane, and to the model with a thousand steps. `path` draws $z_T\sim\mathcal N(0,I)$ and goes down layer by layer. It can
# leave layers out: with $\eta=0$ it adds no noise on the way (DDIM, Song et al. 2021), and a point moves along a smooth curve from
# noise to data. With $\eta=1$ and all layers it draws from the model itself.

# %%
run = runs["1,000 steps"]
prior = run.model.prior(run.params)
alpha_0 = float(scales(prior.gamma[-1])[0])
draw = jax.jit(
    lambda key, steps, eta: prior.path(key, (1000,), steps=steps, eta=eta), static_argnums=(1, 2)
)
settings = {"5 steps": (5, 0.0), "100 steps": (100, 0.0), "1,000 steps, all noise": (1000, 1.0)}
paths = {name: np.asarray(draw(jax.random.key(3), *how)) for name, how in settings.items()}
data = np.asarray(run.dataset.splits["test"])

# %% tags=["cover"]
figure, panels = plt.subplots(len(paths), 6, sharex=True, sharey=True, figsize=(9.6, 5))
for row, (name, path) in zip(panels, paths.items(), strict=True):
    for axes, share in zip(row[:5], (0, 0.4, 0.6, 0.8, 1), strict=True):
        z = path[round(share * (len(path) - 1))]
        axes.scatter(*z.T, s=1.5, color=BLUE, lw=0, rasterized=True)
        axes.set(aspect="equal", xticks=(), yticks=(), xlim=(-2.6, 2.9), ylim=(-2.4, 2.6))
    row[0].set_ylabel(name.replace(", ", ",\n"), fontsize="small")
    row[5].scatter(*data.T, s=1.5, color=GREY, lw=0, rasterized=True)
    row[5].set(aspect="equal", xticks=(), yticks=())
titles = ["noise", "40%", "60%", "80% of the way", "draws of $x$", "data"]
for axes, title in zip(panels[0], titles, strict=True):
    axes.set_title(title, fontsize="small")


# %% [markdown]
# A hundred steps without noise look like the thousand with it, and five steps fill part of the gap between the half circles. How far are the draws
# from the data? The *energy distance* of two distributions,
#
# $$2\,\mathbb E\left\|a-b\right\|-\mathbb E\left\|a-a'\right\|-\mathbb E\left\|b-b'\right\|,$$
#
# with $a,a'$ of the one and $b,b'$ of the other, is 0 only if they are the same. We compute it between draws and test points, and
# between training points and test points, which tells how small it can be for as many points.


# %%
def apart(a, b):
    """The mean distance of two points."""
    return np.sqrt(((a[:, None] - b) ** 2).sum(-1)).mean()


sets = {name: path[-1] / alpha_0 for name, path in paths.items()}
sets["training points"] = np.asarray(run.dataset.splits["train"][:1000])
energy = {k: 2 * apart(a, data) - apart(a, a) - apart(data, data) for k, a in sets.items()}
for name, value in energy.items():
    print(f"{name:24} {value:.4f}")
assert energy["5 steps"] > 2 * energy["100 steps"] > 2 * energy["training points"]
assert energy["100 steps"] > energy["1,000 steps, all noise"]

# %% [markdown]
# A hundred steps are enough for a good picture, if not for the best one, and even five give the outline. The bound is more demanding. The network knows nothing of the number of steps but the time
# $t/T$, so the one that was trained with a thousand can be put into a model with fewer, and its ELBO computed.

# %%
few, x_test = {}, jnp.asarray(data)
for T in (4, 16, 64, 1000):
    config.posterior = f"diffused(steps={T}, gamma_min=-6.0)"
    names = ("encoder", "decoder", "posterior", "prior", "likelihood")
    model = build_model((2,), **{name: config[name] for name in names})
    values = bound(model, run.params, x_test, kl="one_layer", num_samples=300)
    few[T] = values.mean(), values.std() / np.sqrt(len(values))
    print(f"T = {T:4}: ELBO {few[T][0]:.3f} ± {few[T][1]:.3f} nats")
assert (np.diff([mean for mean, _ in few.values()]) > 0).all()

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.2))
minus = [-mean for mean, _ in few.values()]
axes.loglog(few.keys(), minus, "o-", color=BLUE, label="diffusion")
for name, colour in (("VAE, flat z", GREEN), ("fixed posterior", ORANGE)):
    axes.axhline(-means[name], color=colour, ls="--", label=name)
axes.set_xticks(list(few), [f"{T:,}" for T in few])
axes.set_yticks([1, 2, 5, 10], ["1", "2", "5", "10"])
axes.minorticks_off()
axes.set(xlabel="$T$, steps", ylabel="minus the ELBO [nats per point]")
_ = axes.legend()

# %% [markdown]
# ## Latent diffusion
#
# The five steps need not all be taken. If the encoder is a network again, the same posterior adds noise to *its* output,
# the same prior removes it, and the decoder is a network as well: a VAE whose prior is a diffusion model of the latents. That is
# *latent diffusion*, and all of it is trained on the one ELBO. Here it is on digits in black and white.

# %%
digits = vae_jax.default_config()
digits.data = "digits(binarize='static', validation=0)"
digits.encoder = digits.decoder = "mlp(hidden=(64,), activation='tanh')"
digits.posterior = "diffused(steps=100, gamma_min=-3.0, size=6)"
digits.prior, digits.objective = f"denoising(network={network})", config.objective
digits.num_epochs, digits.eval_every_epochs = 60, 60.0
digits.optimizer = config.optimizer
latent = vae_jax.fit(digits, quiet=True)
binary = jax.vmap(lambda raw: latent.dataset.preprocess(jax.random.key(0), raw))
x, x_test = (binary(jnp.asarray(latent.dataset.splits[name])) for name in ("train", "test"))

# %%
values = bound(latent.model, latent.params, x_test, kl="one_layer", num_samples=200)
error = values.std() / np.sqrt(len(values))
f = jnp.clip(x.mean(0), 1e-3, 1 - 1e-3)  # how often each pixel is black
alone = float((x_test * jnp.log(f) + (1 - x_test) * jnp.log(1 - f)).sum((1, 2, 3)).mean())
print(f"ELBO of latent diffusion: {values.mean():.2f} ± {error:.2f} nats per digit")
print(f"independent pixels:       {alone:.2f} nats")
assert values.mean() > alone + 4 * error

# %% [markdown]
# It works with the same parts, and is far above what pixels without a latent reach. For the flat and the two-layer VAEs of the
# same digits, with the same networks between $x$ and $z$, see the table of the [last notebook](09_more_layers.ipynb).
#
# **Answer.** A diffusion model is a hierarchical VAE whose posterior is fixed and whose prior is one network, used at every
# layer. Fixing the posterior cost some tenths of a nat here. Denoising with the scales of the posterior costs many nats at few layers and,
# with the best guess, none in the limit. That, and not the model itself, is why there are so many layers; they are affordable, because training looks at one
# of them at a time. The ELBO was the same function from the first line of the table to the last.
