import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from vae_jax import UserError, build_model
from vae_jax.batches.splits import require_shapes, require_valid, x_shape
from vae_jax.config import components
from vae_jax.datasets import _making
from vae_jax.datasets import tfds as tfds_module
from vae_jax.datasets._making import hold_out, make_dataset

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


def make(text):
    return components.build("datasets", text)()


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


def save(tmp_path, **arrays):
    np.savez(tmp_path / "data.npz", **arrays)
    return f"npz(path={str(tmp_path / 'data.npz')!r})"


def test_npz_reads_a_users_arrays(tmp_path):
    images = np.arange(40 * 6, dtype=np.uint8).reshape(40, 3, 2)
    dataset = make(save(tmp_path, train=images[:30], test=images[30:]))
    assert {k: len(v) for k, v in dataset.splits.items()} == {
        "train": 27,
        "validation": 3,
        "test": 10,
    }
    x = dataset.preprocess(jax.random.key(0), images[0])
    np.testing.assert_allclose(x, images[0] / 255, rtol=1e-6)
    one = make(save(tmp_path, mine=images.astype(np.float32)))
    assert {k: len(v) for k, v in one.splits.items()} == {"train": 29, "validation": 3, "test": 8}
    np.testing.assert_allclose(one.preprocess(jax.random.key(0), images[3]), images[3])


def test_npz_says_what_is_wrong(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        make("npz(path='nowhere.npz')")
    with pytest.raises(UserError, match="train' and 'test'"):
        make(save(tmp_path, a=np.zeros(3), b=np.zeros(3)))
    with pytest.raises(UserError, match="no array of numbers"):
        make(save(tmp_path, train=np.array(["a"]), test=np.array(["b"])))
    (tmp_path / "text.npz").write_text("no zip")
    with pytest.raises(UserError, match="plain arrays"):
        make(f"npz(path={str(tmp_path / 'text.npz')!r})")


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ({"test": np.zeros((0, 3), np.float32)}, "the test split is empty"),
        ({"test": np.zeros((5, 4), np.float32)}, r"test examples have shape \(4,\)"),
        (
            {"test": np.full((5, 3), 1.5, np.float32)},
            r"test split, example 0, element \[0\] is 1.5",
        ),
        (
            {"train": np.array([[0, 0, 0], [0, -2, 0]], np.float32)},
            r"example 1, element \[1\] is -2",
        ),
        ({"train": np.array([[0, np.nan, 0]], np.float32)}, "is nan"),
        ({"train": np.zeros((0, 3), np.float32)}, "the train split is empty"),
    ],
)
def test_data_that_cannot_work_is_an_error_before_training(splits, expected):
    good = np.zeros((9, 3), np.float32)
    dataset = make_dataset({"train": good, "test": good, **splits})
    with pytest.raises(UserError, match=expected):
        require_valid(require_shapes(dataset), build_model((3,), 2))


@pytest.mark.parametrize("value", [np.nan, -0.1, 255.0])
@pytest.mark.parametrize("binarize", ["static", "dynamic"])
def test_what_is_binarized_must_be_a_probability(value, binarize):
    data = np.array([[0, 1, 0.5], [0, value, 1]], np.float32)
    with pytest.raises(UserError, match=r"example 1, element \[1\]"):
        require_valid(make_dataset({"train": data}, binarize=binarize), build_model((3,), 2))


def test_a_likelihood_of_real_numbers_takes_real_numbers():
    data = np.array([[-5.0, 2.0, 300.0]], np.float32)
    require_valid(make_dataset({"train": data}), build_model((3,), 2, likelihood="normal"))


class Source:
    """30 examples, read as a TFDS data source is."""

    def __init__(self, split):
        self.images = np.random.default_rng(len(split)).integers(0, 256, (30, 28, 28, 1), np.uint8)

    def __len__(self):
        return 30

    def __getitem__(self, i):
        return {"image": self.images[i], "label": i % 10}

    def __getitems__(self, rows):
        return [self[i] for i in rows]


