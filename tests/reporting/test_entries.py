"""Which numbers a page tells, and differences that are of one set of examples."""

import numpy as np
import pytest

from tests.reporting.made import entry, number
from vae_jax.reporting.entries import Amount, richest, told
from vae_jax.runs.results import Name, name_of


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (-90.5596, 0.2437, "-90.6 ± 0.2"),
        (3.8579, 0.1877, "3.86 ± 0.19"),
        (24.8782, 0.0499, "24.88 ± 0.05"),
        (-91.72, 2.22, "-91.7 ± 2.2"),
        (0.5, 0.00004, "0.50000 ± 0.00004"),
        (-700.25, 31.0, "-700.2 ± 31.0"),
        (19.0, None, "19"),
        (0.001234, None, "0.00123"),
        (3.5, float("nan"), "3.5"),
        (3.5, 0.0, "3.5"),
    ],
)
def test_a_number_has_the_decimals_that_its_error_allows(mean, error, text):
    assert str(Amount(mean, error)) == text


@pytest.mark.parametrize(
    ("split", "results"),
    [
        ("test", {"is_all": True, "num_examples": 10, "other_data": None}),
        ("train", {"is_all": False, "num_examples": 7, "other_data": None}),
        ("test", {"is_all": False, "num_examples": 7, "other_data": "npz(path='a of b.npz')"}),
        ("test", {"is_all": True, "num_examples": 7, "other_data": "digits"}),
    ],
)
def test_a_name_is_read_as_it_was_written(split, results):
    first = None if results["is_all"] else results["num_examples"]
    read = Name.read(name_of(split, results))
    assert read == (split, first, results["other_data"] or "")


def test_the_flags_of_a_name_ask_for_the_same_examples():
    assert Name.read("test").flags == []
    flags = Name.read("first 7 of train of npz(path='a b')").flags
    assert flags == ["--split=train", "--num_examples=7", "--data='npz(path='\"'\"'a b'\"'\"')'"]


def test_the_test_split_is_told_first_and_entries_that_say_no_more_are_left_out():
    entries = [
        entry("train", 50, elbo=-1.0),
        entry("first 10 of test", 10, elbo=-1.0, log_p=-0.5),
        entry("first 20 of test", 20, elbo=-1.0, log_p=-0.5, log_p_ais=-0.4),
        entry("test of npz(path='x')", 90, elbo=-1.0),
        entry("test", 100, elbo=-1.0),
    ]
    assert [e.name for e in told(entries)] == ["test", "first 20 of test"]
    assert [e.name for e in told(entries[:1])] == ["train"]
    assert told([]) == []


def test_the_richest_entry_has_most_of_the_numbers_and_then_most_examples():
    few = entry("first 20 of test", 20, elbo=-1.0, log_p_ais=-0.4)
    more, other = entry("test", 100, elbo=-1.0), entry("first 30 of test", 30, log_p_ais=-0.4)
    assert richest([more, few, other], ("elbo", "log_p_ais")) is few
    assert richest([few, more], ("elbo",)) is more
    assert richest([few, more, other], ("log_p_ais",), needed="log_p_ais") is other
    assert richest([more], ("kl",)) is None


@pytest.mark.parametrize(
    ("numbers", "best"),
    [
        ({"log_p": -3.0}, "log_p"),
        ({"log_p": -4.0, "log_p_ais": -3.0}, "log_p_ais"),
        ({"log_p": -3.0, "log_p_ais": -4.0}, "log_p"),
        ({"log_p_exact": -3.0, "log_p_quadrature": -3.0}, "log_p_exact"),
        ({"log_p": -3.0, "log_p_quadrature": number(-3.0, remark="not sure")}, "log_p"),
        ({"log_p_quadrature": number(-3.0, remark="not sure")}, "log_p_quadrature"),
        ({"elbo": -3.0}, None),
    ],
)
def test_the_best_estimate_is_the_first_without_a_doubt(numbers, best):
    assert entry(**numbers).best == best


def test_differences_are_paired_where_the_arrays_are_there():
    rng = np.random.default_rng(0)
    elbo = rng.normal(-90, 20, 50)
    log_p = elbo + rng.normal(3, 0.1, 50)
    gap = entry(elbo=elbo, log_p=log_p).gap
    assert gap.mean == pytest.approx((log_p - elbo).mean())
    assert gap.error == pytest.approx((log_p - elbo).std(ddof=1) / 50**0.5)
    without = entry(elbo=elbo, log_p=log_p)._replace(arrays={})
    assert without.gap == (pytest.approx(log_p.mean() - elbo.mean()), None)
    known = number(log_p.mean() - elbo.mean(), 0.02)
    recorded = entry(elbo=elbo, log_p=log_p, log_p_minus_elbo=known)._replace(arrays={})
    assert recorded.gap.error == 0.02
    other = entry(elbo=elbo, log_p=log_p, log_p_ais=log_p + 1, log_p_minus_elbo=known)
    assert other._replace(arrays={}).gap.error is None  # the record is of another estimate
    assert entry(elbo=elbo).gap is None
