import numpy as np
import pytest
from scipy import stats

from vae_jax import UserError, config
from vae_jax.config.components import replace
from vae_jax.sweeps.grids import combine


def test_grids_multiply():
    settings = combine(["prior=standard_normal|mixture(components=5)", "config.latent_dim=2|10"])
    assert settings == [
        {"prior": "standard_normal", "latent_dim": "2"},
        {"prior": "standard_normal", "latent_dim": "10"},
        {"prior": "mixture(components=5)", "latent_dim": "2"},
        {"prior": "mixture(components=5)", "latent_dim": "10"},
    ]


def test_zipped_fields_run_together_and_multiply_with_the_rest():
    settings = combine(["batch_size=50|100"], ["encoder=mlp|conv", "decoder=mlp|linear"])
    pairs = [(s["batch_size"], s["encoder"], s["decoder"]) for s in settings]
    assert pairs == [
        ("50", "mlp", "mlp"), ("50", "conv", "linear"),
        ("100", "mlp", "mlp"), ("100", "conv", "linear"),
    ]  # fmt: skip
    assert combine([], [], [{"prior": "mixture"}, {"latent_dim": 3}]) == [
        {"prior": "mixture"},
        {"latent_dim": 3},
    ]
    assert combine([]) == [{}]


def test_a_bar_inside_quotes_is_no_separator():
    assert combine(["data=npz(path='a|b.npz')|digits"]) == [
        {"data": "npz(path='a|b.npz')"},
        {"data": "digits"},
    ]


GRID = ["optimizer=adam(learning_rate=log_uniform(1e-4, 1e-2))", "latent_dim=integers(2, 5)",
        "clip_norm=uniform(1, 3)", "prior=standard_normal|mixture"]  # fmt: skip


def test_random_search_draws_from_the_ranges():
    settings = combine(GRID, num_random=400)
    rates = [float(s["optimizer"].split("=")[1].rstrip(")")) for s in settings]
    assert 1e-4 <= min(rates) < 2e-4
    assert 5e-3 < max(rates) <= 1e-2
    error = np.log(100) / 12**0.5 / 20  # of the mean of 400 uniform logarithms
    assert abs(np.log(rates).mean() - np.log(1e-3)) < 4 * error
    assert {s["latent_dim"] for s in settings} == {"2", "3", "4", "5"}
    norms = [float(s["clip_norm"]) for s in settings]
    assert abs(np.mean(norms) - 2) < 4 * (2 / 12**0.5) / 20
    assert abs(np.mean([s["prior"] == "mixture" for s in settings]) - 0.5) < 4 * 0.5 / 20


def test_draws_are_uniform_and_independent():
    settings = combine(GRID, num_random=400)
    rates = [float(s["optimizer"].split("=")[1].rstrip(")")) for s in settings]
    norms = [float(s["clip_norm"]) for s in settings]
    uniform = (np.log10(rates) + 4) / 2, (np.array(norms) - 1) / 2
    for values in uniform:
        assert stats.kstest(values, "uniform").pvalue > 1e-3
    assert stats.pearsonr(*uniform).pvalue > 1e-3
    two = combine(["latent_dim=2|3", "prior=standard_normal|mixture"], num_random=400)
    counts = np.unique([s["latent_dim"] + s["prior"] for s in two], return_counts=True)[1]
    assert stats.chisquare(counts).pvalue > 1e-3
    assert len(counts) == 4
    again = combine(GRID, num_random=400, seed=1)
    assert not any(setting in settings for setting in again)
    narrow = combine(["clip_norm=uniform(1.23456, 1.23461)"], num_random=50)
    assert all(1.23456 <= float(s["clip_norm"]) <= 1.23461 for s in narrow)


def test_the_first_of_many_draws_are_those_of_few():
    assert combine(GRID, num_random=9)[:4] == combine(GRID, num_random=4)
    assert combine(GRID, num_random=4, seed=1) != combine(GRID, num_random=4)


@pytest.mark.parametrize(
    ("arguments", "options", "expected"),
    [
        ((["prior"],), {}, "write field=value"),
        ((["prior=a|"],), {}, "write value|value"),
        ((["prior=a", "prior=b"],), {}, "varied twice"),
        ((["prior=a"], ["prior=b"]), {}, "varied twice"),
        (([], ["encoder=a|b", "decoder=a"]), {}, "encoder has 2, decoder has 1"),
        ((["latent_dim=integers(1, 2)|3"],), {}, "--random=N"),
        ((["clip_norm=log_uniform(0, 1)"],), {"num_random": 2}, "cannot draw"),
        ((["clip_norm=uniform(2, 1)"],), {"num_random": 2}, "cannot draw"),
        ((["clip_norm=uniform(a, b)"],), {"num_random": 2}, "cannot draw"),
        ((["latent_dim=integers(1.9, 3.9)"],), {"num_random": 2}, "cannot draw"),
        ((["latent_dim=2,3"],), {}, "separated by |"),
    ],
)
def test_mistakes_are_said(arguments, options, expected):
    with pytest.raises(UserError) as caught:
        combine(*arguments, **options)
    assert expected in str(caught.value)


def test_an_argument_of_a_part_is_a_field_too():
    cfg = config.default_config()
    config.override(cfg, "prior", "mixture(components=3)")
    config.override(cfg, "prior.components", "7")
    config.override(cfg, "optimizer.learning_rate", "cosine_decay_schedule(init_value=1e-3)")
    config.override(cfg, "optimizer.learning_rate.init_value", 0.5)
    config.override(cfg, "latent_dim", "4")
    config.override(cfg, "clip_norm", 2)
    assert cfg.prior == "mixture(components=7)"
    assert cfg.optimizer == "adam(learning_rate=cosine_decay_schedule(init_value=0.5))"
    assert (cfg.latent_dim, cfg.clip_norm) == (4, 2.0)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("piror", "mixture", "did you mean 'prior'"),
        ("latent_dim", "two", "not of type int"),
        ("latent_dim", 2.5, "not of type int"),
        ("latent_dim.size", "2", "it is no part"),
        ("prior.components", "((", "a literal or name"),
        ("prior.components.x", "1", "has no components with an argument 'x'"),
    ],
)
def test_overrides_that_cannot_be(field, value, expected):
    with pytest.raises(UserError) as caught:
        config.override(config.default_config(), field, value)
    assert expected in str(caught.value)


def test_replace_leaves_the_rest_alone():
    assert replace("f(a=1, b='x')", "a", "(2, 3)") == "f(a=(2, 3), b='x')"
    assert replace("f", "a", "g(c=1)") == "f(a=g(c=1))"
