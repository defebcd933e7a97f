"""The worth of each idea for a faster step and a faster log p(x): the program with it, and without.

    python -m benchmarks.ideas

Some are in the program and are taken out here; the others are put in. A part that is left out
altogether shows what it takes, which is the most that any idea about it could give.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpyro.distributions import Bernoulli

from benchmarks.contestants import ours
from benchmarks.rates import Call, machine, ratio, table, time_in_turn
from benchmarks.settings import Setting, an_example
from benchmarks.training import MNIST
from vae_jax.datasets import _making
from vae_jax.distributions.bernoulli_logits import BernoulliLogits
from vae_jax.runs.state import Optimization, optimization
from vae_jax.training import update

SETTING, ROUNDS, EXAMPLES, K = Setting(MNIST, 100, 50), 15, 4, 5000


def bits_in_order(key, size):
    """The halves of `jax.random.bits`, of which a word is made of two, side by side."""
    words = jax.random.bits(key, ((size + 1) // 2,), jnp.uint32)
    return jax.lax.bitcast_convert_type(words, jnp.uint16).reshape(-1)[:size].astype(float)


def chosen_after(ok, applied, kept, state, gradient):
    """The new state made beside the old one, and one of the two taken."""
    new = applied(state, gradient)
    return COND(ok, lambda: new, lambda: state)


COND, SCAN = jax.lax.cond, jax.lax.scan
OF_STEPS = {
    "bits in the words' order": mock.patch.object(_making, "_uniform16", bits_in_order),
    "no bits": mock.patch.object(_making, "_uniform16", lambda key, n: jnp.full(n, 2.0**14)),
    "the state chosen after its update": mock.patch.object(jax.lax, "cond", chosen_after),
    "no check": mock.patch.object(jax.lax, "cond", lambda ok, new, old, *given: new(*given)),
    "two steps unrolled": mock.patch.object(jax.lax, "scan", partial(SCAN, unroll=2)),
    "optax's norm": mock.patch.object(update, "_norm", optax.tree.norm),
    "no norm": mock.patch.object(update, "_norm", return_value=np.float32(1)),
}
RULES = {
    "Adam on one flat vector": optax.flatten(optax.adam(1e-3)),
    "SGD in place of Adam": optax.sgd(1e-3),
}


@contextmanager
def rule_of(setting: Setting, rule: Optimization) -> Iterator[None]:
    """The setting's parts with another rule; they are frozen, and the benchmark thaws them."""
    before = setting.parts.rule
    object.__setattr__(setting.parts, "rule", rule)
    try:
        yield
    finally:
        object.__setattr__(setting.parts, "rule", before)


def steps() -> dict[str, Call]:
    """A call for each idea; each is compiled where its idea holds."""
    fresh = SETTING._replace(steps=SETTING.steps)
    changes = OF_STEPS | {n: rule_of(fresh, optimization(r)) for n, r in RULES.items()}
    calls = {"as it is": ours.training(fresh)}
    for name, change in changes.items():
        with change:
            fresh.parts.__dict__.pop("start", None)
            calls[name] = ours.training(fresh)
            calls[name]()
    return calls


def in_two_sums(self, value, intermediates=None):
    a, x = self._flat(self.logits), self._flat(value)
    magnitude = jnp.maximum(a, -a)
    linear = jnp.sum(x * a - jnp.maximum(a, 0), -1)
    return linear - jnp.sum(jnp.log1p(jnp.exp(-magnitude)), -1)


def by_numpyro(self, value, intermediates=None):
    return Bernoulli(logits=self._flat(self.logits)).log_prob(self._flat(value)).sum(-1)


def without_softplus(self, value, intermediates=None):
    return jnp.sum(self._flat(value) * self._flat(self.logits), -1)


def evaluations() -> dict[str, Call]:
    """Likewise for log p(x)."""
    x = np.array(an_example(SETTING)[1][:EXAMPLES], np.float32)
    make = partial(ours.evaluations, SETTING, x, K)
    calls = {"as it is": make()[ours.NAME]}
    for rows in (500, 1000, 4000, 8000):
        with mock.patch.object(ours, "decoded_rows", lambda *_, rows=rows: rows):
            calls[f"{rows:,} draws at a time"] = make()[ours.NAME]
    for density in (in_two_sums, by_numpyro, without_softplus):
        with mock.patch.object(BernoulliLogits, "log_prob", density):
            calls[f"the likelihood {density.__name__.replace('_', ' ')}"] = make()[ours.NAME]
            calls[f"the likelihood {density.__name__.replace('_', ' ')}"]()
    return calls


def measured(title: str, calls: dict[str, Call]) -> str:
    seconds = time_in_turn(calls, ROUNDS)
    rows = [[name, ratio(values, seconds["as it is"])] for name, values in seconds.items()]
    return table(title, ["", "time, as it is 1: median (least to greatest)"], rows)


if __name__ == "__main__":
    print(machine())
    print(measured(f"A step of {MNIST}, batch {SETTING.batch}", steps()), flush=True)
    print(measured(f"log p(x), K = {K:,}", evaluations()))
