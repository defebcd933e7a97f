"""Mean, variance and bias of the ELBO's gradient, for each way to compute its KL.

The gradient is that of a batch, so that an optimizer sees the same variances. Sums over parameters
are taken as gradients are drawn: memory holds a few copies of the parameters, whatever the number
of repetitions.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.batches.devices import compiler_options
from vae_jax.batches.keys import example_keys
from vae_jax.batches.rows import gather, rows_of
from vae_jax.batches.splits import present
from vae_jax.config import components
from vae_jax.types import Array, Dataset, Examples, Model, Objective, Params

GRADIENT_ESTIMATORS = {  # name -> objective
    "closed form": "elbo(kl='closed_form')",
    "sampled": "elbo(kl='sampled')",
    "path derivative": "elbo(gradient='stl')",
}
AT_ONCE = 4  # repetitions whose gradients are held together
Objectives = Mapping[str, Objective]
Groups = dict[str, tuple[int, ...]]  # name -> numbers of leaves
Tree = Any
Scalars = dict[str, dict[str, Any]]  # estimator -> group -> value, an array over steps


class GradientMoments(NamedTuple):
    """Per-step numbers of the repetitions, independent from step to step, `[steps]`."""

    variance: Scalars  # over draws of z, summed over the group's parameters; unbiased
    signal: Scalars  # of the second half: <mean gradient of the first half, gradient>
    bias: Scalars  # likewise of the difference to the first estimator's gradient


def objectives(closed_form: bool) -> dict[str, Objective]:
    """The estimators by name; the bias of the others is measured against the first."""
    names = list(GRADIENT_ESTIMATORS)[0 if closed_form else 1 :]
    return {name: components.build("objectives", GRADIENT_ESTIMATORS[name]) for name in names}


def parameter_groups(params: Params) -> Groups:
    """The leaves of `all`, of each part, and of each layer in it: `encoder/Dense_0`."""
    leaves: dict[str, list[int]] = {}
    for i, (path, _) in enumerate(jax.tree_util.tree_leaves_with_path(params)):
        names = [str(getattr(step, "key", getattr(step, "idx", step))) for step in path[:-1]]
        for depth in range(len(names) + 1):
            leaves.setdefault("/".join(names[:depth]) or "all", []).append(i)
    return {name: tuple(leaves[name]) for name in sorted(leaves, key=lambda n: (n != "all", n))}


def inner_products(one: Tree, other: Tree, groups: Groups) -> dict[str, Array]:
    """Sums of products over the parameters of each group."""
    products = [(a * b).sum() for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True)]
    return {name: jnp.stack([products[i] for i in leaves]).sum() for name, leaves in groups.items()}


def _minus(one: Tree, other: Tree) -> Tree:
    return jax.tree.map(jnp.subtract, one, other)


def _variance(drawn: Tree, groups: Groups) -> dict[str, Array]:
    """Sample variance along the first axis, summed over the parameters of each group."""
    count = len(jax.tree.leaves(drawn)[0])
    centred = jax.tree.map(lambda g: g - g.mean(0, keepdims=True), drawn)
    squares = inner_products(centred, centred, groups)
    return {name: total / (count - 1) for name, total in squares.items()}


def _each_gradient(compared: Objectives, model: Model) -> Callable[..., dict[str, Tree]]:
    """(params, keys [batch], batch) -> each estimator's gradient, from the same draws."""

    def gradients(params: Params, keys: Array, batch: Examples) -> dict[str, Tree]:
        def surrogate(params: Params, objective: Objective) -> Array:
            return objective(model, params, keys, batch).surrogate

        return {name: jax.grad(surrogate)(params, each) for name, each in compared.items()}

    return gradients


