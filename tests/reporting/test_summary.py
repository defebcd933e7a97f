"""The sentences at the top of a page, and what is said to distrust."""

import re

import numpy as np

from tests.quick_runs import quick_config
from tests.reporting.made import entry, number
from vae_jax.reporting import doubts
from vae_jax.reporting.summary import Story, sentences

GAPS = {"amortization_gap": number(0.9, 0.05), "approximation_gap": number(2.9, 0.1)}
SURGERY = {"mutual_information": number(6.0), "marginal_kl": number(19.0)}
PARTS = {"total_correlation": number(12.0), "dimension_kl": number(7.0)}
RNG = np.random.default_rng(0)
BASE = RNG.normal(-90, 20, 100)


def text(*entries, records=(), **changes):
    return " ".join(sentences(Story(entries, quick_config(**changes), records)))


def test_a_run_without_numbers_or_records_has_nothing_to_say():
    assert text() == ""


def test_the_gap_is_told_with_whose_it_is():
    told = text(entry(elbo=BASE, log_p_ais=BASE + 3.8, log_p=BASE + 3.0, **GAPS))
    assert f"is {BASE.mean():.1f} ± " in told
    assert "nats per example on test (100 examples)." in told
    assert "(log of a mass)" in text(entry(elbo=number(-3.0, better="higher")))
    assert "log p(x) by annealing is" in told
    assert "3.8 nats above it: 2.90 ± 0.10 are the family's" in told.replace("3.80", "3.8")
    assert "0.90 ± 0.05 the encoder's" in told


def test_what_log_p_is_of_is_told():
    of_y = entry(elbo=-9.0)
    told = text(of_y._replace(results=of_y.results | {"given": "labels", "missing": True}))
    assert "Given labels: log p and the bounds on it are of p(x|y), y being labels." in told
    assert "Values are missing: log p and the bounds on it are of what was observed." in told
    assert "p(x|y)" not in text(of_y)


def test_differences_are_never_of_two_sets_of_examples():
    whole = entry("test", 1000, elbo=-90.0, log_p=-87.0)
    part = entry("first 100 of test", 100, elbo=-95.0, log_p_ais=-91.0)
    told = text(whole, part)
    assert "by importance sampling is -87.0 ± 0.2, 3 nats above it." in told
    assert "On the first 100 of test log p(x) by annealing is -91.0 ± 0.2, 4 nats above" in told
    assert "their ELBO of -95.0 ± 0.2" in told
    assert not {"-1 nats", "1 nats", "8 nats"} & set(told.split(", "))


def test_a_bound_alone_is_said_to_be_alone():
    told = text(entry(elbo=-7.7, log_likelihood=-0.1, kl=7.6))
    assert "How far it lies below log p(x) is not known" in told
    assert "E_q log p(x|z) is -0.1 ± 0.2, and the KL 7.6 ± 0.2 nats." in told


def test_the_kl_is_taken_apart_as_far_as_it_is_known():
    terms = {"elbo": -90.0, "log_likelihood": -65.0, "kl": 25.0}
    assert "mutual" not in text(entry(**terms))
    assert "6.0 ± 0.2 tell which example it is" in text(entry(**terms, **SURGERY))
    told = text(entry(**terms, **SURGERY, **PARTS))
    assert "(12.0 ± 0.2 between its dimensions, 7.0 ± 0.2 within them)" in told


def test_units_findings_and_labels_have_sentences():
    remark = "two_sample: a classifier is right about 71%: samples can be told from the data"
    told = text(
        entry(
            elbo=-90.0,
            active_units=number(19.0, None),
            collapsed_units=number(31.0, None, remark="3, 7 are collapsed"),
            probe_accuracy=number(0.95, 0.02),
            two_sample_accuracy=number(0.71, 0.02, remark=remark),
            nearer_than_test=number(0.49, 0.02),
            forward_kl=number(0.2, 0.03),
        ),
        latent_dim=50,
    )
    assert "19 of 50 units are active; 3, 7 are collapsed." in told
    assert "a linear probe 0.95 ± 0.02" in told
    assert "A classifier is right about 71%: samples can be told from the data." in told
    assert "0.49 ± 0.02 of the samples are nearer to the training set" in told
    assert "KL(p || p_theta) is 0.20 ± 0.03 nats." in told


