# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5. The prior-matching term
#
# **Question.** The ELBO asks every $q_\phi(z\mid x)$ to be close to the one prior $p(z)$. If all of them
# were equal to it, $z$ would say nothing about $x$. Why does that not happen, and when does it?
#
# $$\mathrm{ELBO}(x)=\underbrace{\mathbb E_{q_\phi(z\mid x)}[\log p_\theta(x\mid z)]}_{\text{reconstruction}}
# -\underbrace{D_{\mathrm{KL}}\left(q_\phi(z\mid x)\,\|\,p(z)\right)}_{\text{prior matching}}
# \qquad\text{nats per example}$$
#
# The [last notebook](04_the_reconstruction_term.ipynb) was about the first term, and saw the second fall to zero
# where the first asked for little. We now compute the second in two ways, watch what it does to a latent plane during training, take it
# apart into two pieces with opposite roles, and at last turn its weight up until the model breaks.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle, Ellipse
from numpyro.distributions import Normal

import vae_jax
from vae_jax.distributions.normal_mixture import NormalMixture
from vae_jax.divergences import closed_form_kl, kl_per_dimension
from vae_jax.estimators.surgery import kl_surgery
from vae_jax.kl_estimators.plain import plain
from vae_jax.plots import BLUE, GREY, ORANGE

plt.style.use("vae_jax.paper")

# %% [markdown]
# ## A number, computed in two ways
#
# The Kullback-Leibler divergence is an expectation under $q$,
#
# $$D_{\mathrm{KL}}(q\,\|\,p)=\mathbb E_{q}\left[\log q(z)-\log p(z)\right]\ \ge 0,$$
#
# and 0 only if $q=p$. For two normal distributions the integral is known; in each dimension
#
# $$D_{\mathrm{KL}}\left(\mathcal N(m,s^2)\,\|\,\mathcal N(0,1)\right)=\tfrac12\left(m^2+s^2-1\right)-\log s .$$
#
# Where nobody knows the integral, say for a mixture as the prior, we draw $z_1,\dots,z_K\sim q$ and take the
# mean of $\log q(z_k)-\log p(z_k)$. That is right on average, with a standard error that we can estimate from
# the same draws and that falls as $1/\sqrt K$.

# %%
q = Normal(jnp.array([1.0, -0.5]), jnp.array([0.3, 0.8])).to_event(1)
p = Normal(jnp.zeros(2), 1.0).to_event(1)
exact = float(closed_form_kl(q, p))

Ks = [10, 100, 1000, 10_000, 100_000]
sampled = [jax.jit(plain, static_argnums=3)(jax.random.key(0), q, p, K) for K in Ks]
for K, (value, error) in zip(Ks, sampled, strict=True):
    assert abs(value - exact) < 4 * error, K
print(f"closed form {exact:.4f} nats, {Ks[-1]} draws {value:.4f} ± {error:.4f}")

# %%
figure, axes = plt.subplots(figsize=(6, 3))
axes.axhline(exact, color=ORANGE, label="closed form")
values, errors = (np.array(column) for column in zip(*sampled, strict=True))
axes.errorbar(Ks, values, errors, fmt="o", color=BLUE, capsize=3, label="sampled ± standard error")
axes.set_xscale("log")
axes.set(xlabel="$K$, draws of $z$", ylabel=r"$D_{\mathrm{KL}}(q \,\|\, p)$ [nats]")
axes.legend()
slope = np.polyfit(np.log(Ks), np.log(errors), 1)[0]
assert abs(slope + 0.5) < 0.05, slope  # the error falls as K^-1/2

# %% [markdown]
# The library takes the closed form where there is one and samples where there is none. Every number it
# reports says which of the two it is.

# %%
mixture = NormalMixture(jnp.zeros(2), jnp.array([[-1.0, 0.0], [1.0, 0.0]]), jnp.ones((2, 2)))
assert closed_form_kl(q, mixture) is None
value, error = plain(jax.random.key(0), q, mixture, 10_000)
print(f"KL(q || mixture) = {value:.3f} ± {error:.3f} nats, sampled: there is no closed form")

# %% [markdown]
# ## Every posterior is different, their average is not
#
# Now a VAE with a latent plane, on scikit-learn's 8 x 8 digits (black and white). `fit` shows the run
# to `observe` before the first update and at every validation, so that we can keep snapshots.

