"""Update rules: those that cannot work are refused before training, the others of optax are not."""

import inspect
from types import SimpleNamespace

import optax
import pytest

from tests.quick_runs import quick_config
from vae_jax import UserError, fit
from vae_jax.config import optimizers
from vae_jax.runs.state import optimization
from vae_jax.training.checks import require_descent

WANT_MORE = ("polyak_sgd", "lbfgs")  # the loss itself, or a function that gives it
ADAM = "adam(learning_rate={})".format


def is_optimizer(name, function):
    parameters = inspect.signature(function).parameters if inspect.isfunction(function) else {}
    return name[0] != "_" and {"learning_rate", "max_learning_rate"} & parameters.keys()


OPTIMIZERS = [name for name, f in vars(optax).items() if is_optimizer(name, f)]
OPTIMIZERS = [name for name in OPTIMIZERS if not name.startswith("scale_by")]


def tried(text, num_steps=1000, clip_norm=0.0):
    rule = optimization(optimizers.build(text, num_steps), clip_norm)
    cfg = SimpleNamespace(optimizer=text)
    require_descent(SimpleNamespace(cfg=cfg, num_steps=num_steps, rule=rule))


@pytest.mark.filterwarnings("ignore:Specifying a key", "ignore:.*deprecated")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_of_optax_goes_downhill_or_is_refused_in_one_line(name):
    text = f"{name}()" if name == "polyak_sgd" else f"{name}(learning_rate=1e-3)"
    if name in WANT_MORE:
        with pytest.raises(UserError, match="makes no update of gradients alone") as caught:
            tried(text)
        assert "\n" not in str(caught.value)
    else:
        tried(text)
        tried(text, num_steps=1, clip_norm=1.0)


def test_all_of_them_were_tried():
    assert {"adam", "adamw", "sgd", "lion", "rprop", *WANT_MORE} <= set(OPTIMIZERS)
    assert len(OPTIMIZERS) >= 25


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clip_by_global_norm(max_norm=1.0)", "update 1 goes uphill"),
        ("scale_by_adam", "update 1 goes uphill"),
        ("scale(step_size=0.1)", "update 1 goes uphill"),
        ("scale_by_learning_rate(learning_rate=0.1, flip_sign=False)", "update 1 goes uphill"),
        ("set_to_zero", "never moves a parameter"),
        (ADAM("constant_schedule(value=0.0)"), "never moves a parameter"),
        ("adam(learning_rate=0.1, eps=0.0)", "is not finite for a gradient of 0"),
        (
            ADAM("exponential_decay(init_value=1.0, transition_steps=1, decay_rate=9.0)"),
            "is not finite for a large gradient",
        ),
        (
            "lookahead(fast_optimizer=adam(learning_rate=0.1), sync_period=5, slow_step_size=0.5)",
            "makes no update of gradients alone",
        ),
    ],
)
def test_a_rule_that_cannot_work_is_refused(text, expected):
    with pytest.raises(UserError, match=r"config\.optimizer=") as caught:
        tried(text)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "schedule",
    [
        "linear_schedule(init_value=0.0, end_value=1e-3, transition_steps=num_steps)",
        "cosine_decay_schedule(init_value=1e-3, decay_steps=1)",
        "exponential_decay(init_value=1e-3, transition_steps=100, decay_rate=1.01)",
    ],
)
def test_schedules_may_start_or_end_at_zero(schedule):
    tried(ADAM(schedule))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scale_by_adam", "config.optimizer=scale_by_adam: update 1 goes uphill"),
        (
            ADAM("warmup_constant_schedule(init_value=0.0, peak_value=1e-3, warmup_steps=-1)"),
            "config.optimizer: warmup_constant_schedule: warmup_steps=-1",
        ),
        (
            ADAM("warmup_cosine_decay_schedule(init_value=0.0, peak_value=1e-3, "
                 "warmup_steps=5000, decay_steps=num_steps)"),
            "config.optimizer: warmup_cosine_decay_schedule",
        ),
    ],
)  # fmt: skip
def test_nothing_is_trained(text, expected, tmp_path):
    with pytest.raises(UserError) as caught:
        fit(quick_config(optimizer=text), tmp_path / "run", quiet=True)
    assert str(caught.value).startswith(expected)
    assert not (tmp_path / "run").exists()
