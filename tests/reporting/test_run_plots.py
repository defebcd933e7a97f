import numpy as np
import pytest

from tests.reporting.made import entry
from vae_jax.plots import agreement, bounds, point_panels
from vae_jax.reporting.readable import entries
from vae_jax.reporting.run_plots import curves, units


def records(count, held):
    train = [
        {"epoch": e, "bound": -9.0 + e, "kl": 1.0, "log_likelihood": -8.0}
        for e in range(1, count + 1)
    ]
    points = [
        {"epoch": e, "validation_bound": -8.0, "validation_error": 0.1} for e in range(1, held + 1)
    ]
    return [*train, *points]


@pytest.mark.parametrize("count", [1, 3])
def test_few_points_have_marks_and_the_caption_names_what_is_drawn(count):
    figure = curves(records(count, 1), "mass")
    lines = figure.axes[0].get_lines()
    assert len(lines) >= 2
    assert all(line.get_marker() not in ("", "None", None) for line in lines[:2])
    assert "(mass)" in figure.axes[0].get_ylabel()
    assert "validation" in figure.get_label()
    assert "validation" not in curves(records(count, 0)).get_label()


def test_gaps_are_paired():
    """Two bounds that are 1 and 3 below the estimate, up to little, while examples differ by far."""
    log_p = np.array([-10.0, -100.0, -1000.0])
    arrays = {"log_p": log_p, "iwae_1": log_p - [2.0, 3.0, 4.0], "iwae_5": log_p - 1.0}
    numbers = {
        name: {"mean": values.mean(), "standard_error": 300.0, "label": "IWAE", "better": "higher"}
        for name, values in arrays.items()
    }
    numbers["log_p"]["label"] = "log p(x), importance sampling"
    numbers["iwae_1"]["k"], numbers["iwae_5"]["k"] = 1, 5
    left, right = bounds(numbers, arrays, "density").axes
    assert "(density)" in left.get_ylabel()
    [bars] = right.containers
    np.testing.assert_allclose(bars.lines[0].get_xydata(), [[1, 3], [5, 1]])
    [low, high] = bars.lines[2][0].get_segments()[0][:, 1]
    np.testing.assert_allclose((high - low) / 2, 1 / 3**0.5)
    figure = bounds(numbers)
    assert len(figure.axes) == 1
    assert "minus" not in figure.get_label()


def test_bars_of_latents_are_sorted_and_named():
    kl = np.array([[0.1, 2.0, 0.0], [0.3, 4.0, 0.0]])
    figure = units(entry(kl_by_unit=kl))
    [axes] = figure.axes
    np.testing.assert_allclose([bar.get_height() for bar in axes.patches], [3.0, 0.2, 0.0])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["2", "1", "3"]
    [low, high] = axes.containers[0].lines[2][0].get_segments()[0][:, 1]
    np.testing.assert_allclose((high - low) / 2, 1.0)
    assert not units(entry(kl_by_unit=np.ones((3, 200)))).axes[0].get_xticklabels()


def test_counts_have_logarithmic_axes():
    x = np.array([[0.0, 500.0], [3.0, 1.0]])
    for figure in (point_panels({"data": x}, [0, 1], counts=True), agreement(x, x, counts=True)):
        axes = figure.axes[0]
        assert (axes.get_xscale(), axes.get_yscale()) == ("symlog", "symlog")
        assert axes.get_ylim()[1] >= 500


def test_an_environment_is_shown_in_words():
    environment = {
        "command": ["/bin/vae-jax", "train", "--config.prior=mixture(components=3)"],
        "versions": {"jax": "0.1", "numpy": None},
        "devices": ["cpu", "cpu"],
        "commit": None,
    }
    assert entries(environment) == {
        "command": "vae-jax train '--config.prior=mixture(components=3)'",
        "versions": "jax 0.1, numpy –",
        "devices": "cpu, cpu",
        "commit": "–",
    }
