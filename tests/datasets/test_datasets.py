import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from tests.datasets.building import make
from vae_jax import UserError
from vae_jax.batches.splits import x_shape
from vae_jax.datasets._making import make_dataset
from vae_jax.datasets._splitting import hold_out

ALWAYS_THERE = [
    "digits",
    "linear_gaussian",
    "gaussian_mixture",
    "two_moons",
    "pinwheel",
    "gene_counts",
    "patches",
    "tabular",
]


@pytest.mark.parametrize("name", ALWAYS_THERE)
def test_splits_are_disjoint_and_always_the_same(name):
    first, again = make(name), make(name)
    assert set(first.splits) == {"train", "validation", "test"}
    for split in first.splits:
        np.testing.assert_array_equal(first.splits[split], again.splits[split])
    rows = np.concatenate([s.reshape(len(s), -1) for s in first.splits.values()])
    assert len(np.unique(rows, axis=0)) > 0.99 * len(rows)
    if first.labels:
        assert len(first.labels["test"]) == len(first.splits["test"])


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    dataset = make("digits(binarize='none', validation=0)")
    assert sum(map(len, dataset.splits.values())) == 1797
    total = sum(split.sum(dtype=int) for split in dataset.splits.values())
    assert total == int(load_digits().images.sum())
    x = dataset.preprocess(jax.random.key(0), dataset.splits["train"][0])
    np.testing.assert_allclose(x, dataset.splits["train"][0] / 16)
    assert x_shape(dataset) == (8, 8, 1)


def test_sizes_are_counts_or_fractions():
    sizes = [
        len(make(f"digits(validation={v}, test={t})").splits["test"])
        for v, t in ((0, 7), (0.5, 0.1))
    ]
    assert sizes == [7, 180]
    assert {k: len(v) for k, v in hold_out(np.zeros(10), 3).items()} == {
        "train": 7,
        "validation": 3,
    }
    assert set(hold_out(np.zeros(10), 0)) == {"train"}
    for size in (10, -1, 1.0):
        with pytest.raises(UserError, match="cannot be held out"):
            hold_out(np.zeros(10), size)


def test_binarization_has_the_right_probabilities():
    grey = np.array([0, 1, 51, 127, 128, 254, 255], np.uint8)
    static = make_dataset({"train": grey[None]}, scale=255.0, binarize="static")
    assert static.preprocess(jax.random.key(0), grey).tolist() == [0, 0, 0, 0, 1, 1, 1]
    dynamic = make_dataset({"train": grey[None]}, scale=255.0, binarize="dynamic")
    n = 200_000
    draws = jax.vmap(dynamic.preprocess, (0, None))(jax.random.split(jax.random.key(0), n), grey)
    assert set(np.unique(draws)) == {0, 1}
    p = grey / 255
    assert (np.abs(draws.mean(0) - p) <= 5 * np.sqrt(p * (1 - p) / n) + 2**-16).all()
    assert draws[:, 0].max() == 0
    assert draws[:, -1].min() == 1
    correlation = np.corrcoef(np.asarray(draws[:, 1:-1]).T)
    off_diagonal = correlation[~np.eye(5, dtype=bool)]
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(n)


@pytest.mark.parametrize("name", ["linear_gaussian", "gaussian_mixture"])
def test_known_densities_are_those_of_the_draws(name):
    """E log p under the draws equals minus a nearest-neighbour estimate of their entropy."""
    from scipy.spatial import cKDTree
    from scipy.special import digamma, gammaln

    dataset = make(f"{name}(size=12000, validation=0)" if name != "linear_gaussian"
                   else "linear_gaussian(x_dim=2, z_dim=1, validation=0)")  # fmt: skip
    x = np.concatenate(list(dataset.splits.values())).astype(float)
    n, d = x.shape
    radius = cKDTree(x).query(x, 2)[0][:, 1]
    log_ball = d / 2 * np.log(np.pi) - gammaln(d / 2 + 1)
    terms = d * np.log(radius) + log_ball + np.log(n - 1) - digamma(1)  # Kozachenko & Leonenko
    difference = np.asarray(dataset.log_prob(jnp.asarray(x, jnp.float32))) + terms
    assert abs(difference.mean()) < 5 * difference.std() / np.sqrt(n) + 0.01


def test_a_coin_falls_on_its_sides_as_often_as_it_says():
    dataset = make("coin(heads=0.1)")
    x = np.concatenate([*dataset.splits.values()])
    assert x.shape == (12_000, 1)
    assert set(np.unique(x)) == {0, 1}
    assert abs(x.mean() - 0.1) < 5 * np.sqrt(0.1 * 0.9 / len(x))
    log_p = dataset.log_prob(jnp.array([[1.0], [0.0]]))
    np.testing.assert_allclose(log_p, np.log([0.1, 0.9]), rtol=1e-6)
    for heads in (1.0, 0.0):
        with pytest.raises(UserError, match=f"coin: heads={heads}: a number between 0 and 1"):
            make(f"coin(heads={heads})")


def test_gene_counts_have_the_moments_of_their_model():
    """A latent of no effect leaves zero-inflated counts of mean e^b kept, and their variance."""
    x = np.concatenate([*make("gene_counts(size=12000, loss=0.3)").splits.values()]).astype(float)
    rng = np.random.default_rng(0)
    W, b = rng.normal(size=(50, 2)) / 2, rng.normal(1, 1, size=50)
    spread = (W**2).sum(1)  # log-normal means: E m = exp(b + s/2), E m^2 = exp(2b + 2s)
    first, second = np.exp(b + spread / 2), np.exp(2 * b + 2 * spread)
    error = x.std(0) / np.sqrt(len(x))
    assert (np.abs(x.mean(0) - 0.7 * first) < 5 * error).all()
    square_error = (x**2).std(0) / np.sqrt(len(x))
    assert (np.abs((x**2).mean(0) - 0.7 * (first + 1.5 * second)) < 6 * square_error).all()
    assert (x == np.round(x)).all()


def test_patches_of_a_split_are_cut_from_its_band():
    """Each patch is found in its band of a photograph, and bands of different splits are disjoint."""
    from sklearn.datasets import load_sample_images

    splits = make("patches(train=20, validation=5, test=5, side=6)").splits
    bands = {"train": (0, 448), "validation": (448, 512), "test": (512, 640)}
    for name, (low, high) in bands.items():
        pictures = [p[:, low:high] for p in load_sample_images().images]
        views = [np.lib.stride_tricks.sliding_window_view(p, (6, 6, 3)) for p in pictures]
        for patch in splits[name]:
            assert any((view == patch).all((-3, -2, -1)).any() for view in views)
    with pytest.raises(UserError, match="a band has only"):
        make("patches(side=64, validation=1000)")
    with pytest.raises(UserError, match="a band has 427 rows, 64 columns"):
        make("patches(side=65)")


@pytest.mark.parametrize("name", ["wine", "breast_cancer", "diabetes", "iris"])
def test_tables_are_standardized_by_their_training_split(name):
    import sklearn.datasets

    table = getattr(sklearn.datasets, f"load_{name}")()
    dataset = make(f"tabular(name={name!r})")
    train = dataset.splits["train"]
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(train.std(0), 1, rtol=1e-5)
    everything = np.concatenate([*dataset.splits.values()])
    assert everything.shape == table.data.shape
    ranks = [np.sort(scipy.stats.rankdata(a, axis=0), axis=0) for a in (everything, table.data)]
    np.testing.assert_array_equal(*ranks)
