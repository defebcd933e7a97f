# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6. Does it learn p(x)?
#
# **Question.** A VAE is trained on a lower bound, with a latent variable that nobody observed. Does
# $p_\theta(x)$ become the distribution $p(x)$ that the data came from, and how would we know?
#
# The [first notebook](01_maximum_likelihood.ipynb) said what learning a distribution means: bringing
# $D_{\mathrm{KL}}(p\,\|\,p_\theta)$ down. The [last one](05_the_prior_matching_term.ipynb) left a model trained, and did
# not ask how large that is. With images nobody knows $p(x)$. So we start where it is known: points in the plane drawn from a mixture of
# eight normals. With two latent dimensions the model's own density
#
# $$p_\theta(x)=\int p_\theta(x\mid z)\,p(z)\,dz$$
#
# is computable as well, by quadrature: a sum over a fine grid of $z$. Nothing has to be believed.
#
# (While training, the weight of the KL rises from 0 to 1 over the first 1,000 steps, so that the latent is
# used before it costs anything. What is drawn and reported is always the bound itself.)

# %%
import itertools

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import vae_jax
from vae_jax import elbo, plots
from vae_jax.estimators.quadrature import log_p_by_quadrature
from vae_jax.plots import BLUE, GREY, ORANGE

plt.style.use("vae_jax.paper")

# %%
config = vae_jax.default_config()
config.data = "gaussian_mixture(scale=0.3, size=6000)"
config.encoder = config.decoder = "mlp(hidden=(64, 64))"
config.likelihood, config.latent_dim = "normal(scale='learned')", 2
config.objective = "elbo(warmup_steps=1000)"
schedule = "cosine_decay_schedule(init_value=3e-3, decay_steps=num_steps)"
config.optimizer = f"adam(learning_rate={schedule})"
config.num_epochs, config.eval_every_epochs = 60, 4.0
snapshots = []
run = vae_jax.fit(config, quiet=True, observe=snapshots.append)
model, data = run.model, run.dataset
print(f"{len(data.splits['train'])} points, {run.step} steps, {len(snapshots)} snapshots")

# %% [markdown]
# ## The density while it is learned
#
# `quadrature` gives $\log p_\theta(x)$ at any $x$, so we can draw the whole density and not only samples from
# it. A density integrates to 1, also this one: that is checked for every density that is drawn, on a
# grid that is wider than the pictures.

# %%
EDGE = np.linspace(-5, 5, 81)
GRID = jnp.stack(jnp.meshgrid(EDGE, EDGE), axis=-1).reshape(-1, 2)
CELL = (EDGE[1] - EDGE[0]) ** 2


@jax.jit
def model_density(params):
    """p_theta(x) on the grid."""
    return jnp.exp(log_p_by_quadrature(model, params, GRID, points=80))


# %%
shown = [snapshots[i] for i in (0, 1, 2, 4, -1)]
densities = {f"step {then.step}": model_density(then.params) for then in shown}
densities["the data's $p(x)$"] = jnp.exp(data.log_prob(GRID))
masses = {title: float(density.sum() * CELL) for title, density in densities.items()}
for title, mass in masses.items():
    print(f"{title}: integrates to {mass:.4f}")
    assert abs(mass - 1) < 0.01, title


# %% tags=["cover"]
def draw_densities(densities, vmax=None):
    """Densities on the grid side by side, on one scale of colours."""
    size = 1.7 * len(densities) + 0.6, 2.1
    figure, columns = plt.subplots(1, len(densities), sharey=True, figsize=size)
    for axes, (title, density) in zip(columns, densities.items(), strict=True):
        square = np.asarray(density).reshape(len(EDGE), -1)
        image = axes.pcolormesh(EDGE, EDGE, square, cmap="viridis", vmin=0, vmax=vmax)
        axes.set(title=title, xlabel="$x_1$", aspect="equal", xlim=(-3.2, 3.2), ylim=(-3.2, 3.2))
    columns[0].set_ylabel("$x_2$")
    figure.colorbar(image, ax=columns, label="density", shrink=0.75)


draw_densities(densities, vmax=0.25)

# %% [markdown]
# ## Bound, log p(x) and entropy on one axis
#
# How far is it from the truth, in nats? Averaged over $x\sim p(x)$, three numbers are in order, and each
# gap is a KL divergence:
#
# $$\mathbb{E}_p[\text{ELBO}]
#   \;\underbrace{\le}_{\mathbb{E}_p D_{\mathrm{KL}}(q_\phi(z \mid x)\,\|\,p_\theta(z \mid x))}\;
#   \mathbb{E}_p[\log p_\theta(x)]
#   \;\underbrace{\le}_{D_{\mathrm{KL}}(p\,\|\,p_\theta)}\;
#   \mathbb{E}_p[\log p(x)] = -\mathbb{H}[p] .$$
#
# The first is notebook 3, the second notebook 1. No model can do better than the negative *entropy* of the
# data, $-\mathbb{H}[p]$. All three are averages over the 1,000 test points, which differ from snapshot to
# snapshot only by the parameters.

