# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 7. Your own prior and likelihood
#
# **Question.** You have an idea, a prior $p(z)$ or a likelihood $p_\theta(x\mid z)$ that nobody has tried. How much
# do you have to write, and how do you find out whether it is better?
#
# The [last notebook](06_does_it_learn_p_of_x.ipynb) ended with a number that compares models where nobody knows
# $p(x)$: $\log p_\theta(x)$ of data held out. Here it decides between parts of your own. The data are scikit-learn's handwritten digits as they are stored: 64 pixels, each a level from 0 to 16.
# Two ideas:
#
# - **A prior.** There are ten kinds of digits, and a standard normal has one lump. Put ten lumps on a
#   circle, as the hours on a clock.
# - **A likelihood.** A level is often taken as a count, binomial with 16 trials. But most pixels are
#   all ink or all paper, and a binomial with a mean between cannot say "one or the other". A
#   beta-binomial can: its probability is itself drawn from a beta distribution.

# %%
import inspect
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from numpyro.distributions import BetaBinomial, Categorical, MixtureSameFamily, Normal, constraints
from tabulate import tabulate

# %%
import vae_jax
from vae_jax import plots
from vae_jax.plots import BLUE, GREY, ORANGE
from vae_jax.sweeps.statistics import difference, estimate
from vae_jax.types import Likelihood, Prior, Spec, no_params

plt.style.use("vae_jax.paper")

# %% [markdown]
# ## The prior
#
# A part is a function that takes the model's `Spec` and gives a NamedTuple of pure functions. Of a prior
# there are two: its parameters' start, and its distribution over $z$, which is any NumPyro distribution
# with event `[latent_dim]`. Keyword arguments, with defaults, are what a config may set.


# %%
def clock(spec, *, hours: int = 10, radius: float = 2.0, scale: float = 0.5) -> Prior:
    """p(z) = 1/H sum_h N(z; m_h, S), S = s^2 in the circle's plane, the first two dimensions."""
    angles = 2 * np.pi * np.arange(hours) / hours
    circle = radius * jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)
    means = jnp.zeros((hours, spec.latent_dim)).at[:, :2].set(circle)
    # As wide as a standard normal where there is no circle.
    scales = jnp.ones((hours, spec.latent_dim)).at[:, :2].set(scale)

    def distribution(params):
        lumps = Normal(means, scales).to_event(1)
        return MixtureSameFamily(Categorical(logits=jnp.zeros(hours)), lumps)

    return Prior(no_params, distribution)


# %% [markdown]
# ## The likelihood
#
# The decoder network gives `num_features` numbers for each pixel; the likelihood makes a distribution over
# $x$ of them. Two per pixel here. The *softplus*, $\log(1 + e^t)$, makes them positive, and they are the beta
# distribution's $a$ and $b$:
#
# $$p_\theta(x\mid z)=\prod_d\binom{n}{x_d}\frac{B(x_d+a_d,\;n-x_d+b_d)}{B(a_d,b_d)},\qquad n=16.$$
#
# `accepts` is the data it can be evaluated on, which is checked before training. `inputs` is how $x$ is
# scaled for the encoder network.


# %%
def beta_binomial(spec, *, total_count: int = 16) -> Likelihood:
    """Counts whose probability is Beta(a, b), a and b two numbers of the decoder."""

    def distribution(params, features):
        a, b = jnp.moveaxis(jax.nn.softplus(features) + 1e-3, -1, 0)
        return BetaBinomial(a, b, total_count).to_event(len(spec.x_shape))

    accepts = constraints.integer_interval(0, total_count)
    return Likelihood(2, no_params, distribution, accepts, lambda x: x / total_count)


# %% [markdown]
# ## Are they distributions?
#
# The one mistake that nothing later would show is a density that does not integrate to 1: it makes every
# log p(x) too good. So that is checked first, on a grid, and over all 17 levels.

