"""Values of images: greys, integer levels, and levels dequantized by uniform noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from tests.datasets.building import make, save
from vae_jax import UserError, build_model
from vae_jax.batches.splits import require_valid
from vae_jax.config import components
from vae_jax.datasets import _making
from vae_jax.datasets._making import make_dataset


def dequantized(raw, scale, n):
    dataset = make_dataset({"train": raw[None]}, scale=scale, values="dequantized")
    keys = jax.random.split(jax.random.key(0), n)
    return np.asarray(jax.vmap(dataset.preprocess, (0, None))(keys, raw), np.float64)


@pytest.mark.parametrize("scale", [1, 16, 255])
def test_dequantized_values_are_uniform_in_their_level(scale):
    """Inside (0, 1), raw again when floored, independent, and uniform in between."""
    raw, n = np.array([0, scale // 2, scale - 1, scale], np.uint8), 50_000
    x = dequantized(raw, float(scale), n)
    assert 0 < x.min() < x.max() < 1
    u = x * (scale + 1) - raw
    assert (np.floor(x * (scale + 1)) == raw).all()
    assert all(scipy.stats.kstest(column, "uniform").pvalue > 1e-7 for column in u.T)
    assert np.abs(np.corrcoef(u.T)[~np.eye(4, dtype=bool)]).max() < 5 / np.sqrt(n)


def test_the_ends_of_dequantization_stay_inside(monkeypatch):
    """Also for the least and the largest random number, in float32."""
    for half, expected in ((0, 2**-16), (2**16 - 1, 1 - 2**-16)):
        monkeypatch.setattr(
            _making, "_uniform16", lambda key, size, h=half: jnp.full(size, h, float)
        )
        raw = np.array([0, 255], np.uint8)
        x = make_dataset({}, scale=255.0, values="dequantized").preprocess(None, raw)
        np.testing.assert_array_equal(np.float64(x), (raw + expected) / 256)
        assert 0 < x[0] < x[1] < 1


def test_dequantized_densities_are_below_the_masses_of_levels():
    """E_u log p((raw + u) / L) - D log L <= log P(raw), equal where p is flat (Theis et al. 2016)."""
    raw, n = np.array([3, 9, 0, 15], np.uint8), 20_000
    x = dequantized(raw, 15.0, n)
    for a, b in ((1.0, 1.0), (2.0, 5.0), (1.2, 1.1)):
        density = scipy.stats.beta(a, b)
        terms = density.logpdf(x).sum(1) - 4 * np.log(16)
        mass = np.log(density.cdf((raw + 1) / 16) - density.cdf(raw / 16)).sum()
        assert terms.mean() - 5 * terms.std() / np.sqrt(n) <= mass + 1e-9
        assert a > 1 or abs(terms.mean() - mass) < 1e-9


@pytest.mark.parametrize("name", ["digits", "kmnist", "tfds(name='kmnist')"])
def test_images_come_as_levels_too(name, mocked_tfds):
    call = components.parse(name)
    for values, top in (("greys", 1), ("levels", 16 if name == "digits" else 255)):
        arguments = call.arguments | {"binarize": "none", "values": values, "validation": 5}
        dataset = make(str(components.Call(call.name, arguments)))
        raw = dataset.splits["train"][0]
        x = dataset.preprocess(jax.random.key(0), raw)
        assert x.dtype == np.float32
        np.testing.assert_allclose(x, raw / ((16 if name == "digits" else 255) / top), rtol=1e-6)


def test_npz_arrays_come_as_levels_too(tmp_path):
    integers = np.arange(40 * 6).reshape(40, 6) % 5
    dataset = make(save(tmp_path, mine=integers)[:-1] + ", scale=4.0, values='dequantized')")
    raw = dataset.splits["train"][0]
    x = dataset.preprocess(jax.random.key(0), raw)
    np.testing.assert_array_equal(jnp.floor(5 * x), raw)
    halves = make(save(tmp_path, mine=integers / 2)[:-1] + ", scale=4.0, values='levels')")
    with pytest.raises(UserError, match=r"is [01].5: .*integers if they are levels"):
        require_valid(halves, build_model((6,), 2, likelihood="normal"))


def test_values_that_cannot_be_are_said():
    with pytest.raises(UserError, match="values='levels' goes with binarize='none'"):
        make("digits(values='levels')")
    with pytest.raises(UserError, match="at most 256 levels, not 65536"):
        make_dataset({}, scale=65535.0, values="dequantized")