# %%
config = vae_jax.default_config()
config.data = "digits(binarize='static', validation=0)"
config.encoder = config.decoder = "mlp(hidden=(128,), activation='tanh')"
config.latent_dim, config.num_epochs, config.eval_every_epochs = 2, 120, 2.0
config.optimizer = "adam(learning_rate=3e-3)"
snapshots = []
run = vae_jax.fit(config, quiet=True, observe=snapshots.append)

model, labels = run.model, run.dataset.labels["test"]
black_and_white = jax.vmap(lambda raw: run.dataset.preprocess(jax.random.key(0), raw))
x, x_test = (black_and_white(jnp.asarray(run.dataset.splits[name])) for name in ("train", "test"))
print(f"{len(x)} digits of {x[0].size} bits, {len(snapshots)} snapshots")

# %% [markdown]
# The upper row draws some of the $q_\phi(z\mid x)$ of test digits as ellipses at one standard deviation,
# coloured by which digit it is, which the model was never told. The lower row is the average over all $N$
# training digits, the **aggregated posterior**
#
# $$q_\phi(z)=\frac1N\sum_{n=1}^N q_\phi(z\mid x_n).$$
#
# The circles hold 50, 90 and 99% of the prior's mass: $q_\phi(z)$ should fill them as a normal does, which is the last
# panel below.


# %%
EDGE = np.linspace(-3.4, 3.4, 70)
GRID = jnp.stack(jnp.meshgrid(EDGE, EDGE), axis=-1)


def draw_posteriors(axes, q):
    """One ellipse an example."""
    means, scales = np.asarray(q.base_dist.loc), np.asarray(q.base_dist.scale)
    for m, s, label in zip(means, scales, labels, strict=False):
        color = plt.cm.tab10(label)
        axes.add_patch(Ellipse(m, *(2 * s), fc=(*color[:3], 0.25), ec=color, lw=0.6))


# %%
def draw_prior(axes):
    """Circles that hold 50, 90 and 99% of N(0, I)."""
    for mass in (0.5, 0.9, 0.99):
        axes.add_patch(Circle((0, 0), np.sqrt(-2 * np.log(1 - mass)), fill=False, ec=GREY))


# %%
def finish(figure, panels, options):
    """The prior itself in the last column, circles, labels, and what the colours mean."""
    density = np.exp(-(np.asarray(GRID) ** 2).sum(-1) / 2) / (2 * np.pi)
    image = panels[1, 5].pcolormesh(EDGE, EDGE, density, **options)
    for axes in panels[1]:
        draw_prior(axes)
        axes.set(xlabel="$z_1$", xlim=EDGE[[0, -1]], ylim=EDGE[[0, -1]], aspect="equal")
    figure.colorbar(image, ax=panels, label="density", extend="max", shrink=0.5)
    panels[0, 0].set_ylabel("posteriors $q_\\phi(z\\mid x)$\n$z_2$")
    panels[1, 0].set_ylabel("average $q_\\phi(z)$\n$z_2$")
    panels[0, 5].axis("off")
    panels[1, 5].set_title("the prior")


# %%
@jax.jit
def log_average(q):
    """log q(z) on the grid, for a batch of posteriors."""
    return NormalMixture(jnp.zeros(len(x)), q.base_dist.loc, q.base_dist.scale).log_prob(GRID)


# %% tags=["cover"]
shown, encode = [snapshots[i] for i in (0, 2, 7, 20, 60)], jax.jit(model.encode)
options = {"cmap": "Oranges", "vmin": 0, "vmax": 0.25, "rasterized": True}
figure, panels = plt.subplots(2, 6, sharex=True, sharey=True, figsize=(10.4, 3.6))
for (upper, lower), then in zip(panels.T[:5], shown, strict=True):
    draw_posteriors(upper, encode(then.params, x_test[:150]))
    average = np.exp(log_average(encode(then.params, x)))
    lower.pcolormesh(EDGE, EDGE, average, **options)
    draw_prior(upper)
    upper.set(title=f"step {then.step}", aspect="equal")
finish(figure, panels, options)

