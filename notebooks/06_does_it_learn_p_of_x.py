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
# With images nobody knows $p(x)$. So we start where it is known: points in the plane drawn from a mixture of
# eight normals. With two latent dimensions the model's own density
#
# $$p_\theta(x)=\int p_\theta(x\mid z)\,p(z)\,dz$$
#
# can be had as well, by quadrature: a sum over a fine grid of $z$. Nothing has to be believed.

# %%
import itertools

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import vae_jax
from vae_jax import plots
from vae_jax.estimators.quadrature import quadrature
from vae_jax.plots import BLUE, GREY, ORANGE

plt.style.use("vae_jax.paper")

# %%
config = vae_jax.default_config()
config.data = "gaussian_mixture(scale=0.3, size=6000)"
config.encoder = config.decoder = "mlp(hidden=(64, 64))"
config.likelihood, config.latent_dim = "normal(scale='learned')", 2
config.optimizer = (
    "adam(learning_rate=cosine_decay_schedule(init_value=3e-3, decay_steps=num_steps))"
)
config.num_epochs, config.eval_every_epochs = 80, 4.0
snapshots = []
run = vae_jax.fit(config, quiet=True, observe=snapshots.append)
model, data = run.model, run.dataset
print(f"{len(data.splits['train'])} points, {run.step} steps, {len(snapshots)} snapshots")

# %% [markdown]
# ## The density while it is learned
#
# `quadrature` gives $\log p_\theta(x)$ at any $x$, so we can draw the whole density and not only samples from
# it. A density integrates to 1, also this one, on this grid: that is checked at every snapshot.

# %%
EDGE = np.linspace(-3.5, 3.5, 64)
GRID = jnp.stack(jnp.meshgrid(EDGE, EDGE), axis=-1).reshape(-1, 2)
CELL = (EDGE[1] - EDGE[0]) ** 2


@jax.jit
def model_density(params):
    """p_theta(x) on the grid."""
    return jnp.exp(quadrature(model, params, GRID, points=80))


# %%
shown = [snapshots[i] for i in (0, 5, 6, 8, -1)]
densities = {f"step {then.step}": model_density(then.params) for then in shown}
densities["the data's $p(x)$"] = jnp.exp(data.log_prob(GRID))
masses = {title: float(density.sum() * CELL) for title, density in densities.items()}
print("mass on the grid:", ", ".join(f"{title} {mass:.3f}" for title, mass in masses.items()))


# %% tags=["cover"]
def draw_densities(densities, vmax=None):
    """Densities on the grid side by side, on one scale of colours."""
    figure, columns = plt.subplots(
        1, len(densities), sharey=True, figsize=(1.9 * len(densities), 2.3)
    )
    for axes, (title, density) in zip(columns, densities.items(), strict=True):
        square = np.asarray(density).reshape(len(EDGE), -1)
        image = axes.pcolormesh(EDGE, EDGE, square, cmap="viridis", vmin=0, vmax=vmax)
        axes.set(title=title, xlabel="$x_1$", aspect="equal")
    columns[0].set_ylabel("$x_2$")
    figure.colorbar(image, ax=columns, label="density", shrink=0.75)


draw_densities(densities, vmax=0.25)

# %% [markdown]
# ## Bound, log p(x) and entropy on one axis
#
# How far is it from the truth, in nats? Averaged over $x\sim p(x)$, three numbers are in order, and each
# gap is a KL divergence:
#
# $$\mathrm{ELBO}\;\underbrace{\le}_{\mathrm{KL}(q_\phi(z|x)\|p_\theta(z|x))}\;\log p_\theta(x)
# \;\underbrace{\le}_{\mathrm{KL}(p\|p_\theta)}\;\log p(x),\qquad \mathbb E_p[\log p(x)]=-H(p).$$
#
# No model can do better than the negative entropy of the data, on average. `evaluate` computes all three
# for the 1,000 test points, the ELBO in its closed form KL and log p by quadrature.

