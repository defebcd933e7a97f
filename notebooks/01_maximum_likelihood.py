# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1. Maximum likelihood
#
# **Question.** A generative model is said to *learn the distribution* of its data. What is it that is
# maximized, what is learned by it, and how wrong is what was learned from $n$ examples?
#
# There is a *target distribution* $p(x)$. We never see its formula; we see examples drawn from it. There
# is a *model* $p_\theta(x)$, a family of distributions with an adjustable parameter $\theta$. Learning
# is choosing $\theta$ so that $p_\theta$ comes close to $p$. In a variational autoencoder $p_\theta$ is
# made of neural networks; here it is a coin, and everything that matters is there already.

# %%
from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from numpyro.distributions import Normal
from scipy.optimize import brentq

from vae_jax.config import components
from vae_jax.distributions.bernoulli_logits import BernoulliLogits

plt.style.use("vae_jax.paper")

# %% [markdown]
# ## Six tosses
#
# A coin is tossed six times and shows
#
# $$H\;T\;H\;T\;H\;H .$$
#
# Write $x = 1$ for heads and $x = 0$ for tails. The model has one parameter, and it may as well be the
# probability of heads, $\theta = p_\theta(H)$. Tosses are independent, so the probability of what was
# seen is a product, and its logarithm is a sum:
#
# $$\sum_i \log p_\theta(x_i) = 4 \log \theta + 2 \log (1 - \theta).$$
#
# As a function of $\theta$ this is the *log-likelihood*. Its unit, the logarithm being the natural one,
# is the *nat*. Dividing by the number of tosses gives the average log-likelihood in nats per toss.

# %%
tosses = jnp.array([1.0, 0.0, 1.0, 0.0, 1.0, 1.0])


def log_p(x, heads):
    """log p(x) of a coin, nats: the density a VAE's decoder has for a black or white pixel."""
    logit = jnp.log(heads) - jnp.log1p(-heads)
    return BernoulliLogits(jnp.asarray(logit), event_ndims=0).log_prob(x)


def average(heads, x=tosses):
    """The log-likelihood over the number of tosses, nats per toss."""
    return log_p(x, heads).mean()


assert np.isclose(6 * average(0.3), 4 * np.log(0.3) + 2 * np.log(0.7))

# %% [markdown]
# ## The maximum, three ways
#
# *Maximum likelihood* takes the $\theta$ under which what happened was most probable.
#
# **By hand.** The derivative is zero where
#
# $$\frac{4}{\theta} - \frac{2}{1 - \theta} = 0
#   \quad\Longrightarrow\quad 4 (1 - \theta) = 2 \theta
#   \quad\Longrightarrow\quad \hat\theta = \frac{4}{6} = \frac{2}{3},$$
#
# the fraction of heads that was seen.
#
# **By a root finder.** `jax.grad` turns the log-likelihood into its derivative; `brentq` finds where
# that is zero.
#
# **By gradient ascent.** A million parameters leave no other way. The parameter is now a logit
# $a \in (-\infty, \infty)$ with $\theta = 1 / (1 + e^{-a})$, so that no step can leave $(0, 1)$.

# %%
by_hand = 2 / 3
by_root = brentq(jax.grad(average), 0.01, 0.99)


# %%
def climb(objective, learning_rate, steps=200):
    """The path of theta = sigmoid(a) while optax climbs `objective`, from theta = 1/10."""
    optimizer = optax.sgd(learning_rate)  # it descends: the gradient is that of minus the objective
    a = jnp.log(0.1 / 0.9)

    def step(carry, _):
        a, state = carry
        gradient = jax.grad(lambda a: -objective(jax.nn.sigmoid(a)))(a)
        updates, state = optimizer.update(gradient, state)
        return (a + updates, state), jax.nn.sigmoid(a)

    return jax.lax.scan(step, (a, optimizer.init(a)), length=steps)[1]


# %%
path = climb(average, learning_rate=1.0)
print(f"by hand {by_hand:.6f}, by a root finder {by_root:.6f}, by gradient ascent {path[-1]:.6f}")
assert abs(by_root - by_hand) < 1e-5
assert abs(path[-1] - by_hand) < 1e-5

