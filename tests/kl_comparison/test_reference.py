"""The KL that estimators are held against: closed form, quadrature, or many draws."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import distributions as dist

from vae_jax.distributions.normal_mixture import NormalMixture
from vae_jax.kl_comparison.pairs.reference import reference, rounding, sampled


def test_a_closed_form_is_taken_in_double_precision():
    pair = dist.Normal(1.0, 0.5), dist.Normal(0.3, 2.0)
    truth = reference(*pair)
    expected = np.log(4) + (0.25 + (1 - float(np.float32(0.3))) ** 2) / 8 - 0.5
    assert truth.method == "closed form"
    assert truth.value == pytest.approx(expected, abs=1e-14)


def test_many_draws_agree_with_a_closed_form():
    truth = sampled(dist.Normal(1.0, 1.0), dist.Normal(0.0, 1.0), seed=0)
    assert truth.error == pytest.approx(1 / np.sqrt(2**22), rel=0.2)  # log q - log p = z - 1/2
    assert abs(truth.value - 0.5) < 4 * truth.error


def test_what_has_no_closed_form_and_no_quadrature_is_sampled(monkeypatch):
    monkeypatch.setattr("vae_jax.kl_comparison.pairs.reference.CHUNKS", 16)
    q, p = (
        NormalMixture(jnp.zeros(2), jnp.eye(2, 3), jnp.ones((2, 3))),
        dist.Normal(jnp.zeros(3)).to_event(1),
    )
    assert reference(q, p).method == "mean of 87,376 draws"


def test_rounding_is_what_single_precision_loses():
    near, far = (rounding(dist.Normal(0.0, 1.0), dist.Normal(0.5, s)) for s in (1, 0.01))
    assert 0 < near < 1e-6
    assert near < far