# %%
results = [
    vae_jax.evaluate(then, num_importance_samples=20, quadrature_points=100, quiet=True)
    for then in snapshots
]
names = {"elbo": "ELBO", "log_p_quadrature": r"$\log p_\theta(x)$", "log_p_data": "$\\log p(x)$"}
curves = {n: np.array([r["numbers"][n]["mean"] for r in results]) for n in names}
each = results[-1]["per_example"]
for smaller, larger in (("elbo", "log_p_quadrature"), ("log_p_quadrature", "log_p_data")):
    gap = each[larger] - each[smaller]
    error = gap.std(ddof=1) / np.sqrt(len(gap))
    print(f"{larger} - {smaller} = {gap.mean():.3f} ± {error:.3f} nats")
    assert gap.mean() > 2 * error

# %%
steps = [then.step for then in snapshots]
elbo, log_p, truth = (curves[name] for name in names)
not_learned, not_tight = r"$\mathrm{KL}(p\|p_\theta)$", r"$E\,\mathrm{KL}(q(z|x)\|p_\theta(z|x))$"

# %%
figure, axes = plt.subplots(figsize=(7, 3.8))
axes.axhline(truth[-1], color=GREY, ls="--", label="$-H(p)$, the data's own density")
axes.plot(steps, log_p, color=ORANGE, label=r"$\log p_\theta(x)$, quadrature")
axes.plot(steps, elbo, color=BLUE, label="ELBO")
axes.fill_between(steps, log_p, truth, color=ORANGE, alpha=0.2, lw=0)
axes.fill_between(steps, elbo, log_p, color=BLUE, alpha=0.2, lw=0)
axes.text(steps[2], -3.0, f"{not_learned}: not learned", color=ORANGE)
axes.text(steps[-10], log_p[-1] - 0.25, f"{not_tight}: not tight", color=BLUE)
axes.set(xlabel="training step", ylabel="nats per test example", ylim=(-4, truth[-1] + 0.2))
_ = axes.legend(loc="lower right")

# %% [markdown]
# The upper gap is what the model has not learned; the lower one is how much the bound understates it. Only
# their sum is seen by training.
#
# ## A tighter bound
#
# With $k$ draws from $q_\phi(z\mid x)$ there is a better bound (Burda et al. 2016),
#
# $$\mathrm{IWAE}_k(x)=\mathbb E\left[\log\frac1k\sum_{i=1}^k\frac{p_\theta(x\mid z_i)\,p(z_i)}{q_\phi(z_i\mid x)}\right],
# \qquad\mathrm{ELBO}=\mathrm{IWAE}_1\le\mathrm{IWAE}_5\le\dots\to\log p_\theta(x).$$
#
# With thousands of draws it is how log p(x) is estimated where quadrature is out of reach. Here it is not, so
# we can see whether it arrives.

# %%
ks = (1, 2, 5, 20, 100, 500)
result = vae_jax.evaluate(
    run, num_importance_samples=1000, iwae_samples=ks, quadrature_points=100, quiet=True
)
each = result["per_example"]
for fewer, more in itertools.pairwise(ks):
    gain = each[f"iwae_{more}"] - each[f"iwae_{fewer}"]
    assert gain.mean() > -2 * gain.std(ddof=1) / np.sqrt(len(gain)), more
left = each["log_p_quadrature"] - each["log_p"]
print(
    f"quadrature - importance sampling: {left.mean():.4f} ± {left.std() / np.sqrt(len(left)):.4f}"
)
plots.bounds({k: v for k, v in result["numbers"].items() if k != "log_p_data"})

# %% [markdown]
# ## A better prior
#
# A continuous decoder has to bend one round normal into separate arms, and leaves bridges between them. A
# prior that is learned can come in pieces, or bend itself. A pinwheel, the same networks and the same steps,
# two priors. (The KL's weight rises from 0 at the beginning: without that both collapse here, and
# $p_\theta(x)$ is one round normal.)