# %%
heads = jnp.linspace(0.01, 0.99, 400)
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.3))
left.plot(heads, jax.vmap(average)(heads))
left.plot(path, jax.vmap(average)(path), "o", ms=3, label="gradient ascent, step by step")
left.plot(by_hand, average(by_hand), "k*", ms=12, label=r"$\hat\theta = 2/3$")
left.set(xlabel=r"$\theta$, probability of heads", ylabel="log-likelihood [nats per toss]")
left.set_ylim(-2.5, -0.5)
left.legend()
right.plot(path[:60], label=r"$\theta$ after a step")
right.axhline(by_hand, color="k", ls=":", label="2/3")
right.set(xlabel="steps of gradient ascent", ylabel=r"$\theta$", ylim=(0, 0.75))
_ = right.legend()

# %% [markdown]
# ## Sum or average?
#
# The definition has a sum over examples and programs have an average; papers often write the term of a single
# example and mean its average over all. Sum and average have their maximum at the same place: dividing by $n$
# moves no maximum. What changes is
# the height of the curve, and with it the size of the gradient. Below, the same six tosses are
# seen once, ten times and a hundred times over. The average does not notice. The sum's gradient grows
# with $n$, and a learning rate that was right for six tosses throws the logit so far for sixty that $\theta$ is rounded
# to 1, $\log(1 - \theta)$ to $-\infty$, and the next gradient is not a number (`nan`).

# %%
for copies in (1, 10, 100):
    x = jnp.tile(tosses, copies)
    objectives = {"average": lambda p, x=x: average(p, x), "sum": lambda p, x=x: log_p(x, p).sum()}
    slopes = {name: jax.grad(f)(0.5) for name, f in objectives.items()}
    ends = {name: climb(f, learning_rate=1.0)[-1] for name, f in objectives.items()}
    for name in objectives:
        print(
            f"n = {x.size:3d}, {name:7s}: slope at 1/2 {slopes[name]:5.1f}, ends at {ends[name]:.4f}"
        )
    assert np.isclose(slopes["sum"], x.size * slopes["average"], rtol=1e-5)
    assert np.isclose(ends["average"], 2 / 3, atol=1e-5)
assert not abs(ends["sum"] - 2 / 3) < 0.1  # nan: a learning rate for six tosses

# %% [markdown]
# ## What if the truth is 1/10?
#
# The six tosses say 2/3. Suppose that the coin really has $p(H) = 1/10$. Then $H\,T\,H\,T\,H\,H$ was bad
# luck, with a probability of less than one in ten thousand, but nothing in the six tosses says so. Maximum
# likelihood makes the best of what it was shown, and that is all it can do.
#
# What helps is more data. The fraction of heads in $n$ tosses has mean $p$ and standard deviation
#
# $$\sqrt{\frac{p\,(1 - p)}{n}},$$
#
# so by the *law of large numbers* it settles at the truth, at the rate $n^{-1/2}$: a hundred times the
# data for one more decimal. `coin` is a data set of the library. Below, one long series of tosses, and
# then what would have happened in 4,000 others.

# %%
truth = 0.1
coin = components.build("datasets", f"coin(heads={truth}, size=102_000)")()
series = coin.splits["train"][:, 0]  # 100,000 tosses, the other 2,000 being held out
luck = float(jnp.exp(coin.log_prob(tosses[:, None]).sum()))
print(f"the probability of H T H T H H with p(H) = 1/10 is {luck:.1e}")
assert np.isclose(luck, truth**4 * (1 - truth) ** 2, rtol=1e-4)
assert luck < 1e-4

sizes = np.unique(np.geomspace(6, 100_000, 40).astype(int))
repetitions = 4000
rng = np.random.default_rng(0)
estimates = rng.binomial(sizes, truth, size=(repetitions, len(sizes))) / sizes  # theta-hat, each

# %%
spread = np.sqrt(truth * (1 - truth) / sizes)
errors = np.sqrt(((estimates - truth) ** 2).mean(0))
# Of a root mean square of r normal errors: 1 / sqrt(2 r), relatively; more while n p is small.
relative = np.sqrt(((estimates - truth) ** 2).var(0) / repetitions) / (2 * spread**2)
assert (abs(errors / spread - 1) < 4.5 * relative).all()
last = abs(series.mean() - truth) / spread[-1]
print(f"after 100,000 tosses: {series.mean():.4f}, {last:.1f} standard errors from the truth")
assert last < 4

# %% tags=["cover"]
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.4))
for inside, shade in ((0.99, 0.15), (0.9, 0.25), (0.5, 0.4)):
    low, high = np.quantile(estimates, [(1 - inside) / 2, (1 + inside) / 2], axis=0)
    left.fill_between(sizes, low, high, alpha=shade, color="C0", lw=0, label=f"{inside:.0%} of all")
