"""Annealed importance sampling with HMC, up from a start to the posterior, and back from it."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import sigmoid
from jax.scipy.special import logsumexp
from numpyro.distributions import constraints
from numpyro.infer.hmc_util import velocity_verlet

from vae_jax.divergences.layers import require_few_layers
from vae_jax.errors import UserError
from vae_jax.estimators._rows import decoded_rows
from vae_jax.types import Array, Batch, Facts, Model, Params
from vae_jax.weights import log_likelihood

TARGET = 0.65  # acceptance, which is best for HMC in many dimensions (Beskos et al. 2013)
PILOT_CHAINS = 8
PILOT_SHARE = 10  # temperatures for each of the pilot's
DRAWS = 64  # of the start, whose spread scales the momenta
HELD = 2**24  # keys of chains that are held, 128 MiB
RATE = 1.0  # of the pilot's steps in log step size
FEW_CHAINS, LEAST_ACCEPTED = 2, 0.1


class Path(NamedTuple):
    """The geometric path pi_b(z) ~ start(z)^(1 - b) p(x, z)^b of one example."""

    log_start: Callable[[Array], Array]  # log density of z [latent_dim]
    log_joint: Callable[[Array], Array]  # log p(x, z)
    draw: Callable[[Array], Array]  # (key) -> z of the start

    def log_ratio(self, z: Array) -> Array:
        """log p(x, z) - log start(z), the slope of log pi_b along b."""
        return self.log_joint(z) - self.log_start(z)

    def potential(self, b: Array) -> Callable[[Array], Array]:
        """-log pi_b, up to its constant."""
        return lambda z: -(1 - b) * self.log_start(z) - b * self.log_joint(z)


def path_from(start: str, model: Model, params: Params, example: Batch) -> Path:
    """The path of one example from its `posterior` q(z|x), or from the `prior`."""
    prior = model.prior(params, *example.conditions)
    q = model.encode(params, example) if start == "posterior" else prior

    def log_joint(z: Array) -> Array:
        return log_likelihood(model, params, z, example) + prior.log_prob(z)

    return Path(q.log_prob, log_joint, q.sample)


def betas(temperatures: int) -> Array:
    """0 = b_0 < ... < b_T = 1, close to each other at both ends (Wu et al. 2017, appendix)."""
    s = sigmoid(jnp.linspace(-4.0, 4.0, temperatures + 1))
    return (s - s[0]) / (s[-1] - s[0])


class Kernel(NamedTuple):
    """HMC that is reversible for each pi_b: with everything that was tuned frozen."""

    variance: Array  # of z at the start [latent_dim], the inverse of the momenta's mass
    step_sizes: Array  # at each b
    leapfrog_steps: int

    def move(self, path: Path, key: Array, z: Array, b: Array, size: Array) -> tuple[Array, Array]:
        """z after one trajectory at b, and the probability with which it was accepted."""
        init, leap = velocity_verlet(path.potential(b), _kinetic)
        key_r, key_u = jax.random.split(key)
        r = jax.random.normal(key_r, z.shape) / jnp.sqrt(self.variance)
        old = init(z, r)
        new = jax.lax.fori_loop(
            0, self.leapfrog_steps, lambda _, s: leap(size, self.variance, s), old
        )
        lost = (new.potential_energy + _kinetic(self.variance, new.r)) - (
            old.potential_energy + _kinetic(self.variance, r)
        )
        accepted = _acceptance(lost)
        return jnp.where(jax.random.uniform(key_u) < accepted, new.z, z), accepted


def _acceptance(lost: Array) -> Array:
    """min(1, e^-lost), with which a move that loses so much energy is accepted (Metropolis)."""
    return jnp.exp(-jnp.maximum(jnp.nan_to_num(lost, nan=jnp.inf), 0.0))


def _kinetic(inverse_mass: Array, r: Array) -> Array:
    return 0.5 * (inverse_mass * r**2).sum()


def tuned(path: Path, key: Array, temperatures: int, leapfrog_steps: int) -> Kernel:
    """The kernel whose step sizes a pilot run along the same path has found.

    Its chains anneal through a tenth of the temperatures, and log step size goes up where more than
    0.65 of the proposals are accepted. What they find is frozen: chains with other keys use it, so
    that their kernels do not depend on where they are, without which no weight is unbiased.
    """
    key_scale, key_start, key_move = jax.random.split(key, 3)
    z = jax.vmap(path.draw)(jax.random.split(key_scale, DRAWS))
    variance = z.var(0) + 1e-12
    kernel = Kernel(variance, jnp.zeros(0), leapfrog_steps)
    start = jax.vmap(path.draw)(jax.random.split(key_start, PILOT_CHAINS))
    levels = betas(max(2, temperatures // PILOT_SHARE))[1:]

    def step(state: tuple[Array, Array], now: tuple[Array, Array]) -> tuple[tuple, Array]:
        (z, log_size), (b, key) = state, now
        move = partial(kernel.move, path, b=b, size=jnp.exp(log_size))
        z, accepted = jax.vmap(lambda k, z: move(k, z))(jax.random.split(key, PILOT_CHAINS), z)
        log_size = log_size + RATE * (accepted.mean() - TARGET)
        return (z, log_size), log_size

    first = jnp.log(1.0 / leapfrog_steps**0.5)
    keys = jax.random.split(key_move, len(levels))
    _, log_sizes = jax.lax.scan(step, (start, first), (levels, keys))
    between = jnp.interp(betas(temperatures), levels, log_sizes)
    return kernel._replace(step_sizes=jnp.exp(between))


class Annealed(NamedTuple):
    """The log weight of one chain, and the mean probability with which its moves were accepted."""

    log_weight: Array
    acceptance: Array


def forward(path: Path, kernel: Kernel, key: Array) -> Annealed:
    """sum_t (b_t - b_t-1) log [p(x, z_t-1) / start(z_t-1)], z_t moved at b_t (Neal 2001).

    The mean of exp of it is p(x).
    """
    key_start, key_moves = jax.random.split(key)
    levels = betas(len(kernel.step_sizes) - 1)
    z = path.draw(key_start)
    between = levels[1:-1], kernel.step_sizes[1:-1], jnp.diff(levels)[1:]
    keys = jax.random.split(key_moves, len(between[0]))
    return _along(path, kernel, z, jnp.diff(levels)[0] * path.log_ratio(z), between, keys)


def backward(path: Path, kernel: Kernel, key: Array, z: Array) -> Annealed:
    """The same sum on the way back from z ~ p(z | x), by the same kernels in reverse order.

    The mean of exp of minus it is 1 / p(x) (Grosse et al. 2015).
    """
    levels = betas(len(kernel.step_sizes) - 1)
    steps = jnp.diff(levels)
    between = levels[1:-1][::-1], kernel.step_sizes[1:-1][::-1], steps[:-1][::-1]
    keys = jax.random.split(key, len(between[0]))
    return _along(path, kernel, z, steps[-1] * path.log_ratio(z), between, keys)


def _along(
    path: Path,
    kernel: Kernel,
    z: Array,
    log_weight: Array,
    between: tuple[Array, Array, Array],
    keys: Array,
) -> Annealed:
    """Moves at each b, each followed by a term of the weight."""

    def step(state: tuple[Array, Array], now: tuple) -> tuple[tuple[Array, Array], Array]:
        (z, log_weight), (b, size, weight, key) = state, now
        z, accepted = kernel.move(path, key, z, b, size)
        return (z, log_weight + weight * path.log_ratio(z)), accepted

    (_, log_weight), accepted = jax.lax.scan(step, (z, log_weight), (*between, keys))
    return Annealed(log_weight, accepted.mean())


def rows_at_once(model: Model, params: Params, temperatures: int) -> int:
    """How many chains go together: each has a key and an acceptance for every temperature."""
    return max(1, min(decoded_rows(model, params), HELD // temperatures))


def over_examples(
    one: Callable[[Array, Batch], dict[str, Array]],
    keys: Array,
    batch: Batch,
    chains: int,
    rows: int,
) -> dict[str, Array]:
    """`one` example's values for each of a batch, as many together as have `rows` chains."""
    return _over(lambda args: one(*args), (keys, batch), max(1, rows // chains))


def over_chains(one: Callable[[Array], Annealed], key: Array, chains: int, rows: int) -> Annealed:
    """One annealed chain for each key, `rows` together."""
    return _over(one, jax.random.split(key, chains), rows)


def _over(function: Callable[[Any], Any], arguments: Any, together: int) -> Any:
    if len(jax.tree.leaves(arguments)[0]) <= together:
        return jax.vmap(function)(arguments)
    return jax.lax.map(function, arguments, batch_size=together)


class LogMean(NamedTuple):
    """log of the mean of exp over chains, nats, its error, and how many chains make it."""

    value: Array
    error: Array
    size: Array


def work(temperatures: int, leapfrog_steps: int, chains: int) -> int:
    """Of one example, as `floats_per_example`: a batch is then some two million gradients.

    That is a minute of a network of 784-200-200 on two cores, after which a batch is shown as done
    and is kept.
    """
    return 16 * temperatures * leapfrog_steps * chains


def log_mean(log_w: Array) -> LogMean:
    """log 1/K sum_k w_k of `[K]`, its standard error by the delta method, (sum w)^2 / sum w^2."""
    K, total = len(log_w), logsumexp(log_w)
    size = jnp.exp(2 * total - logsumexp(2 * log_w))
    error = jnp.sqrt(jnp.maximum(K / size - 1, 0) / (K - 1))
    return LogMean(total - jnp.log(K), error, size)


def require(facts: Facts) -> None:
    """Raises UserError where HMC has no way from the start to the posterior."""
    for name, part in (("prior", facts.prior), ("posterior", facts.posterior)):
        if not is_real(part.support):
            raise UserError(f"annealing moves z along its gradient: this {name} is on a box")
    require_few_layers(facts, "annealing takes")


def is_real(support: constraints.Constraint) -> bool:
    """Whether a support is all of the real numbers."""
    inner = support.base_constraint if hasattr(support, "base_constraint") else support
    return inner in (constraints.real, constraints.real_vector)


def doubts(sizes: np.ndarray, acceptance: np.ndarray) -> str:
    """A line on what chains say against themselves; empty where they say nothing."""
    few, still = ~(sizes >= FEW_CHAINS), ~(acceptance >= LEAST_ACCEPTED)  # NaN is doubted, too
    reasons = [
        (few, f"fewer than {FEW_CHAINS} chains make the estimate"),
        (still, f"less than {LEAST_ACCEPTED:.0%} of the moves are accepted"),
    ]
    shares = [(held.mean(), reason) for held, reason in reasons if held.any()]
    told = [f"of {share:.1%} of the examples {reason}" for share, reason in shares]
    return f"annealing: {', '.join(told)}: more temperatures are needed" if told else ""