# %%
config.data, config.num_epochs, config.eval_every_epochs = "pinwheel(size=6000)", 60, 60.0
config.objective = "elbo(warmup_steps=1000)"
log_ps = {}
for prior in ("standard_normal", "mixture(components=20)"):
    config.prior = prior
    run = vae_jax.fit(config, quiet=True)
    points = jnp.concatenate([GRID, run.dataset.splits["test"]])
    log_p = jax.jit(lambda params, m=run.model, x=points: quadrature(m, params, x, points=100))
    log_ps[prior] = np.asarray(log_p(run.params))

# %%
panels = {prior.split("(")[0]: np.exp(log_ps[prior][: len(GRID)]) for prior in log_ps}
for name, density in panels.items():
    assert abs(density.sum() * CELL - 1) < 0.02, name
plain, learned = (values[len(GRID) :] for values in log_ps.values())
gain, error = (learned - plain).mean(), (learned - plain).std(ddof=1) / np.sqrt(len(plain))
print(f"log p(x) {plain.mean():.3f} and {learned.mean():.3f} nats: {gain:+.3f} ± {error:.3f}")
assert gain > 2 * error
counts, _, _ = np.histogram2d(*run.dataset.splits["train"].T[::-1], [EDGE, EDGE], density=True)
panels["data, counted"] = np.pad(counts, (0, 1))
draw_densities(panels, vmax=0.4)

# %% [markdown]
# ## Where nobody knows p(x)
#
# Digits, 8 x 8 bits. There is no $-H(p)$ to hold the model against, but each of the numbers above can still be
# had: the bound, importance sampling with its Monte Carlo error, and, because the latent is a plane,
# quadrature to hold that against.

# %%
config = vae_jax.default_config()
config.encoder = config.decoder = "mlp(hidden=(100, 100), activation='tanh')"
config.latent_dim, config.num_epochs, config.eval_every_epochs = 2, 120, 120.0
config.optimizer = "adam(learning_rate=2e-3)"
run = vae_jax.fit(config, quiet=True)
asked = {"num_importance_samples": 300, "quadrature_points": 120, "quiet": True}
result = vae_jax.evaluate(run, **asked)
numbers = result["numbers"]
for name in ("elbo", "iwae_5", "iwae_50", "log_p", "log_p_quadrature"):
    number = numbers[name]
    print(f"{name:17} {number['mean']:8.3f} ± {number['standard_error']:.3f} {number['unit']}")
print(f"Monte Carlo error of log_p: {numbers['log_p']['monte_carlo_error']:.3f}")
assert numbers["elbo"]["mean"] < numbers["iwae_5"]["mean"] < numbers["iwae_50"]["mean"]

# %%
z_key, x_key = jax.random.split(jax.random.key(0))
p = run.model.decode(run.params, run.model.prior(run.params).sample(z_key, (36,)))
raw = jnp.asarray(run.dataset.splits["test"][:36])
x = jax.vmap(run.dataset.preprocess)(jax.random.split(x_key, 36), raw)
panels = {
    "data": x,
    r"draws $x \sim p_\theta(x \mid z)$, $z \sim p(z)$": p.sample(x_key),
    r"means of $p_\theta(x \mid z)$": p.mean,
}
plots.image_panels({title: np.asarray(images) for title, images in panels.items()}, columns=6)

# %% [markdown]
# The means look better than the draws, but the draws are the model: data are bits, and so are they. A picture
# does not say how good $p_\theta$ is, the number on held-out digits above does.
#
# **Answer.** Yes, as far as its parts allow. Trained on the bound alone, $p_\theta(x)$ moved to $p(x)$, and in the
# plane we saw by how many nats it misses: one KL for what is not learned, $\mathrm{KL}(p\,\|\,p_\theta)$, one for
# the bound's gap. More draws close the second without training; better parts, a prior that is learned say,
# close the first. Where $p(x)$ is unknown only differences between models remain: the bound and log p(x) on
# data held out, with their errors.
