"""Sentences on the latents are counted from them, and the figures show what they say."""

import sys
from types import ModuleType

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

from vae_jax.reporting.latent_space import Latents, dimensions, line, projection, sentences, used

RNG = np.random.default_rng(0)
N = 300
CLASSES = RNG.integers(0, 3, N)
MEAN = RNG.normal(size=(N, 5)) * [3, 1, 1, 0, 0] + CLASSES[:, None] * np.array([9, 0, 0, 0, 0])
KL = np.array([4.0, 2.0, 0.5, 0.001, 0.0]) * RNG.uniform(0.9, 1.1, (N, 5))


def latents(mean=MEAN, kl=KL, labels=None):
    return Latents(mean, np.ones_like(mean), mean + RNG.normal(size=mean.shape), kl, labels, "test")


def test_the_dimensions_that_carry_nats_are_counted():
    nats = KL[:, :3].mean(0).sum()
    assert (
        used(latents()) == f"3 of 5 dimensions of z carry {nats:.1f} nats; z_4, z_5 are collapsed"
    )
    assert used(latents(kl=KL[:, :4])).endswith("z_4 is collapsed")
    assert used(latents(kl=KL[:, :3])) == f"all 3 dimensions of z are used: {nats:.1f} nats"
    assert used(latents(kl=KL[:, 3:])).startswith("all of z is collapsed")
    rare = np.zeros((N, 2))
    rare[: N // 50, 0] = 1.0  # more than 0.01 nats for 2% of x: it is used
    assert used(latents(kl=rare)) == "1 of 2 dimensions of z carries 0.0 nats; z_2 is collapsed"


def test_without_a_kl_by_dimension_the_variance_of_the_means_tells():
    text = used(latents(kl=None))
    assert text == "3 of 5 dimensions of z are active, Var E[z_j|x] > 0.01; z_4, z_5 are not"


def test_labels_are_told_by_the_nearest_other_mean():
    said = sentences(latents(labels=CLASSES))
    others = [
        KNeighborsClassifier(1)
        .fit(np.delete(MEAN, i, 0), np.delete(CLASSES, i))
        .predict(MEAN[i : i + 1])
        for i in range(N)
    ]
    right = (np.concatenate(others) == CLASSES).mean()
    assert f"has the same label for {right:.0%} of test" in said[1]
    assert f"the largest of 3 classes has {np.bincount(CLASSES).max() / N:.0%}" in said[1]
    measured = MEAN[:, 1] + 0.1 * RNG.normal(size=N)
    r = np.corrcoef(measured, MEAN[:, 1])[0, 1]
    assert sentences(latents(labels=measured))[1].endswith(
        f"E[z_2|x] goes along with the label most: correlation {r:+.2f}."
    )
    assert len(sentences(latents(labels=np.full(N, 7)))) == 1
    assert len(sentences(latents())) == 1


def test_a_projection_is_of_principal_components_with_their_shares():
    figure = projection(latents(labels=CLASSES))
    axes = figure.axes[0]
    pca = PCA(2).fit(MEAN)
    first, second = pca.explained_variance_ratio_
    assert axes.get_xlabel() == f"component 1, {first:.0%} of the variance"
    assert axes.get_ylabel() == f"component 2, {second:.0%} of the variance"
    expected = pca.transform(MEAN)
    for name, points in zip((0, 1, 2), axes.lines, strict=True):
        np.testing.assert_allclose(
            np.abs(points.get_xydata()), np.abs(expected[name == CLASSES]), rtol=1e-3, atol=1e-6
        )
    assert "coloured by label" in figure.get_label()
    assert sentences(latents(labels=CLASSES))[1] in figure.get_label()
    collapsed = projection(latents(mean=np.zeros((N, 5)), labels=CLASSES))
    assert collapsed.axes[0].get_xlabel() == "component 1"


def test_umap_is_drawn_where_it_is_installed(monkeypatch):
    class UMAP:
        def __init__(self, **options):
            assert options == {"n_components": 2, "random_state": 0}

        def fit_transform(self, mean):
            return 7 * mean[:, :2]

    module = ModuleType("umap")
    monkeypatch.setitem(sys.modules, "umap", module)
    assert len(projection(latents()).axes) == 1  # a folder of that name is not the package
    module.UMAP = UMAP
    figure = projection(latents())
    assert [axes.get_title() for axes in figure.axes] == ["PCA", "UMAP"]
    np.testing.assert_allclose(figure.axes[1].lines[0].get_xydata(), 7 * MEAN[:, :2])
    assert "principal components and UMAP" in figure.get_label()


def test_bars_are_the_kls_and_the_caption_says_the_sentence():
    figure = dimensions(latents())
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    np.testing.assert_allclose(heights, np.sort(KL.mean(0))[::-1], rtol=1e-6)
    assert "3 of 5 dimensions of z carry" in figure.get_label()


@pytest.mark.parametrize("labels", [None, CLASSES, RNG.normal(size=N)])
def test_one_dimension_is_a_histogram_with_an_area_of_one(labels):
    from numpyro.distributions import Normal

    class View:
        told = ""

        def conditions(self, count):
            return ()

        def prior(self, conditions):
            return Normal(np.zeros(1), 2.0).to_event(1)

    figure = line(View(), latents(MEAN[:, :1], KL[:, :1], labels))
    axes = figure.axes[0]
    area = sum(bar.get_height() * bar.get_width() for bar in axes.patches)
    assert area == pytest.approx(1)
    z, density = axes.lines[0].get_xydata().T
    np.testing.assert_allclose(
        density, np.exp(-((z / 2) ** 2) / 2) / (2 * (2 * np.pi) ** 0.5), rtol=1e-4, atol=1e-30
    )
    groups = 3 if labels is CLASSES else 1
    assert len(axes.get_legend().get_texts()) == groups + 1
