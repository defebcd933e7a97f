import subprocess
import sys

import jax.numpy as jnp
import pytest

from vae_jax import config
from vae_jax.config import components
from vae_jax.errors import UserError

EVERY = [(family, name) for family in components.FAMILIES for name in components.names(family)]


@pytest.mark.parametrize(("family", "name"), EVERY)
def test_every_component_resolves_to_itself_and_says_what_it_is(family, name):
    full = components.resolve(family, name)
    assert components.resolve(family, full) == full
    assert components.find(family, name).__doc__
    assert all(
        p.default is not p.empty for p in components.options(components.find(family, name)).values()
    )


def test_arguments_are_read_as_literals_and_defaults_filled_in():
    assert (
        components.resolve("networks", "mlp(hidden=[3, 4])")
        == "mlp(hidden=(3, 4), activation='tanh', gated=False)"
    )
    call = components.parse("adam(learning_rate=f(a=1e-3, b=num_steps))")
    assert str(call) == "adam(learning_rate=f(a=0.001, b=num_steps))"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mixtur", "did you mean 'mixture'"),
        ("mixture(component=3)", "did you mean 'components'"),
        ("mixture(components='a')", "components='a' is not of type int"),
        ("mixture(components=1.5)", "not of type int"),
        ("mixture(components=True)", "not of type int"),
        ("normal(scale=1e400)", "cannot read"),
        ("mixture(3)", "cannot read"),
        ("mixture(components=3, components=4)", "cannot read"),
        ("mixture(**{'components': 3})", "cannot read"),
        ("mixture(components=open('x'))", "cannot read"),
        ("__import__('os')", "cannot read"),
        ("", "cannot read"),
        ("1 + 1", "cannot read"),
        ("nowhere.priors.mine", "no module 'nowhere.priors.mine'"),
    ],
)
def test_a_mistake_is_named(text, expected):
    with pytest.raises(UserError) as caught:
        components.resolve("priors", text)
    assert expected in str(caught.value)


def test_a_component_from_outside(tmp_path, monkeypatch):
    (tmp_path / "my_priors").mkdir()
    (tmp_path / "my_priors" / "shifted.py").write_text(
        "import jax.numpy as jnp\n"
        "from numpyro.distributions import Normal\n"
        "from vae_jax.types import Prior, no_params\n"
        "def shifted(spec, *, by: float = 1.0):\n"
        "    loc = jnp.full(spec.latent_dim, by)\n"
        "    return Prior(no_params, lambda params: Normal(loc, 1.0).to_event(1))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert components.resolve("priors", "my_priors.shifted") == "my_priors.shifted(by=1.0)"
    from vae_jax import build_model

    model = build_model((3,), 2, prior="my_priors.shifted(by=2.0)")
    assert model.prior({}).mean.tolist() == [2.0, 2.0]
    with pytest.raises(UserError, match="did you mean 'by'"):
        components.resolve("priors", "my_priors.shifted(bi=1.0)")
    sys.modules.pop("my_priors.shifted")


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("optimizer", "adm", "did you mean 'adam'"),
        ("optimizer", "adam(learning_rat=1.0)", "did you mean 'learning_rate'"),
        ("optimizer", "adam", "missing"),
        ("optimizer", "adam(learning_rate='fast')", "is a string"),
        ("optimizer", "constant_schedule(value=1.0)", "no optimizer"),
        ("optimizer", "GradientTransformation", "unknown name in optax"),
        ("latent_dim", 0, "config.latent_dim=0: a positive integer is needed"),
        ("latent_dim", 2.5, "not of type int"),
        ("ema_decay", 1.0, "a number below 1 is needed"),
        ("ema_decay", -0.5, "a number of 0 or more is needed"),
        ("eval_every_epochs", 0.0, "a positive number is needed"),
        ("clip_norm", float("nan"), "a number of 0 or more is needed"),
        ("seed", -1, "an integer of 0 or more is needed"),
        ("clip_norm", -1.0, "a number of 0 or more is needed"),
    ],
)
def test_a_config_field_is_validated(field, value, expected):
    cfg = config.default_config()
    with cfg.unlocked(), cfg.ignore_type():
        cfg[field] = value
    with pytest.raises(UserError) as caught:
        config.resolve(cfg)
    assert f"config.{field}" in str(caught.value)
    assert expected in str(caught.value)


def test_every_optimizer_of_optax_can_be_named():
    schedule = "cosine_decay_schedule(init_value=1e-3, decay_steps=num_steps)"
    for name in ("adamw", "sgd", "rmsprop", "lion", "radam"):
        assert config.optimizers.resolve(f"{name}(learning_rate={schedule})").startswith(name)


def test_schedules_may_stand_in_a_list():
    parts = "constant_schedule(value=0.5), polynomial_schedule(init_value=1.0, end_value=0.0, " \
        "power=1, transition_steps=num_steps)"  # fmt: skip
    text = f"sgd(learning_rate=join_schedules(schedules=[{parts}], boundaries=[num_steps]))"
    rule = config.optimizers.build(text, num_steps=2)
    state, steps = rule.init(jnp.zeros(())), []
    for _ in range(4):
        update, state = rule.update(jnp.ones(()), state)
        steps.append(-float(update))
    assert steps == [0.5, 0.5, 1.0, 0.5]


def test_the_configuration_imports_no_numbers():
    heavy = ["jax", "numpyro", "optax"]
    program = f"import sys, vae_jax.config; print([m for m in {heavy} if m in sys.modules])"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True).stdout.strip() == "[]"


def test_a_whole_number_for_a_float_is_the_same_component():
    assert components.resolve("objectives", "elbo(beta=1)") == components.resolve(
        "objectives", "elbo(beta=1.0)"
    )
    assert "validation=90," in components.resolve("datasets", "digits(validation=90)")