# %%
side = jnp.linspace(-6, 6, 121)
grid = jnp.stack(jnp.meshgrid(side, side), axis=-1)
p_z = clock(Spec((8, 8, 1), 2, None, None)).distribution({})
mass = jnp.exp(jax.jit(p_z.log_prob)(grid)).sum() * (side[1] - side[0]) ** 2

features = 3 * jax.random.normal(jax.random.key(0), (5, 1, 2))  # five decoders' outputs, one pixel
p_x = beta_binomial(Spec((1,), 2, None, None)).distribution({}, features)
sums = jnp.exp(jax.jit(p_x.log_prob)(jnp.arange(17.0)[:, None, None])).sum(0)
print(f"prior {mass:.6f}, likelihood {np.round(sums, 6)}")
assert np.allclose(mass, 1, atol=1e-4)
assert np.allclose(sums, 1, atol=1e-4)

# %% [markdown]
# ## Parts by name
#
# A function can be handed to `vae_jax.build_model` as it is. Saved as a file, under its own name, it can also
# be named in a config, so that runs can be stored, compared and read back. A folder `my_lab` anywhere on the
# Python path will do; here the cells above save themselves.

# %%
IMPORTS = """
import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import BetaBinomial, Categorical, MixtureSameFamily, Normal, constraints

from vae_jax.types import Likelihood, Prior, no_params

"""
folder = tempfile.TemporaryDirectory()
lab = Path(folder.name) / "my_lab"
lab.mkdir()
for part in (clock, beta_binomial):
    (lab / f"{part.__name__}.py").write_text(IMPORTS + inspect.getsource(part))
sys.path.insert(0, folder.name)

# %% [markdown]
# Arguments are checked before anything is trained, by what the function's signature says:

# %%
config = vae_jax.default_config()
config.data = "digits(binarize='none', values='levels')"
config.encoder = config.decoder = "mlp(hidden=(64,))"
config.latent_dim, config.num_epochs, config.eval_every_epochs = 4, 20, 20.0
config.optimizer = "adam(learning_rate=1e-2)"
config.prior = "my_lab.clock(hour=10)"
try:
    vae_jax.fit(config, quiet=True)
except vae_jax.UserError as error:
    print(error)

# %% [markdown]
# ## The ablation
#
# The usual parts, and then one of them replaced by an own one; three seeds each. A difference between two runs may come from the seed, so one
# run of each would tell nothing. `fit_seeds` trains the seeds of a setting with one compiled program, and
# `evaluate` gives log p(x) of each test digit, by importance sampling with the same draws for all. With only
# $K=50$ of them, to save time, it is a lower bound, for the binomials about a nat too low; that is nearly the same
# for all settings, and what we look at are differences.

# %%
config.num_seeds = 3
settings = {
    "standard normal + binomial": ("standard_normal", "binomial(total_count=16)"),
    "clock + binomial": ("my_lab.clock", "binomial(total_count=16)"),
    "standard normal + beta-binomial": ("standard_normal", "my_lab.beta_binomial"),
}
log_p, runs = {}, {}
for name, (config.prior, config.likelihood) in settings.items():
    runs[name] = vae_jax.fit_seeds(config, quiet=True)
    found = [vae_jax.evaluate(r, num_importance_samples=50, quiet=True) for r in runs[name]]
    log_p[name] = np.stack([result["per_example"]["log_p"] for result in found])
print("log p(x), [seeds, test examples]:", log_p[name].shape)

# %% [markdown]
# Two things are random, the seed and which digits are in the test set, and each has an error of its own.
# Differences to the first setting are paired, by seed and by example: what makes a digit hard for both
# models cancels. The intervals are Student's at 95%, corrected for the number of differences.