@pytest.fixture
def mocked_tfds(tmp_path, monkeypatch):
    """The folder in which a prepared kmnist would be, and a source in place of TFDS's."""
    folder = tmp_path / "kmnist" / "3.0.1"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")
    for split in ("train", "test"):
        (folder / f"kmnist-{split}.array_record-00000-of-00001").touch()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("VAE_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tfds_module, "_source", lambda name, split: Source(split))
    return tmp_path


def test_tfds_is_decoded_and_cached(mocked_tfds):
    dataset = make("kmnist(validation=5, binarize='none')")
    assert {k: len(v) for k, v in dataset.splits.items()} == {
        "train": 25,
        "validation": 5,
        "test": 30,
    }
    assert dataset.splits["train"].dtype == np.uint8
    assert x_shape(dataset) == (28, 28, 1)
    assert len(list((mocked_tfds / "cache").glob("kmnist-*.npy"))) == 4
    cached = make("kmnist(validation=5, binarize='none')")
    np.testing.assert_array_equal(cached.splits["test"], dataset.splits["test"])
    np.testing.assert_array_equal(cached.labels["test"], dataset.labels["test"])


def test_tfds_can_be_redrawn_and_read_without_a_cache(mocked_tfds):
    small = make("tfds(name='kmnist', size=14, grey=True, invert=True, validation=5)")
    assert x_shape(small) == (14, 14, 1)
    blocks = Source("train").images[3, ..., 0].reshape(14, 2, 14, 2).mean((1, 3))
    np.testing.assert_allclose(small.splits["train"][3][..., 0], 255 - blocks, atol=1)
    lazy = make("tfds(name='kmnist', cache=False, validation=5)")
    kept = make("tfds(name='kmnist', validation=5)")
    assert len(lazy.splits["train"]) == 25
    assert lazy.splits["train"][3].shape == kept.splits["train"][3].shape
    assert lazy.splits["validation"][0].dtype == np.uint8


def test_a_data_set_that_is_not_prepared_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(UserError) as caught:
        make("mnist")
    assert "vae-jax data prepare mnist" in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_preparing_needs_tensorflow(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs TensorFlow"):
        tfds_module.prepare("mnist")


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


@pytest.mark.parametrize(
    ("data", "likelihood"),
    [
        ("digits(binarize='none', values='dequantized')", "beta"),
        ("digits(binarize='none')", "continuous_bernoulli"),
        ("digits(binarize='none', values='levels')", "categorical(levels=17)"),
        ("digits(binarize='none', values='levels')", "binomial(total_count=16)"),
        ("patches(values='levels')", "discretized_logistic_mixture"),
        ("gene_counts", "zero_inflated_negative_binomial"),
        ("tabular", "student_t"),
    ],
)
def test_data_suits_the_likelihoods_that_are_made_for_it(data, likelihood):
    dataset = make(data)
    require_valid(dataset, build_model(x_shape(dataset), 2, likelihood=likelihood))


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


MNIST = Path(os.environ.get("TFDS_DATA_DIR", "nowhere")) / "mnist"


@pytest.mark.slow
@pytest.mark.skipif(not MNIST.exists(), reason="no MNIST in TFDS_DATA_DIR")
@pytest.mark.filterwarnings("ignore")
def test_mnist_is_mnist():
    dataset = make("mnist(binarize='none')")
    assert {k: len(v) for k, v in dataset.splits.items()} == {
        "train": 59_000,
        "validation": 1_000,
        "test": 10_000,
    }
    assert x_shape(dataset) == (28, 28, 1)
    pixels = np.concatenate([dataset.splits["train"], dataset.splits["validation"]])
    np.testing.assert_allclose(pixels.mean() / 255, 0.13066, atol=1e-5)  # the usual normalization
    np.testing.assert_allclose(pixels.std() / 255, 0.30811, atol=1e-5)
    assert np.bincount(dataset.labels["test"]).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009
    ]  # fmt: skip