running = np.cumsum(series)[sizes - 1] / sizes
left.plot(sizes, running, color="C1", label="one series")
left.plot(6, 4 / 6, "k*", ms=11, clip_on=False, label="the six tosses above")
left.axhline(truth, color="k", ls=":", lw=1)
left.set(xscale="log", xlabel="n, tosses", ylabel=r"$\hat\theta$, fraction of heads")
left.legend()
right.loglog(sizes, errors, "o", ms=4, label="root mean square error")
right.loglog(sizes, spread, "k-", lw=1, label=r"$\sqrt{p(1 - p) / n}$")
right.set(xlabel="n, tosses", ylabel=r"error of $\hat\theta$")
_ = right.legend()

# %% [markdown]
# ## What is maximized when $n$ is large
#
# The average log-likelihood is itself an average over data, so as $n$ grows it settles too, at its expected
# value under the target. That can be written with the *Kullback-Leibler divergence*, which is zero if two
# distributions are the same and positive if not:
#
# $$\mathbb{E}_{p(x)}[\log p_\theta(x)]
#   = \underbrace{\mathbb{E}_{p(x)}[\log p(x)]}_{\text{no } \theta \text{ in it}}
#   - \underbrace{\mathbb{E}_{p(x)}\left[\log \frac{p(x)}{p_\theta(x)}\right]}_{D_{\mathrm{KL}}(p \,\|\, p_\theta)} .$$
#
# This is why maximum likelihood learns a distribution: **to maximize the likelihood is to minimize
# $D_{\mathrm{KL}}(p \,\|\, p_\theta)$**. And a log-likelihood of new data can be read: it falls short of the
# best that any model could have by exactly the KL.

# %%
sides = jnp.array([[0.0], [1.0]])  # tails, heads
p = jnp.exp(coin.log_prob(sides))


def kl(theta):
    """KL(p || p_theta) of two coins, nats: the target's average of log p - log p_theta."""
    return p @ (coin.log_prob(sides) - log_p(sides[:, 0], theta))


# %%
best = p @ coin.log_prob(sides)
for theta in (0.05, 0.1, 0.5, 2 / 3):
    expected = p @ log_p(sides[:, 0], theta)
    told = f"E log p_theta = {expected:.4f} = {best:.4f} - KL of {abs(kl(theta)):.4f} nats"
    print(f"theta = {theta:.3f}: {told}")
    assert np.isclose(expected, best - kl(theta), atol=1e-6)
    assert kl(theta) > -1e-7

# %% [markdown]
# ## The same for a density
#
# Nothing of this needs a coin. Let $x$ be a real number and the target a mixture of two normals,
#
# $$p(x) = 0.3\; \mathcal{N}(x; -2, 1) + 0.7\; \mathcal{N}(x; 2, 1),$$
#
# and let there be two models, both fitted by maximum likelihood: a *normal*, with a mean and a scale, and a
# *mixture* whose weight and two means are free. The first can never become the target; the second can.
#
# For the normal the maximum is known: the data's mean and standard deviation. For the mixture it is not, and
# it is found by gradient ascent, for 100 data sets of each size.


# %%
def mixture(theta):
    """log density of the two-normal mixture; theta is a logit and two means, `[3]`."""
    weights = jax.nn.log_sigmoid(jnp.stack([-theta[0], theta[0]]))
    each = Normal(theta[1:], 1.0)
    return lambda x: jax.nn.logsumexp(weights + each.log_prob(x[..., None]), axis=-1)


# %%
target = jnp.array([np.log(0.7 / 0.3), -2.0, 2.0])


def draw(key, n):
    """n examples of the target."""
    which, noise = jax.random.split(key)
    right = jax.random.bernoulli(which, 0.7, (n,))
    return jnp.where(right, 2.0, -2.0) + jax.random.normal(noise, (n,))


# %%
@jax.jit
def fit_mixture(x, steps=120):
    """The maximum of the average log-likelihood over theta, by Adam from a rough guess."""
    optimizer = optax.adam(optax.cosine_decay_schedule(0.2, steps))
    start = jnp.array([0.0, -1.0, 1.0])

    def step(carry, _):
        theta, state = carry
        gradient = jax.grad(lambda theta: -mixture(theta)(x).mean())(theta)
        updates, state = optimizer.update(gradient, state)
        return (theta + updates, state), None

    return jax.lax.scan(step, (start, optimizer.init(start)), length=steps)[0][0]