def round_repetitions(repetitions: int) -> int:
    """A multiple of 2 `AT_ONCE`, 4 `AT_ONCE` at least: two halves, of two steps or more."""
    return 2 * AT_ONCE * max(2, repetitions // (2 * AT_ONCE))


class GradientStudy:
    """The gradient's mean, variance and bias at any parameters; compiled once."""

    def __init__(self, model: Model, compared: Objectives, groups: Groups):
        """`compared` are the objectives by name, `groups` those of the parameters."""
        self._gradients, self._groups = _each_gradient(compared, model), groups
        self._names = list(compared)
        self._scan = jax.jit(self._steps, static_argnums=5, compiler_options=compiler_options())
        self._step = jax.jit(self._of_batches, compiler_options=compiler_options())

    def draws(
        self, params: Params, keys: Array, batch: Examples, repetitions: int
    ) -> GradientMoments:
        """The moments over repeated draws of z for one batch.

        ||E g||^2 and ||E d||^2, d the difference of two estimators' gradients, are estimated as
        <mean over the first half of the repetitions, mean over the second>, without bias. Given the
        first half, the second's terms are independent numbers whose mean is 0 if E d = 0, so that
        their t-statistic is about normal.

        Args:
            params: where the gradient is taken.
            keys: one per example, `[batch]`.
            batch: the examples.
            repetitions: see `round_repetitions`.
        """
        steps = round_repetitions(repetitions) // (2 * AT_ONCE)
        nowhere = {name: jax.tree.map(jnp.zeros_like, params) for name in self._names}
        means, first = self._scan(params, nowhere, keys, batch, 0, steps)
        _, second = self._scan(params, means, keys, batch, steps, steps)
        both = jax.tree.map(lambda *a: np.concatenate(a), first["variance"], second["variance"])
        return GradientMoments(both, *jax.device_get((second["signal"], second["bias"])))

    def _steps(
        self,
        params: Params,
        directions: dict[str, Tree],
        keys: Array,
        batch: Examples,
        first: Any,
        n: int,
    ) -> tuple[dict[str, Tree], dict[str, Scalars]]:
        """The means over `n` steps, and the numbers of each."""

        def body(sums: dict[str, Tree], step: Array) -> Any:
            repetitions = AT_ONCE * step + jnp.arange(AT_ONCE)
            new = jax.vmap(lambda r: jax.vmap(jax.random.fold_in, (0, None))(keys, r))(repetitions)
            drawn = jax.vmap(self._gradients, (None, 0, None))(params, new, batch)
            means = jax.tree.map(lambda g: g.mean(0), drawn)
            numbers = self._projected(directions, means)
            numbers["variance"] = {n: _variance(g, self._groups) for n, g in drawn.items()}
            return jax.tree.map(jnp.add, sums, means), numbers

        sums, numbers = jax.lax.scan(
            body, jax.tree.map(jnp.zeros_like, directions), first + jnp.arange(n)
        )
        return jax.tree.map(lambda total: total / n, sums), numbers

    def _projected(self, directions: dict[str, Tree], means: dict[str, Tree]) -> dict[str, Scalars]:
        base, groups = self._names[0], self._groups
        signal = {n: inner_products(directions[n], means[n], groups) for n in self._names}
        bias = {}
        for n in self._names:
            pair = _minus(directions[n], directions[base]), _minus(means[n], means[base])
            bias[n] = inner_products(*pair, groups)
        return {"signal": signal, "bias": bias}

    def batches(
        self, params: Params, dataset: Dataset, key: Array, batch_size: int, steps: int
    ) -> tuple[Scalars, Scalars]:
        """Variances of the gradient of random training batches: over draws of z alone, and total.

        Each step has two batches, independent of each other and without repetition inside, and two
        draws of z for each: half the squared distance of two gradients is an unbiased variance.
        """
        data, variances = rows_of(dataset, "train"), []
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        for step in range(steps):
            ids = np.stack([rng.permutation(len(data))[:batch_size] for _ in range(2)])
            raw = gather(data, ids.ravel())
            keys = example_keys(jax.random.fold_in(key, step), jnp.arange(len(raw)))
            variances.append(self._step(params, *present(dataset, keys, raw)))
        within, total = jax.tree.map(lambda *a: np.stack(jax.device_get(a)), *variances)
        return within, total

    def _of_batches(self, params: Params, keys: Array, batch: Examples) -> tuple[Scalars, Scalars]:
        """The variances of one step, of two batches that follow one another in `batch`."""
        draws = jax.vmap(jax.random.split, out_axes=1)(keys)  # [2 draws, 2 batches of keys]
        draws = draws.reshape(2, 2, -1)
        of_batches = jax.vmap(self._gradients, (None, 0, 0))
        pair = jax.tree.map(lambda leaf: leaf.reshape(2, -1, *leaf.shape[1:]), batch)
        g = jax.vmap(of_batches, (None, 0, None))(params, draws, pair)
        turned = jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), g)

        def mean_variance(drawn: Tree) -> Scalars:
            each = {n: jax.vmap(lambda d: _variance(d, self._groups))(d) for n, d in drawn.items()}
            return jax.tree.map(lambda pair: pair.mean(), each)

        return mean_variance(turned), mean_variance(g)
