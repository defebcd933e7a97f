# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 9. More layers
#
# **Question.** A decoder that is a deep network makes a rich $p_\theta(x)$ of a plain $p(z)$. The latent variable can be
# made deep as well: a $z_2$ from which a $z_1$ is drawn, from which $x$ is drawn. What is there to choose, does
# the bound still hold, and does the model use the layers that it is given?
#
# The plan has four parts:
#
# 1. We write down two layers, and see why $z$ stays one vector.
# 2. We hold the bound against the exact $\log p_\theta(x)$, on a model of two layers where everything is linear.
# 3. We take one VAE of digits and change one part at a time: the layers, the posterior, how it is trained, and the top's prior.
# 4. We look at the KL layer by layer, and find a layer that is not used.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from numpyro.distributions import Normal
from tabulate import tabulate

import vae_jax
from vae_jax import plots
from vae_jax.divergences.layers import kl_by_layer
from vae_jax.estimators.exact import exact_posterior, marginal
from vae_jax.plots import BLUE, COLOURS, GREY, ORANGE

plt.style.use("vae_jax.paper")

# %% [markdown]
# ## Two layers, one vector
#
# Two *stochastic layers* are a prior with two factors,
#
# $$p(z)=p(z_2)\,p_\theta(z_1\mid z_2),\qquad z=(z_2,z_1),$$
#
# and the decoder $p_\theta(x\mid z_1)$ sees the last one. The layer $z_1$ is beside $x$, and $z_2$ is on top. Here $p(z_2)$ is
# $\mathcal N(0,I)$, and $p_\theta(z_1\mid z_2)$ is a normal whose mean and scales a network computes of $z_2$. The normal
# is simple for each $z_2$, but averaged over $z_2$ it is a mixture of infinitely many normals: $p_\theta(z_1)$ is as
# rich as the $p_\theta(x)$ of a VAE, because it is one.
#
# Nothing in the derivation of the ELBO asks what $z$ is made of. So $z$ can stay one vector, the layers one after another,
# and $p(z)$ one distribution over it: everything that needs draws and densities works as before.

# %%
linear = vae_jax.build_model(
    (4,), latent_dim=(1, 2), encoder="linear", decoder="linear", likelihood="normal(scale=0.5)",
    prior="layered(network=linear)", posterior="top_down(network=linear, context=4)",
)  # fmt: skip
params = linear.init(jax.random.key(0), jnp.zeros((1, 4)))
params = jax.tree.map(lambda leaf: 0.1 * leaf, params)  # a gentle start
prior = linear.prior(params)
z = prior.sample(jax.random.key(1), (3,))
z_2, z_1 = prior.split(z)
of_z_2, of_z_1 = prior.factors(z)  # p(z_2), and p(z_1 | z_2) at the z_2 of each draw
print("shapes:  z", z.shape, "  z_2", z_2.shape, "  z_1", z_1.shape)
both = of_z_2.log_prob(z_2) + of_z_1.log_prob(z_1)
np.testing.assert_allclose(prior.log_prob(z), both, rtol=1e-5)
np.testing.assert_allclose(of_z_2.log_prob(z_2), Normal().log_prob(z_2[:, 0]), rtol=1e-5)

# %% [markdown]
# ## The bound, where everything is known
#
# The model above is linear in every part, so $z_2$, $z_1$ and $x$ are jointly normal: `marginal` gives the exact
# $p_\theta(x)$ and `exact_posterior` the exact $p_\theta(z\mid x)$ of both layers. The posterior that is trained,
# `top_down`, is $q_\phi(z\mid x)=q_\phi(z_2\mid x)\,q_\phi(z_1\mid z_2,x)$, both normals with diagonal covariances. The data are
# a thousand points of a linear model with a plane of latents. One thing has to be held: the network of $p_\theta(z_1\mid z_2)$
# gives means and scales, and jointly normal they are only if the scales do not depend on $z_2$.

# %%
key = jax.random.key(2)
W = jnp.array([[1.0, 0.5, -0.4, 0.8], [0.8, 0.9, 0.2, 0.3]])
x = jax.random.normal(key, (1000, 2)) @ W
x = x + 0.5 * jax.random.normal(jax.random.fold_in(key, 1), x.shape)
steps = optax.cosine_decay_schedule(5e-3, 2000)
optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(steps))


