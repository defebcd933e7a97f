import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import Normal

from tests.by_hand import run_of, with_parts
from vae_jax import UserError, build_model, plots
from vae_jax.batches.conditions import conditioned
from vae_jax.datasets._making import make_dataset
from vae_jax.reporting.conditions import classes, conditions_of
from vae_jax.reporting.imputed import imputations
from vae_jax.reporting.samples import _ancestral, _plane, columns, interpolations, samples
from vae_jax.reporting.views import view_of

RNG = np.random.default_rng(0)
BITS = (RNG.uniform(size=(20, 4, 3, 1)) < 0.5).astype(np.float32)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def run():
    model = build_model((4, 3, 1), 2)
    params = model.init(KEY, BITS)
    return run_of(model, make_dataset({"train": BITS, "test": BITS}), params, latent_dim=2)


def by(values, **parts):
    """A run whose model is conditioned on these."""
    data = make_dataset({"train": BITS, "test": BITS}, labels={"train": values, "test": values})
    data = conditioned(data, "labels")
    model = build_model((4, 3, 1), 2, given_shape=(data.coding.size,), **parts)
    return run_of(model, data, model.init(KEY, BITS), latent_dim=2)


@pytest.mark.slow
def test_the_latent_plane_has_z_1_along_its_second_axis(run):
    moved = Normal(np.array([5.0, -5.0]), 1.0).to_event(1)
    run = with_parts(run, model=run.model._replace(prior=lambda params: moved))
    grid = np.asarray(_plane(view_of(run, KEY, 20), KEY, 7))
    assert grid.shape == (7, 7, 2)
    assert (np.diff(grid[..., 0], axis=1) > 0).all()
    assert (np.diff(grid[..., 1], axis=0) > 0).all()
    assert np.ptp(grid[..., 0], axis=0).max() == 0
    assert 7 < grid[..., 0].max() < 9  # what a normal at 5 covers
    assert -9 < grid[..., 1].min() < -7


@pytest.mark.slow
def test_draws_are_bits_and_means_are_probabilities(run):
    means, draws = _ancestral(view_of(run, KEY, 20), KEY, 2000)
    assert set(np.unique(draws)) == {0, 1}
    assert ((means > 0) & (means < 1)).all()
    error = np.sqrt((means * (1 - means)).mean(0) / 2000)
    assert (np.abs((draws - means).mean(0)) < 5 * error).all()


@pytest.mark.slow
@pytest.mark.parametrize("prior", ["standard_normal", "conditional"])
def test_draws_have_the_conditions_of_the_examples_beside_them_or_the_one_asked_for(prior):
    """The decoder is made to give the condition away: its mean is 1 for class 1, 0 for class 0."""
    which = RNG.integers(0, 2, 20)
    run = by(which, prior=prior)
    p = jnp.stack([jnp.full((4, 3, 1), 1e-6), jnp.full((4, 3, 1), 1 - 1e-6)])
    decode = run.model.decode

    def telling(params, z, given=None):
        assert given is not None
        q = decode(params, z, given)
        return type(q)(jnp.log(p / (1 - p))[jnp.argmax(given, -1)], 3)

    run = with_parts(run, model=run.model._replace(decode=telling))
    means, _ = _ancestral(view_of(run, KEY, 20), KEY, 30)
    np.testing.assert_array_equal(np.round(means[:, 0, 0, 0]), np.resize(which, 30))
    view = view_of(run, KEY, 20, "1")
    assert view.told == ", given labels=1"
    assert which[view.rows].tolist() == [1] * which.sum()
    means, _ = _ancestral(view, KEY, 30)
    assert np.round(means).min() == 1
    rows = conditions_of(view_of(run, KEY, 20))
    assert [row.name for row in rows] == ["0", "1"]
    figure = classes(view_of(run, KEY, 20), KEY, rows)
    first = [np.ma.getdata(axes.images[0].get_array())[1:5, 1:4] for axes in figure.axes]
    assert [np.median(image) for image in first] == pytest.approx([0, 1], abs=0.01)


def test_of_a_real_number_five_quantiles_are_shown():
    age = RNG.normal(50, 10, 20)
    view = view_of(by(age), KEY, 20)
    shown = [float(c.name.removeprefix("labels=")) for c in conditions_of(view)]
    expected = np.quantile(age, [0.05, 0.25, 0.5, 0.75, 0.95])
    np.testing.assert_allclose(shown, expected, rtol=0.01)
    assert view_of(by(age), KEY, 20, "44.5").told == ", given labels=44.5"
    with pytest.raises(UserError, match="1 number of 'labels' needed"):
        view_of(by(age), KEY, 20, "old")


def test_a_condition_that_there_is_not_is_refused(run):
    with pytest.raises(UserError, match="is not conditioned on anything"):
        view_of(run, KEY, 20, "3")
    with pytest.raises(UserError, match="has no class 7: there are 0, 1"):
        view_of(by(RNG.integers(0, 2, 20)), KEY, 20, "7")


@pytest.mark.slow
def test_a_table_with_gaps_is_shown_by_the_names_of_its_columns():
    x = RNG.normal([50, 3, -1], [10, 1, 0.1], (40, 3))
    x[::4, 0] = np.nan
    data = make_dataset({"train": x, "test": x}, standardize=True)
    data = data._replace(missing=True, names=("age", "visits", "score"))
    model = build_model((3,), 2, likelihood="normal", missing=True)
    params = model.init(KEY, jnp.nan_to_num(jnp.asarray(data.splits["train"])))
    view = view_of(run_of(model, data, params), KEY, 40)
    ways = _ancestral(view, KEY, 40)
    figure = columns(view, ways[1])
    assert [axes.get_title() for axes in figure.axes[:3]] == ["age", "visits", "score"]
    left, right = figure.axes[0].get_xlim()
    assert left < 50 < right
    first = samples(view, *ways).axes[0]
    points = first.lines[0].get_xydata()
    shown = [["age", "visits", "score"].index(n) for n in
             (first.get_xlabel().partition(",")[0], first.get_ylabel())]  # fmt: skip
    np.testing.assert_allclose(points, x[:, shown], rtol=1e-3)
    assert np.isnan(points).any()
    assert np.isfinite(interpolations(view, KEY).axes[0].lines[0].get_xydata()).all()


@pytest.mark.slow
def test_imputations_keep_what_is_seen_and_draw_the_rest(monkeypatch):
    """Of bits with holes, the lower half hidden as well."""
    holes = np.where(RNG.uniform(size=BITS.shape) < 0.3, np.nan, BITS)
    data = make_dataset({"train": holes, "test": holes})._replace(missing=True)
    model = build_model((4, 3, 1), 2, missing=True)
    run = run_of(model, data, model.init(KEY, BITS), latent_dim=2)
    shown, image_rows = {}, plots.image_rows
    monkeypatch.setattr(plots, "image_rows", lambda rows: shown.update(rows) or image_rows(rows))
    imputations(view_of(run, KEY, 20), KEY)
    x, seen, mean, *draws = shown.values()
    assert (seen[:, 2:] == 0.5).all()  # the grey of what is not seen
    np.testing.assert_array_equal(seen[:, :2], x[:, :2])
    for filled in (mean, *draws):
        np.testing.assert_array_equal(filled[seen != 0.5], seen[seen != 0.5])
    assert ((mean > 0) & (mean < 1))[seen == 0.5].all()
    assert {*np.unique(draws)} == {0, 1}
    assert (draws[0] != draws[1]).any()