# %%
baseline, *others = log_p
rows, differences = [], {}
for name, values in log_p.items():
    mean, over_seeds, over_examples, _ = estimate(values)
    row = [name, f"{mean:.2f}", f"± {over_seeds:.2f}", f"± {over_examples:.2f}"]
    if name in others:
        found = difference(values, log_p[baseline], comparisons=len(others))
        differences[name] = found
        intervals = (found.seeds_interval, found.examples_interval)
        row.append(f"{found.estimate.mean:+.2f}")
        row += [f"[{low:+.1f}, {high:+.1f}]" for low, high in intervals]
    rows.append(row)
headers = "setting", "log p(x)", "seeds", "examples", "difference", "95%, seeds", "95%, examples"
print(tabulate(rows, headers, disable_numparse=True))

# %%
figure, axes = plt.subplots(figsize=(8.6, 2.2))
axes.axvline(0, color=GREY, lw=1)
for row, found in enumerate(differences.values()):
    kinds = (found.seeds_interval, BLUE, -0.12), (found.examples_interval, ORANGE, 0.12)
    for (low, high), colour, shift in kinds:
        axes.plot([low, high], [row + shift] * 2, color=colour, lw=3, solid_capstyle="butt")
        axes.plot(found.estimate.mean, row + shift, "o", color=colour)
axes.plot([], [], color=BLUE, lw=3, label="other seeds")
axes.plot([], [], color=ORANGE, lw=3, label="other digits")
axes.set_yticks(range(len(differences)), differences)
axes.set_ylim(1.5, -0.5)
axes.set_xlabel(f"$\\log p_\\theta(x)$ minus that of {baseline} [nats per digit], 95% intervals")
_ = axes.legend(loc="upper right")

# %% [markdown]
# The likelihood is worth tens of nats, whatever is random. The prior is not worth its lines: with it the models
# are a nat or two worse. How sure that is depends on what is random. Over digits (orange) the interval says how
# *these* networks would do on others; over seeds (blue), about twice as wide here, how another training
# would end. An experiment with a single seed has the orange interval only, and looks surer than it is.

# %%
prior_s, likelihood_s = (differences[name] for name in others)
assert min(likelihood_s.seeds_interval[0], likelihood_s.examples_interval[0]) > 10
assert -3 < prior_s.estimate.mean < 0 > prior_s.examples_interval[1]
assert np.ptp(prior_s.seeds_interval) > 1.5 * np.ptp(prior_s.examples_interval)

# %% [markdown]
# Why is the likelihood worth so much? Draws from both models, $z\sim p(z)$ and $x\sim p_\theta(x\mid z)$, show
# it: where it is not sure of a pixel, a binomial makes it grey, and the digits have ink or paper there.

# %% tags=["cover"]
panels = {"data": runs[baseline][0].dataset.splits["test"][:36] / 16}
for name in (baseline, others[1]):
    model, params = runs[name][0].model, runs[name][0].params
    z = model.prior(params).sample(jax.random.key(0), (36,))
    draws = model.decode(params, z).sample(jax.random.key(1))
    panels[f"draws, {name}"] = np.asarray(draws) / 16
plots.image_panels(panels, columns=6)

# %% [markdown]
# **Answer.** A dozen lines each, in one file or one cell, and nothing else is touched: densities, the KL (closed
# form or sampled), training, evaluation and the table treat them as their own. Whether an idea is better is a
# paired difference on the same held-out data, over several seeds, with both errors. Of the two here,
# the likelihood was worth its dozen lines; the prior made it worse.
#
# This is the last of the [notebooks](README.md). From the command line a comparison like it, with all four
# combinations, resumption and a report, is the following, with the two parts in `my_lab/clock.py` and
# `my_lab/beta_binomial.py` of the current directory and `PYTHONPATH=.`:
#
#     vae-jax sweep --config=experiments/digits.py --workdir=runs/mine --num_seeds=3 \
#         --config.data="digits(binarize='none', values='levels')" \
#         --grid="prior=standard_normal|my_lab.clock" \
#         --grid="likelihood=binomial(total_count=16)|my_lab.beta_binomial"