def held(params):
    """The parameters, with scales of p(z_1 | z_2) that are the same for all z_2."""
    branch = params["prior"]["layers"][0]["Dense_0"]
    branch = {**branch, "kernel": branch["kernel"].at[:, 2:].set(0)}
    return {**params, "prior": {**params["prior"], "layers": [{"Dense_0": branch}]}}


# %%
def update(carry, key):
    """One step of training on all the points."""
    params, state = carry
    gradient = jax.grad(lambda p: -vae_jax.elbo(linear, p, key, x).surrogate)(params)
    updates, state = optimizer.update(gradient, state)
    return (held(optax.apply_updates(params, updates)), state), None


# %%
keys = jax.random.split(jax.random.key(3), 2000)
train = jax.jit(lambda params: jax.lax.scan(update, (params, optimizer.init(params)), keys)[0][0])
estimate = jax.jit(lambda p, key: vae_jax.elbo(linear, p, key, x, num_samples=100).value)
models, gaps = {"before training": held(params), "after": train(held(params))}, {}
for name, params in models.items():
    log_p = np.asarray(marginal(linear, params, (4,)).log_prob(x))  # exact
    bounds = np.asarray(estimate(params, jax.random.key(4)))
    gap, error = (log_p - bounds).mean(), (log_p - bounds).std() / np.sqrt(len(x))
    gaps[name] = gap, error
    told = f"log p(x) {log_p.mean():.3f}, ELBO {bounds.mean():.3f}, gap {gap:.3f} ± {error:.3f}"
    print(f"{name:16} {told} nats")
assert gaps["before training"][0] > 0.1
assert abs(gaps["after"][0]) < 4 * gaps["after"][1] < 0.05

# %% [markdown]
# Before training the bound lies below, and after it the two agree within the error of the draws. A diagonal normal for each factor is enough
# here: with its linear decoder the model may turn the axes of $z_1$ until the posterior is of that kind.
#
# A gap must be $D_{\mathrm{KL}}\left(q_\phi(z\mid x)\,\|\,p_\theta(z\mid x)\right)$, now of both layers together. The
# posterior is known, so we can check that, and more: for *every* $z$ it holds that
#
# $$\log\frac{p_\theta(x\mid z)\,p(z)}{q_\phi(z\mid x)}+\log\frac{q_\phi(z\mid x)}{p_\theta(z\mid x)}=\log p_\theta(x).$$

# %%
params, point = models["before training"], x[0]
exact = float(marginal(linear, params, (4,)).log_prob(point))
q, posterior = linear.encode(params, point), exact_posterior(linear, params, point)
z = q.sample(jax.random.key(5), (10_000,))
log_joint = linear.decode(params, z).log_prob(point) + linear.prior(params).log_prob(z)
log_w, missed = log_joint - q.log_prob(z), q.log_prob(z) - posterior.log_prob(z)
np.testing.assert_allclose(log_w + missed, exact, atol=2e-3)  # for each of the draws
kl, error = missed.mean(), missed.std() / np.sqrt(len(z))
print(f"KL(q || p(z|x)) of one point: {kl:.4f} ± {error:.4f} nats")
print(f"log p(x) - ELBO of it:        {exact - log_w.mean():.4f} nats")
assert kl > 4 * error

# %% [markdown]
# The bound holds with two layers, and its gap is what it always was. A word on what this model cannot do: with linear networks $z_1$
# is a normal, whatever $z_2$ adds, so the second layer makes $p_\theta(x)$ no richer. The next models have networks that
# bend.
#
# ## One part at a time
#
# The data are scikit-learn's digits in black and white. We begin with a flat $z$ of six dimensions. All changes are
# made to the one config, and stay, unless a line says otherwise.

# %%
config = vae_jax.default_config()
config.data = "digits(binarize='static', validation=0)"
config.encoder = config.decoder = "mlp(hidden=(64,), activation='tanh')"
config.latent_dim, config.num_epochs, config.eval_every_epochs = 6, 60, 60.0
schedule = "cosine_decay_schedule(init_value=5e-3, decay_steps=num_steps)"
config.optimizer = f"adam(learning_rate={schedule})"
runs, results = {}, {}


