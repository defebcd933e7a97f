"""The figure's bars begin where others end, and lead from the ELBO to log p(x)."""

import numpy as np
import pytest

from tests.quick_runs import quick_config
from tests.reporting.made import entry, number
from vae_jax.config import resolve
from vae_jax.reporting.decomposition import decomposition, downwards, upwards
from vae_jax.reporting.run_plots import bounds_of
from vae_jax.reporting.summary import Story, sentences

GAPS = {"amortization_gap": number(0.9), "approximation_gap": number(2.9)}
KL = {"log_likelihood": -65.0, "kl": 25.0, "elbo": -90.0}
SURGERY = {"mutual_information": 6.0, "marginal_kl": 19.0}
PARTS = {"total_correlation": 12.0, "dimension_kl": 7.0}


def ends(steps):
    return [(round(s.start, 6), round(s.end, 6)) for s in steps]


def test_two_gaps_lead_from_the_elbo_to_the_best_estimate():
    steps = upwards(entry(elbo=-90.0, log_p=-86.5, log_p_ais=-86.2, **GAPS))
    assert ends(steps) == [
        (-90, -90), (-90, -89.1), (-89.1, -86.2), (-86.2, -86.2), (-86.5, -86.5)
    ]  # fmt: skip
    assert [s.label for s in steps][3:] == ["log p(x), annealing", "log p(x), importance"]


def test_one_gap_leads_there_where_its_parts_are_not_known():
    assert ends(upwards(entry(elbo=-90.0, log_p=-86.0))) == [(-90, -90), (-90, -86), (-86, -86)]
    assert len(upwards(entry(elbo=-90.0))) == 1


@pytest.mark.parametrize("likelihood", [-65.0, 12.0])
def test_the_terms_lead_down_to_the_elbo(likelihood):
    terms = KL | {"log_likelihood": likelihood, "elbo": likelihood - 25}
    steps = downwards(entry(**terms, **SURGERY, **PARTS))
    L = likelihood
    assert ends(steps) == [
        (0, L), (L, L - 25), (L, L - 6), (L - 6, L - 25), (L - 6, L - 18), (L - 18, L - 25),
        (L - 25, L - 25),
    ]  # fmt: skip
    assert ends(downwards(entry(**terms))) == [(0, L), (L, L - 25), (L - 25, L - 25)]
    assert len(downwards(entry(**terms, **PARTS))) == 3  # parts of nothing that is drawn


@pytest.mark.parametrize("narrow", [False, True])
def test_the_figure_draws_each_row_and_its_error(narrow):
    bounds = {"iwae_5": number(-88.0, k=5), "iwae_50": number(-87.0, k=50)}
    above = entry("first 10 of test", elbo=-90.0, log_p=-86.0, **bounds)
    figure = decomposition(above, entry(**KL), narrow)
    top, bottom = figure.axes
    labels = [t.get_text() for t in top.get_yticklabels()]
    assert labels == ["ELBO", "+ gap of the bound", "log p(x), importance", "IWAE bounds, k"]
    assert [p.get_width() for p in top.patches] == [4]
    assert [p.get_width() for p in bottom.patches] == [-65, -25]
    assert {"5", "50", "-90.0 ± 0.2"} <= {t.get_text() for t in top.texts}
    assert "on the first 10 of test" in figure.get_label()
    assert "terms on test (100 examples)" in figure.get_label()
    assert (figure.get_figwidth() < 5) == narrow


def test_what_is_not_finite_or_missing_is_not_drawn():
    assert decomposition(None, None) is None
    assert decomposition(entry(elbo=-90.0), None) is None
    broken = entry(elbo=float("nan"), log_p=-3.0)
    assert decomposition(broken, None) is None
    figure = decomposition(broken, entry(**KL))
    assert len(figure.axes) == 1
    assert np.isfinite(figure.axes[0].get_xlim()).all()


def test_a_model_that_is_given_y_is_of_p_of_x_given_y():
    """In the labels, the caption, the sentences, and the figure of bounds."""
    labels = {"log_p": number(-86.0, label="log p(x|y), importance sampling")}
    of_x = entry(elbo=-90.0, iwae_5=number(-88.0, k=5, label="IWAE"), **labels)
    of_x_given_y = of_x._replace(results=of_x.results | {"given": "labels"})
    assert upwards(of_x_given_y)[-1].label == "log p(x|y), importance"
    assert "to log p(x|y) on" in decomposition(of_x_given_y, None).get_label()
    assert "Bounds on log p(x|y) from" in bounds_of(of_x_given_y).get_label()
    told = " ".join(sentences(Story([of_x_given_y], resolve(quick_config()))))
    assert "a lower bound on log p(x|y), is" in told
    assert "log p(x|y) by importance sampling is" in told
    assert "log p(x)" not in told