# %% [markdown]
# At first all posteriors lie on top of each other, wide and off the middle: $z$ knows next to nothing. Then each digit takes a small
# territory of its own, far narrower than the prior, and together the territories spread over most of the disc that
# the prior covers; the sectors that stay empty are the mismatch measured below. That is what lets a VAE
# generate: a $z\sim p(z)$ falls where the decoder has been trained.
#
# ## Taking the term apart
#
# The picture is an identity (Hoffman & Johnson, 2016, "ELBO surgery"). Add and subtract $\log q_\phi(z)$:
#
# $$\frac1N\sum_nD_{\mathrm{KL}}\left(q_\phi(z\mid x_n)\,\|\,p(z)\right)
# =\underbrace{\frac1N\sum_nD_{\mathrm{KL}}\left(q_\phi(z\mid x_n)\,\|\,q_\phi(z)\right)}_{I_q(x;\,z)}
# +D_{\mathrm{KL}}\left(q_\phi(z)\,\|\,p(z)\right).$$
#
# The first piece is the mutual information between a training example and its code: how much more
# different than on average each $q_\phi(z\mid x_n)$ is. It cannot exceed $\log N$, at which $z$ names the example.
# The second is the distance of the average from the prior: where it is large, $z\sim p(z)$ fall where the decoder
# was never trained. The term that we
# minimize is the sum, so the reconstruction has to pay for each nat of information, and nothing pays for
# a mismatch of the average.

# %%
prior = model.prior(run.params)


@jax.jit
def taken_apart(params):
    """Mean KL in closed form, and its pieces with standard errors."""
    q = model.encode(params, x)
    return closed_form_kl(q, prior).mean(), kl_surgery(jax.random.key(1), q, prior, 5)


# %%
pieces = [taken_apart(snapshot.params) for snapshot in snapshots[::3]]
for mean_kl, parts in pieces:
    total = parts.mutual_information.value + parts.marginal_kl.value
    assert abs(mean_kl - total) < 4.5 * parts.mean_kl.standard_error + 1e-5
    assert parts.mutual_information.value < np.log(len(x))

for name, (value, error) in parts._asdict().items():
    print(f"{name:20} {value:.3f} ± {error:.3f} nats")
print(f"{'mean KL, closed form':20} {mean_kl:.3f} nats;   log N = {np.log(len(x)):.2f}")

# %%
information, marginal = (np.array([parts[i].value for _, parts in pieces]) for i in (1, 2))
steps = [snapshot.step for snapshot in snapshots[::3]]
figure, axes = plt.subplots(figsize=(7, 3.4))
labels = [
    "$I_q(x; z)$: posteriors differ",
    r"$D_{\mathrm{KL}}(q_\phi(z) \,\|\, p(z))$: their average is off",
]
axes.stackplot(steps, information, marginal, labels=labels, colors=[BLUE, ORANGE], alpha=0.75)
axes.plot(steps, [kl for kl, _ in pieces], "k.", label="mean KL, closed form")
axes.set(xlabel="training step", ylabel="nats per example", xlim=(0, steps[-1]), ylim=(0, 4.7))
axes.legend(loc="upper right")
assert information[-1] > 4 * information[0]  # before training they hardly differ
assert marginal[-1] < 0.15 * information[-1]

# %% [markdown]
# Nearly all of the prior-matching term is information, and little of it is mismatch: the posteriors do stay
# different, and their average does approach $p(z)$.
#
# ## What its weight does
#
# Multiply the term by $\beta$ (Higgins et al. 2017). A compression engineer calls the mean KL the **rate**, which is
# at least the nats that $z$ carries (more by the mismatch), and $-\mathbb E_q[\log p_\theta(x\mid z)]$ the **distortion**, the nats still missing. Their sum is the
# negative ELBO, whatever $\beta$ was (Alemi et al. 2018). Eight latent dimensions this time, so that we
# see which of them are used.

# %%
config.latent_dim, config.num_epochs, config.eval_every_epochs = 8, 60, 60.0
betas, runs = (0.3, 1.0, 2.5, 10.0), []
for beta in betas:
    config.objective = f"elbo(beta={beta})"
    runs.append(vae_jax.fit(config, quiet=True))
model, prior = runs[0].model, runs[0].model.prior(runs[0].params)


@jax.jit
def ends(params):
    """The ELBO of each training digit, with its terms, and the KL of each latent dimension."""
    bound = vae_jax.elbo(model, params, jax.random.key(2), x, num_samples=10)
    return bound, kl_per_dimension(model.encode(params, x), prior).mean(0)