def train_and_evaluate(name):
    """One row of the table."""
    runs[name] = vae_jax.fit(config, quiet=True)
    asked = {"estimators": "importance(num_samples=50)", "quiet": True}
    results[name] = vae_jax.evaluate(runs[name], **asked)


# %%
train_and_evaluate("flat")

# %% [markdown]
# **Two layers, and a chain upwards.** The prior is `layered`, and of the posteriors with two layers the oldest is the chain of
# the IWAE paper (Burda et al. 2016): the encoder gives $q_\phi(z_1\mid x)$, and a network goes on from there,
#
# $$q_\phi(z\mid x)=q_\phi(z_1\mid x)\,q_\phi(z_2\mid z_1).$$
#
# That $z_2$ does not see $x$ loses nothing here. In the model $x$ depends on $z_2$ through $z_1$ alone, so in the
# true posterior, too, $z_2$ is independent of $x$ given $z_1$.

# %%
config.latent_dim = (2, 6)
config.prior = "layered(network=mlp(hidden=(64,)))"
config.posterior = "bottom_up(network=mlp(hidden=(64,)))"
train_and_evaluate("two layers, bottom_up")

# %% [markdown]
# **Down from the top.** The posterior can also be drawn in the order of the prior,
#
# $$q_\phi(z\mid x)=q_\phi(z_2\mid x)\,q_\phi(z_1\mid z_2,x).$$
#
# The chain rule gives both orders to any joint distribution. What differs is the family once each factor is a
# normal, and how the KL can be computed, which we come to below.

# %%
config.posterior = "top_down(network=mlp(hidden=(64,)), context=64)"
train_and_evaluate("top_down")

# %% [markdown]
# **Sharing with the prior.** In the true posterior $p_\theta(z_1\mid z_2,x)\propto p_\theta(z_1\mid z_2)\,p_\theta(x\mid z_1)$:
# the prior's opinion of $z_1$ times what $x$ says. The `ladder` (Sønderby et al. 2016) is built like that. It takes the
# first factor from the prior, and lets the encoder give a normal for the second; the product of two normals is a
# normal whose precision is the sum of the two precisions, and whose mean is weighted by them.

# %%
config.posterior = "ladder(network=mlp(hidden=(64,)), context=64)"
train_and_evaluate("ladder")

# %% [markdown]
# **Warm-up and free bits.** Both change the training only, not the ELBO that is reported. With
# `warmup_steps=400` the weight of the KL rises from 0 to 1 over the first 400 of the 840 updates. With `free_bits=1.5` training
# is charged for $\max(1.5, \mathrm{KL}_l)$ nats of each layer $l$, so that the first nat and a half cost nothing.

# %%
config.objective = "elbo(free_bits=1.5)"
train_and_evaluate("ladder, free bits")
config.objective = "elbo(warmup_steps=400)"
train_and_evaluate("ladder, warm-up")

# %% [markdown]
# **Another top.** The top of the layers may be any prior there is: here a mixture of ten normals whose
# means, scales and weights are learned. The warm-up stays.

# %%
top = "mixture(components=10)"
config.prior = f"layered(top={top}, network=mlp(hidden=(64,)))"
train_and_evaluate("mixture on top")

# %% [markdown]
# The table has the same numbers for all, of the 359 test digits. Layer 1 is beside $x$. The difference is the ELBO
# minus that of the flat model, paired by digit, so that what makes a digit hard for both cancels. All errors are standard
# errors over digits; each setting was trained once, so that another seed would move the numbers as well.

# %%
flat, rows, gains = results["flat"]["per_example"]["elbo"], [], {}
for name, result in results.items():
    numbers, gain = result["numbers"], result["per_example"]["elbo"] - flat
    gains[name] = gain.mean(), gain.std(ddof=1) / np.sqrt(len(gain))
    told = [numbers[n] for n in ("elbo", "log_p")]
    row = [name] + [f"{n['mean']:.2f} ± {n['standard_error']:.2f}" for n in told]
    row.append(f"{gains[name][0]:+.2f} ± {gains[name][1]:.2f}" if name != "flat" else "")
    for column in ("kl_layer_2", "kl_layer_1", "active_layer_2", "active_layer_1"):
        row.append(f"{numbers[column]['mean']:.4g}" if column in numbers else "")
    rows.append(row)