# %%
x = data.splits["test"]


@jax.jit
def bound_and_log_p(params):
    """The ELBO, by 20 draws of z, and log p_theta(x), by quadrature, of each test point, nats."""
    bound = elbo(model, params, jax.random.key(1), x, num_samples=20).value
    return bound, log_p_by_quadrature(model, params, x, points=80)


# %%
pairs = np.array([bound_and_log_p(then.params) for then in snapshots])  # [snapshots, 2, points]
log_data = np.asarray(data.log_prob(x))
for name, gap in (("bound", pairs[-1, 1] - pairs[-1, 0]), ("model", log_data - pairs[-1, 1])):
    error = gap.std(ddof=1) / np.sqrt(len(gap))
    print(f"the KL that the {name} leaves at the end: {gap.mean():.3f} ± {error:.3f} nats")
    assert gap.mean() > 4 * error
bounds, log_ps = pairs.mean(2).T
assert (bounds < log_ps + 1e-3).all()  # at each snapshot
assert (log_ps < log_data.mean()).all()
assert log_data.mean() - log_ps[-1] < 0.5 * (log_data.mean() - log_ps[0])
assert bounds[-1] - bounds[6] > 0.1 > 0.03 > abs(log_ps[-1] - log_ps[6])  # the encoder's gain

# %%
steps = [then.step for then in snapshots]
figure, axes = plt.subplots(figsize=(7.4, 3.8))
axes.axhline(
    log_data.mean(), color=GREY, ls="--", label=r"$-\mathbb{H}[p]$, minus the data's entropy"
)
axes.plot(steps, log_ps, color=ORANGE, label=r"$\log p_\theta(x)$, quadrature")
axes.plot(steps, bounds, color=BLUE, label="ELBO")
for low, high, colour, label in (
    (log_ps, log_data.mean(), ORANGE, r"not learned: $D_{\mathrm{KL}}(p \,\|\, p_\theta)$"),
    (bounds, log_ps, BLUE, r"not tight: $D_{\mathrm{KL}}(q_\phi \,\|\, p_\theta(z \mid x))$"),
):
    axes.fill_between(steps, low, high, color=colour, alpha=0.2, lw=0, label=label)
axes.set(xlabel="training step", ylabel="nats per test example", xlim=(0, steps[-1]))
axes.set_ylim(bounds[1] - 0.2, log_data.mean() + 0.2)
_ = axes.legend(loc="lower right")

# %% [markdown]
# The upper gap is what the model has not learned; the lower one is how much the bound understates it. (At step 0
# the bound lies below the picture.) Training sees only the blue line and cannot tell one gap from the other: after
# some 1,000 steps the bound still rises by more than a tenth of a nat, while $\log p_\theta(x)$ gains nothing. All of that gain
# is the encoder's. To raise the bound is not always to raise $\log p_\theta(x)$.
#
# ## A tighter bound
#
# With $k$ draws from $q_\phi(z\mid x)$ there is a better bound (Burda et al. 2016),
#
# $$\mathrm{IWAE}_k(x)=\mathbb E\left[\log\frac1k\sum_{i=1}^k\frac{p_\theta(x\mid z_i)\,p(z_i)}{q_\phi(z_i\mid x)}\right],
# \qquad\mathrm{ELBO}=\mathrm{IWAE}_1\le\mathrm{IWAE}_5\le\dots\to\log p_\theta(x).$$
#
# The draws are weighted by $w_i$, the fraction above: this is *importance sampling*, as in notebook 2 but with
# the encoder in place of the prior. With many draws it is how $\log p_\theta(x)$ is estimated where quadrature is
# out of reach. Here it is not, so we can see whether it arrives: with 1,000 draws, to a few hundredths of a nat.
# (The ELBO below is one draw of $z$ for each point, the one above was the mean of 20.)

# %%
ks = (1, 2, 5, 20, 100, 500)
result = vae_jax.evaluate(
    run, num_importance_samples=1000, iwae_samples=ks, quadrature_points=80, quiet=True
)
each = result["per_example"]
for fewer, more in itertools.pairwise(ks):
    gain = each[f"iwae_{more}"] - each[f"iwae_{fewer}"]
    assert gain.mean() > -2 * gain.std(ddof=1) / np.sqrt(len(gain)), more
left = (each["log_p_quadrature"] - each["log_p"]).mean()
gap = (each["log_p_quadrature"] - each["iwae_1"]).mean()
print(f"below quadrature: the ELBO by {gap:.3f} nats, importance sampling by {left:.3f}")
assert -0.01 < left < 0.05
assert left < 0.2 * gap
plots.bounds({k: v for k, v in result["numbers"].items() if k != "log_p_data"})