# %%
bounds, used = zip(*(ends(run.params) for run in runs), strict=True)
rates = np.array([bound.terms["kl"].mean() for bound in bounds])
distortions = np.array([-bound.terms["log_likelihood"].mean() for bound in bounds])
for beta, rate, distortion in zip(betas, rates, distortions, strict=True):
    total = f"rate {rate:5.2f} + distortion {distortion:5.2f} = {rate + distortion:5.2f} nats"
    print(f"beta {beta:4}: {total}")
assert (np.diff(rates) < 0).all()
assert (np.diff(distortions) > 0).all()
assert (rates + distortions).argmin() == betas.index(1.0)

# %%
figure, axes = plt.subplots(figsize=(5.4, 3.6))
for total in range(12, 40, 4):
    axes.axline((0, total), slope=-1, color=GREY, lw=0.6, alpha=0.5)
axes.plot(rates, distortions, "o-", color=BLUE)
for beta, rate, distortion in zip(betas, rates, distortions, strict=True):
    axes.annotate(f"$\\beta={beta:g}$", (rate, distortion), (7, 5), textcoords="offset points")
axes.set(
    xlabel="rate: mean KL [nats]",
    ylabel=r"distortion: $-\mathbb{E}_q \log p_\theta(x \mid z)$ [nats]",
)
_ = axes.set(xlim=(-0.7, 15), ylim=(7, 27), title="thin lines: equal ELBO")

# %% [markdown]
# A weight below 1 buys detail with a rate that the ELBO does not approve of, one above 1 saves rate that it
# would spend. Only $\beta=1$ maximizes the bound on $\log p_\theta(x)$, and of these four it has the best.
#
# ## Posterior collapse
#
# At the upper left end the rate is zero: $q_\phi(z\mid x)=p(z)$ for every $x$. The prior-matching term is
# perfectly happy, $I_q(x;z)=0$, and the decoder, which gets the same noise for every $x$, can only say how
# often each pixel is black. **That is posterior collapse**, and the KL per dimension shows it, as it
# shows dimensions that collapse one by one while the others live.

# %%
figure, axes = plt.subplots(figsize=(6.4, 2.4))
sheet = np.sort(np.array(used))[:, ::-1]
image = axes.imshow(sheet, cmap="Blues", vmin=0, vmax=2, aspect="auto")
for (row, column), kl in np.ndenumerate(sheet):
    axes.text(column, row, f"{kl:.2f}", ha="center", va="center", color="w" if kl > 1.2 else "k")
axes.set_yticks(range(len(betas)), [f"$\\beta={beta:g}$" for beta in betas])
axes.set(xticks=range(8), xticklabels=range(1, 9), xlabel="latent dimension, the busiest first")
_ = figure.colorbar(image, ax=axes, label="KL [nats]")
assert sheet[1].min() > 0.1  # beta = 1: all dimensions are used
assert sheet[2, 0] > 0.1 > 0.02 > sheet[2, -1]  # beta = 2.5: some, not all

# %% [markdown]
# We know what a collapsed model of bits can reach. With independent pixels of frequency $f_d$ the best
# $\log p(x)$ is minus the sum of their entropies, $\sum_d f_d\log f_d+(1-f_d)\log(1-f_d)$. The run with
# $\beta=10$ has that ELBO, and no more.

# %%
f = np.clip(np.asarray(x, float).mean(0), 1e-9, 1 - 1e-9)
independent_pixels = (f * np.log(f) + (1 - f) * np.log(1 - f)).sum()
collapsed = float(bounds[-1].value.mean())
print(f"ELBO at beta = 10: {collapsed:.2f} nats; independent pixels: {independent_pixels:.2f} nats")
assert rates[-1] < 0.02
assert -0.3 < collapsed - independent_pixels < 0.02

# %% [markdown]
# A decoder that models $x$ well without $z$, an autoregressive one say, collapses even at $\beta=1$: then $z$ has
# nothing to add that is worth its rate. The usual remedies pay for information: a weight that rises
# from 0, `elbo(warmup_steps=...)`, or nats that are free of charge, `elbo(free_bits=...)`.
#
# **Answer.** The prior-matching term is the information that $z$ carries about $x$ plus the distance of the
# aggregated posterior from the prior. The reconstruction pays for the first, nothing pays for the second, so
# at the optimum the posteriors differ and their average is close to $p(z)$. When information is not worth
# its price, because the price is too high or the decoder needs none, all of it goes: collapse, which the
# KL per dimension shows. Whether all this makes $p_\theta(x)$ the distribution of the data is the
# [next question](06_does_it_learn_p_of_x.ipynb).