headers = "setting", "ELBO", "log p(x)", "minus flat", "KL 2", "KL 1", "active 2", "active 1"
print(tabulate(rows, headers, disable_numparse=True))
print(f"\n{len(flat)} test digits; {runs['flat'].step} updates of each model")

# %%
for name, result in results.items():
    each = result["per_example"]
    assert each["elbo"].mean() < each["log_p"].mean(), name
ladder, cured = gains["ladder"], gains["ladder, warm-up"]
assert results["ladder"]["numbers"]["kl_layer_1"]["mean"] < 0.05  # a layer that is not used
assert cured[0] - ladder[0] > 4 * (cured[1] + ladder[1])

# %% [markdown]
# Every ELBO lies below its $\log p_\theta(x)$. The first thing to see is how little the layers change: a flat $z$ of six dimensions
# does nearly as well on these small pictures. The second is the `ladder` without warm-up, which is worse than the flat
# model by more than a nat. The columns on the right say why, and we come to them now.
#
# ## The KL layer by layer
#
# The KL of two joint distributions falls apart by the chain rule,
#
# $$D_{\mathrm{KL}}\left(q_\phi(z\mid x)\,\|\,p(z)\right)
# =D_{\mathrm{KL}}\left(q_\phi(z_2\mid x)\,\|\,p(z_2)\right)
# +\mathbb E_{q_\phi(z_2\mid x)}\left[D_{\mathrm{KL}}\left(q_\phi(z_1\mid z_2,x)\,\|\,p_\theta(z_1\mid z_2)\right)\right].$$
#
# There is no closed form of the whole, but the first term has one, and the second has one for each $z_2$. So only
# $z_2$ has to be drawn. Averaging over $z_1$ by a formula in place of a draw keeps the mean and lowers the variance (Rao and
# Blackwell). Of a posterior that is drawn upwards this is not true: given $z_1$, the KL of $z_2$ is known,
# but the term of $z_1$ is not a KL, and is taken at the draw of both.


# %%
def two_kls(run, key, x, draws=500):
    """The KL of each digit at each of the draws, sampled and layer by layer, [2, draws, digits]."""
    q, p = run.model.encode(run.params, x), run.model.prior(run.params)
    z = q.sample(key, (draws,))
    return jnp.stack([q.log_prob(z) - p.log_prob(z), kl_by_layer(q, p, z).sum(-1)])


# %%
run = runs["top_down"]
digits = jax.vmap(lambda raw: run.dataset.preprocess(jax.random.key(0), raw))
x = digits(jnp.asarray(run.dataset.splits["test"][:100]))
spreads = {}
for name in ("two layers, bottom_up", "top_down"):
    values = np.asarray(jax.jit(lambda key, r=runs[name]: two_kls(r, key, x))(jax.random.key(6)))
    difference = (values[1] - values[0]).mean(1)  # of all digits, for each of the draws
    error = difference.std() / np.sqrt(len(difference))
    spreads[name] = values.std(1).mean(1)
    told = "sampled {:.2f}, layer by layer {:.2f} nats".format(*spreads[name])
    print(f"{name}: standard deviation of a draw: {told}")
    print(f"    the means differ by {difference.mean():.4f} ± {error:.4f} nats")
    assert abs(difference.mean()) < 4.5 * error, name
assert spreads["top_down"][1] < 0.9 * spreads["top_down"][0]
assert spreads["two layers, bottom_up"][1] > spreads["two layers, bottom_up"][0]

# %% [markdown]
# Drawn from the top, the KL layer by layer has the same mean and less noise. Drawn upwards it has more: the
# errors of $z_2$ in $\log q_\phi(z_2\mid z_1)-\log p(z_2)$ and in $-\log p_\theta(z_1\mid z_2)$ partly cancel, and a formula for the
# first leaves the second alone.
#
# ## A layer that is not used
#
# The terms are worth more than their lower variance: they say which layers carry something. Where
# $q_\phi(z_1\mid z_2,x)=p_\theta(z_1\mid z_2)$ the term of layer 1 is 0, and $x$ reaches $z_1$ only through $z_2$. That is
# the table's `ladder`: its KL 1 is 0, and its six dimensions beside $x$ only pass on what two dimensions know. It is
# posterior collapse, of one layer. For a ladder it is an easy way to save nats early in training: the
# posterior has the prior's conditional inside, so the encoder only has to say nothing.
#
# The count of active units does not show it. It asks whether $\mathbb E_q[z_j]$ varies with $x$, and
# all six do, because $z_2$ moves them.
#
# Both remedies work as they do for a flat $z$. The warm-up makes layer 1 cheap while the network learns to use it, and at the end
# the full price is worth paying. Free bits keep it at the nats that are free, whether or not the ELBO would have
# them there: its bound is better than without, but below that of the warm-up: the price stays
# wrong to the end.