# %% [markdown]
# ## A better prior
#
# A continuous decoder has to bend one round normal into eight islands, and leaves bridges between them. A
# *mixture* of normals whose means, scales and weights are learned with the rest can come in pieces. The same
# data, networks and steps, another prior.

# %%
config.prior, config.eval_every_epochs = "mixture(components=20)", 60.0
other = vae_jax.fit(config, quiet=True)


@jax.jit
def other_log_p(params, points):
    """log p_theta(x) of the model with the mixture prior."""
    return log_p_by_quadrature(other.model, params, points, points=100)


# %%
log_p = np.asarray(other_log_p(other.params, jnp.concatenate([x, GRID])))
learned, density = log_p[: len(x)], np.exp(log_p[len(x) :])
assert abs(density.sum() * CELL - 1) < 0.01
gain, missed = learned - pairs[-1, 1], log_data - learned
for name, nats in (("gained by the prior", gain), ("still missed", missed)):
    error = nats.std(ddof=1) / np.sqrt(len(nats))
    print(f"{name}: {nats.mean():.3f} ± {error:.3f} nats")
    assert nats.mean() > 3 * error, name
assert missed.mean() < 0.3 * (log_data - pairs[-1, 1]).mean()
last, data_title = list(densities)[-2:]
three = {"standard normal": densities[last], "mixture": density, data_title: densities[data_title]}
draw_densities(three, vmax=0.25)

# %% [markdown]
# ## Where nobody knows p(x)
#
# Digits, 8 x 8 bits. There is no $-\mathbb{H}[p]$ to hold the model against, but each of the numbers above can still be
# had: the bound, importance sampling with its Monte Carlo error, and, because the latent is a plane,
# quadrature to hold that against.

# %%
config = vae_jax.default_config()
config.encoder = config.decoder = "mlp(hidden=(100, 100), activation='tanh')"
config.latent_dim, config.num_epochs, config.eval_every_epochs = 2, 80, 80.0
config.optimizer = "adam(learning_rate=2e-3)"
run = vae_jax.fit(config, quiet=True)
asked = {"num_importance_samples": 300, "quadrature_points": 100, "quiet": True}
result = vae_jax.evaluate(run, **asked)
numbers = result["numbers"]
for name in ("elbo", "iwae_5", "iwae_50", "log_p", "log_p_quadrature"):
    number = numbers[name]
    print(f"{name:17} {number['mean']:8.3f} ± {number['standard_error']:.3f} {number['unit']}")
error = numbers["log_p"]["monte_carlo_error"]
print(f"Monte Carlo error of log_p: {error:.3f}")
assert abs(numbers["log_p_quadrature"]["mean"] - numbers["log_p"]["mean"]) < 4 * error + 0.03
assert numbers["elbo"]["mean"] < numbers["iwae_5"]["mean"] < numbers["iwae_50"]["mean"]


# %%
@jax.jit
def pictures(params, raw):
    """Data as bits, draws of the model, and the means they are drawn with."""
    z_key, x_key, bits_key = jax.random.split(jax.random.key(0), 3)
    p = run.model.decode(params, run.model.prior(params).sample(z_key, (len(raw),)))
    x = jax.vmap(run.dataset.preprocess)(jax.random.split(bits_key, len(raw)), raw)
    return x, p.sample(x_key), p.mean


# %%
titles = (
    "data",
    r"draws $x \sim p_\theta(x \mid z)$, $z \sim p(z)$",
    r"means of $p_\theta(x \mid z)$",
)
shown = pictures(run.params, jnp.asarray(run.dataset.splits["test"][:36]))
panels = {title: np.asarray(images) for title, images in zip(titles, shown, strict=True)}
plots.image_panels(panels, columns=6)

# %% [markdown]
# Importance sampling is a little low, by more than its error says: the logarithm of an average is biased down, and
# the error knows nothing of the $z$ that $q_\phi$ misses.
#
# The means look better than the draws, but the draws are the model: data are bits, and so are they. A picture
# does not say how good $p_\theta$ is, the number on held-out digits above does.
#
# **Answer.** Yes, as far as its parts allow. Trained on the bound alone, $p_\theta(x)$ moved towards $p(x)$, and in the
# plane we saw by how many nats it misses: one KL for what is not learned, $D_{\mathrm{KL}}(p\,\|\,p_\theta)$, one for
# the bound's gap. More draws close the second without training; better parts, a prior that is learned say,
# close the first. Where $p(x)$ is unknown only differences between models remain: the bound and
# $\log p_\theta(x)$ on data held out, with their errors. How to compare a model of your own in this way is the
# [next question](07_your_own_prior_and_likelihood.ipynb).
