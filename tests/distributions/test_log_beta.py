"""log B(a, b) against SciPy in float64, from 1e-20 to 1e9."""

import jax
import numpy as np
from scipy import special

from vae_jax.distributions.log_beta import log_beta

POSITIVE = np.array(
    [1e-20, 1e-4, 0.01, 0.7, 1, 2, 3.9, 7.99, 8, 15, 300, 1e4, 1e6, 1e9], np.float32
)
A, B = (grid.ravel() for grid in np.meshgrid(POSITIVE, POSITIVE * np.float32(1.1)))


def test_value_and_gradient_are_scipys():
    grad = jax.jit(jax.vmap(jax.value_and_grad(log_beta, (0, 1))))
    value, (of_a, of_b) = grad(A, B)
    a, b = A.astype(np.float64), B.astype(np.float64)
    np.testing.assert_allclose(value, special.betaln(a, b), rtol=2e-6, atol=2e-5)
    for slope, x in ((of_a, a), (of_b, b)):
        expected = special.digamma(x) - special.digamma(a + b)
        np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=3e-6)


def test_a_derivative_of_a_large_number_does_not_cancel():
    slope = jax.grad(log_beta, 1)(1.0, 1e6)
    np.testing.assert_allclose(slope, -1 / 1e6, rtol=1e-5)