def test_layers_have_their_units():
    told = text(entry(elbo=-9.0, active_layer_2=number(5.0, None), active_layer_1=number(28.0)),
                latent_dim=(50, 100))  # fmt: skip
    assert "Of 150 units these are active: 28 in layer 1, 5 in layer 2." in told


def test_the_end_of_training_is_told():
    train = {"epoch": 3.0, "bound": -85.25}
    held = {"epoch": 3.0, "validation_bound": -91.0, "validation_error": 0.8}
    assert text(records=[train]).endswith("-85.2 on training examples.")
    assert "-91.0 ± 0.8 on validation examples" in text(records=[train, held])


def doubted(tmp_path, *entries):
    return " ".join(doubts.of_numbers(tmp_path, entries))


def test_numbers_without_a_doubt_have_none(tmp_path):
    assert doubted(tmp_path, entry(elbo=BASE, log_p=BASE + 3)) == ""


def test_the_higher_of_two_lower_bounds_says_how_low_the_other_is(tmp_path):
    noise = RNG.normal(0, 0.01, 100)
    above = doubted(tmp_path, entry(log_p=BASE, log_p_ais=BASE + 0.4 + noise))
    assert re.match(r"Importance sampling is at least 0\.(39|40)", above)
    below = doubted(tmp_path, entry(log_p=BASE, log_p_ais=BASE - 0.4 + noise))
    assert re.match(r"Annealing is at least 0\.(39|40)", below)
    assert doubted(tmp_path, entry(log_p=BASE, log_p_ais=BASE + 0.05 + noise)) == ""
    wide = 0.15 + (noise - noise.mean()) / noise.std()  # 0.15 ± 0.1
    assert doubted(tmp_path, entry(log_p=BASE, log_p_ais=BASE + wide)) == ""


def test_importance_sampling_that_still_rises_is_doubted_unless_there_is_better(tmp_path):
    numbers = {"log_p": BASE + 0.3, "iwae_500": number(BASE.mean(), k=500)}
    assert "still rises: by 0.3 nats from k = 500" in doubted(tmp_path, entry(**numbers))
    assert doubted(tmp_path, entry(**numbers, log_p_exact=BASE + 0.3)) == ""


def test_remarks_on_bounds_are_doubts_and_findings_are_none(tmp_path):
    told = doubted(
        tmp_path,
        entry(log_p=number(-9.0, remark="too few"), collapsed_units=number(3.0, remark="1-3")),
    )
    assert told == "log_p on test (100 examples): too few."


def test_annealing_whose_sides_do_not_meet_is_doubted(tmp_path):
    assert "up to 0.50 ± 0.05" in doubted(tmp_path, entry(bdmc_width=number(0.5, 0.05)))
    assert doubted(tmp_path, entry(bdmc_width=number(-0.006, 0.014))) == ""


def test_entries_of_other_parameters_are_said_to_be(tmp_path):
    one, other = entry("test"), entry("first 10 of test")
    assert doubted(tmp_path, one, other) == ""
    changed = other._replace(results=other.results | {"fingerprint": "g"})
    assert "not all of the same parameters" in doubted(tmp_path, one, changed)


def test_estimates_that_disagree_are_doubts(tmp_path):
    lines = [
        "log_p_ais and log_p disagree: 0.4 apart",
        "log_p_ais and log_p_prior agree: 0.1 apart",
    ]
    one = entry(elbo=-90.0)
    (told,) = doubts.of_numbers(
        tmp_path, [one._replace(results=one.results | {"agreement": lines})]
    )
    assert told == "On test (100 examples) log_p_ais and log_p disagree: 0.4 apart."


def test_gaps_of_another_log_p_are_not_told():
    """They were of importance sampling; annealing came later, and is 3 nats higher."""
    old = {"amortization_gap": number(0.9), "approximation_gap": number(0.1)}
    assert "family" not in text(entry(elbo=BASE, log_p=BASE + 1.0, log_p_ais=BASE + 4.0, **old))
    assert "family" in text(entry(elbo=BASE, log_p=BASE + 1.0, **old))


def test_the_best_of_two_lower_bounds_is_the_higher():
    told = text(entry(elbo=BASE, log_p=BASE + 3.0, log_p_ais=BASE + 1.0))
    assert "log p(x) by importance sampling" in told
