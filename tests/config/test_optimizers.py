"""Arguments of optax's functions outside the range that their name has."""

import pytest

from vae_jax import UserError, config
from vae_jax.config import optimizers

SCHEDULE = "adam(learning_rate={})".format


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("adam(learning_rate=-1)", "adam: learning_rate=-1: a positive number is needed"),
        ("sgd(learning_rate=0.0)", "learning_rate=0.0: a positive number is needed"),
        ("adam(learning_rate=1e-60)", "a positive number is needed (in float32)"),
        ("adam(learning_rate=1e39)", "a finite number is needed (in float32)"),
        ("adam(learning_rate=1e999)", "numbers finite"),
        (f"adam(learning_rate={10**400})", "a finite number is needed"),
        ("adam(learning_rate=True)", "learning_rate=True: a positive number is needed"),
        ("adam(learning_rate=None)", "learning_rate=None: a positive number is needed"),
        ("adam(learning_rate=(0.1, 0.2))", "a positive number is needed"),
        ("adam(learning_rate='1e-3')", "is a string"),
        ("adam(learning_rate=sgd(learning_rate=1.0))", "a positive number is needed"),
        ("adam(learning_rate=0.1, b1=1.0)", "adam: b1=1.0: a number below 1 is needed"),
        ("adam(learning_rate=0.1, b2=-0.1)", "adam: b2=-0.1: a number of 0 or more is needed"),
        ("adam(learning_rate=0.1, eps=-1e-8)", "eps=-1e-08: a number of 0 or more is needed"),
        ("sgd(learning_rate=0.1, momentum=1.5)", "momentum=1.5: a number below 1 is needed"),
        ("sgd(learning_rate=0.1, nesterov=1)", "nesterov=1: True or False is needed"),
        ("rmsprop(learning_rate=0.1, decay=1.1)", "decay=1.1: a number below 1 is needed"),
        ("ema(decay=1.5)", "ema: decay=1.5: a number below 1 is needed"),
        ("clip_by_global_norm(max_norm=-1)", "max_norm=-1: a positive number is needed"),
        ("clip(max_delta=0.0)", "max_delta=0.0: a positive number is needed"),
        ("adamw(learning_rate=0.1, weight_decay=-1.0)", "weight_decay=-1.0: a number of 0 or more"),
        (SCHEDULE("constant_schedule(value=-1e-3)"), "value=-0.001: a number of 0 or more"),
        (
            SCHEDULE("cosine_decay_schedule(init_value=-1.0, decay_steps=num_steps)"),
            "cosine_decay_schedule: init_value=-1.0: a number of 0 or more",
        ),
        (
            SCHEDULE("cosine_decay_schedule(init_value=1.0, decay_steps=0)"),
            "decay_steps=0: a positive integer is needed",
        ),
        (
            SCHEDULE("linear_schedule(init_value=1.0, end_value=0.0, transition_steps=-5)"),
            "transition_steps=-5: a positive integer is needed",
        ),
        (
            SCHEDULE("linear_schedule(init_value=1.0, end_value=0.0, transition_steps=0.5)"),
            "transition_steps=0.5: a positive integer is needed",
        ),
        (
            SCHEDULE("join_schedules(schedules=(constant_schedule(value=1.0),), boundaries=(0,))"),
            "boundaries=(0,): a positive integer is needed",
        ),
        (SCHEDULE("sgdr_schedule(cosine_kwargs=(1, 2))"), "sgdr_schedule(cosine_kwargs=(1, 2)): "),
        (
            SCHEDULE("warmup_cosine_decay_schedule(init_value=0.0, peak_value=1.0, "
                     "warmup_steps=200, decay_steps=100)"),
            "positive decay_steps",
        ),
    ],
)  # fmt: skip
def test_a_value_outside_the_range_of_its_name_is_refused(text, expected):
    cfg = config.default_config()
    cfg.optimizer = text
    with pytest.raises(UserError) as caught:
        config.resolve(cfg)
    assert str(caught.value).startswith("config.optimizer: ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "scale_by_sm3",  # its b2 is 1 by default
        "optimistic_gradient_descent(learning_rate=0.1, beta=1.5)",
        "sgd(learning_rate=0.1, momentum=None)",
        "adam(learning_rate=0.1, b1=0, eps_root=0)",
        SCHEDULE("cosine_decay_schedule(init_value=1.0, decay_steps=1e4)"),
        SCHEDULE("piecewise_constant_schedule(init_value=1.0, boundaries_and_scales={9: 0.1})"),
    ],
)
def test_a_value_that_optax_itself_has_passes(text):
    assert optimizers.resolve(text)