# %% tags=["cover"]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=(1.2, 1))
names = [name for name in runs if name != "flat"]
kls = np.array([[results[n]["numbers"][f"kl_layer_{i}"]["mean"] for n in names] for i in (2, 1)])
left.barh(names, kls[0], color=BLUE, label="layer 2, the top")
left.barh(names, kls[1], left=kls[0], color=ORANGE, label="layer 1, beside $x$")
left.set(xlabel="KL [nats per digit]", ylim=(5.6, -1.6))
left.legend(loc="upper center", ncols=2)
bound = [gains[name][0] for name in names]
errors = [2 * gains[name][1] for name in names]
right.errorbar(bound, range(len(names)), xerr=errors, fmt="o", color=COLOURS[2], capsize=3)
right.axvline(0, color=GREY, lw=1)
right.set(xlabel="ELBO minus that of the flat $z$ [nats]", ylim=(5.6, -1.6))
right.set_yticks(range(len(names)), [])
_ = right.set_title("± 2 standard errors over digits", fontsize="small")

# %%
free, warm = gains["ladder, free bits"], gains["ladder, warm-up"]
kl_1 = {name: results[name]["numbers"]["kl_layer_1"]["mean"] for name in names}
assert kl_1["ladder, warm-up"] > 1 > 0.05 > kl_1["ladder"]
assert abs(kl_1["ladder, free bits"] - 1.5) < 0.2
assert ladder[0] < free[0] < warm[0]
assert warm[0] - ladder[0] > max(gain for gain, _ in gains.values())

# %% [markdown]
# ## What a layer knows
#
# What is in $z_2$, and what is left for $z_1$? We encode a digit, keep $z_2\sim q_\phi(z_2\mid x)$, and draw $z_1$ from the
# *prior* given it, $p_\theta(z_1\mid z_2)$, which has not seen $x$. The picture below is of the ladder with warm-up; its
# pixels are the means of $p_\theta(x\mid z_1)$.

# %%
run, keys = runs["ladder, warm-up"], jax.random.split(jax.random.key(7), 3)
q, p = run.model.encode(run.params, x), run.model.prior(run.params)
z_2, z_1 = q.split(q.sample(keys[0]))
of_x, of_top = run.model.decode(run.params, z_1), []
for key in keys:
    again = p.conditional(1, [z_2]).sample(key)
    of_top.append(run.model.decode(run.params, again))
pictures = {"$x$": x, "$z_2$ and $z_1$ of $x$": of_x.mean}
pictures |= {f"$z_2$ of $x$, draw {i}": d.mean for i, d in enumerate(of_top, 1)}
nats = of_x.log_prob(x).mean(), jnp.stack([d.log_prob(x) for d in of_top]).mean()
print("log p(x|z_1), z_1 of x {:.1f}, z_1 of z_2 alone {:.1f} nats".format(*nats))
assert nats[0] > nats[1] + 5
plots.image_rows({name: np.asarray(images[:14]) for name, images in pictures.items()})

# %% [markdown]
# Given $z_2$ alone the draws are digits, but only sometimes the same: a 6 comes back as a 2, a 5 or a 6. Two dimensions narrow
# the choice down to a few kinds that look alike, and $z_1$ decides between them and adds the strokes. Nobody asked for such a
# division. It came out of the one bound.
#
# **Answer.** Several layers are a prior with factors, and $z$ stays one vector: the ELBO, its gap and importance sampling are as
# before, which the linear model showed to the third digit. There is an order to choose for the posterior, and whether it shares
# with the prior. The KL is a sum over layers; taken layer by layer from the top it has less noise, and it shows which layers are used.
# A layer that is not used is the risk of depth, and warm-up gained more here than the
# second layer itself. What happens when there are not two layers but a thousand is the
# [next question](10_from_a_vae_to_a_diffusion_model.ipynb).