# %%
grid = jnp.linspace(-15, 15, 3001)  # fine and wide enough for every digit of float32


def kl_to_target(log_model):
    """KL(p || p_theta) in nats, by quadrature."""
    log_target = mixture(target)(grid)
    return (jnp.exp(log_target) * (log_target - log_model(grid))).sum() * (grid[1] - grid[0])


def both(key, n):
    """The KL of the fitted normal and of the fitted mixture, for one data set of n examples."""
    x = draw(key, n)
    return jnp.stack(
        [kl_to_target(Normal(x.mean(), x.std()).log_prob), kl_to_target(mixture(fit_mixture(x)))]
    )


# %%
ns, datasets = np.array([30, 100, 300, 1000, 3000]), 100
fits = lambda n: jax.lax.map(partial(both, n=n), jax.random.split(jax.random.key(n), datasets))
kls = np.stack([fits(int(n)) for n in ns])  # [sizes, data sets, 2]
means, errors = kls.mean(1), kls.std(1) / np.sqrt(datasets)
floor = float(kl_to_target(Normal(0.8, np.sqrt(1 + 4 * 4 * 0.3 * 0.7)).log_prob))
for n, mean, error in zip(ns, means, errors, strict=True):
    print(
        f"n = {n:6d}: KL of the normal {mean[0]:.4f}, of the mixture {mean[1]:.5f} ± {error[1]:.5f} nats"
    )

# %% [markdown]
# Theory has a number for the second: a model that can become the target, with $d$ parameters fitted to $n$
# examples, is at an expected KL of about
#
# $$\mathbb{E}\left[D_{\mathrm{KL}}(p \,\|\, p_{\hat\theta})\right] \approx \frac{d}{2 n},$$
#
# half a nat shared by all the data for each parameter that was learned; here $d = 3$. The error of a
# *parameter* falls as $n^{-1/2}$ and the KL as its square. The normal gets better as well, until it is the
# best normal there is, and stays there.

# %%
large = ns >= 300
theory = 3 / (2 * ns)
assert (abs(means[:, 1] - theory) < 4 * errors[:, 1] + 0.1 * theory)[large].all()
assert abs(means[-1, 0] - floor) < 4 * errors[-1, 0] + 2 / (2 * ns[-1])
slope, covariance = np.polyfit(
    np.log(ns[1:]), np.log(means[1:, 1]), 1, w=(means / errors)[1:, 1], cov="unscaled"
)
print(f"the mixture's KL falls as n to the {slope[0]:.2f} ± {covariance[0, 0] ** 0.5:.2f}")
assert abs(slope[0] + 1) < 0.1

# %%
x = draw(jax.random.key(1), 1000)
densities = {
    "target": (mixture(target), "k"),
    "normal": (Normal(x.mean(), x.std()).log_prob, "C1"),
    "mixture": (mixture(fit_mixture(x)), "C0--"),
}

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.4))
left.hist(np.asarray(x), 40, density=True, color="C4", alpha=0.4, label="1,000 examples")
for label, (log_density, style) in densities.items():
    left.plot(grid, np.exp(log_density(grid)), style, label=label)
left.set(xlabel="x", ylabel="density", xlim=(-6, 6))
left.legend()
for column, colour, label in ((0, "C1", "normal"), (1, "C0", "mixture")):
    mean, error = means[:, column], errors[:, column]
    right.errorbar(ns, mean, error, fmt="o-", ms=4, color=colour, label=label)
right.axhline(floor, color="C1", ls=":", label="the best normal there is")
right.plot(ns, 3 / (2 * ns), "k:", label="3 / (2n)")
right.set(xscale="log", yscale="log", xlabel="n, examples", ylabel="KL to the target [nats]")
_ = right.legend()

# %% [markdown]
# Two different things keep a model from its target, then. One is *too little data*, and shrinks as $1/n$. The
# other is a *family that does not contain the target*, and does not shrink at all. A single normal, or
# for images independent pixels, is such a family. A richer one is wanted.
#
# **Answer.** What is maximized is the average log-likelihood of the examples; what is minimized by it,
# as $n$ grows, is $D_{\mathrm{KL}}(p \,\|\, p_\theta)$. From six tosses of a coin that is wrong by as much as
# bad luck allows; the parameter's error falls as $n^{-1/2}$ and the KL as $d / (2n)$, down to
# what the best member of the family leaves. How a rich family is made out of simple parts is the question
# of the [next notebook](02_a_latent_variable.ipynb).
