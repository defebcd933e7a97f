import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.quick_runs import quick_config, same
from vae_jax import DivergedError, fit, load


def test_the_same_command_again_changes_nothing(trained):
    before = (trained.workdir / "metrics.jsonl").read_text()
    again = fit(quick_config(), trained.workdir, quiet=True)
    assert same(again.params, trained.params)
    assert (trained.workdir / "metrics.jsonl").read_text() == before


@pytest.mark.slow
def test_another_seed_is_another_run(trained):
    assert not same(fit(quick_config(seed=1), quiet=True).params, trained.params)
    assert same(fit(quick_config(), quiet=True).params, trained.params)


@pytest.mark.slow
def test_a_run_is_shown_at_its_start_and_at_every_validation(trained, tmp_path):
    seen = []
    run = fit(quick_config(), tmp_path, quiet=True, observe=seen.append)
    assert [r.step for r in seen] == [0, 12, 24, 36, 48]
    assert same(run.params, trained.params)
    assert same(seen[-1].params, run.params)
    assert same(seen[1].params, fit(quick_config(num_epochs=1), quiet=True).params)
    fit(quick_config(), tmp_path, quiet=True, observe=seen.append)
    assert len(seen) == 5  # nothing is left to train, and nothing to see


@pytest.mark.slow
def test_a_loss_that_stops_being_finite_keeps_the_last_good_state(tmp_path):
    config = quick_config(optimizer="sgd(learning_rate=1e6)", likelihood="normal(scale=0.01)")
    config.data = "digits(binarize='none')"
    with pytest.raises(DivergedError) as caught:
        fit(config, tmp_path, quiet=True)
    step = int(str(caught.value).split("step ")[1].split(":")[0])
    assert any(
        term in str(caught.value) for term in ("log_likelihood is", "kl is", "gradient_norm is")
    )
    kept = load(tmp_path, "last")
    assert kept.step == step - 1
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(kept.params))


@pytest.mark.slow
def test_a_first_step_that_is_not_finite_is_not_blamed_on_the_learning_rate():
    parts = {"posterior": "student_t(df=1.0)", "prior": "student_t(df=1.0)", "objective": "dip"}
    with pytest.raises(DivergedError, match=r"step 1: .*these parts do not go together"):
        fit(quick_config(**parts), quiet=True)


@pytest.mark.slow
def test_streamed_is_the_same_run_as_on_the_device(trained):
    streamed = fit(quick_config(max_device_bytes=0, log_every_steps=5), quiet=True)
    resident = fit(quick_config(log_every_steps=5), quiet=True)
    assert same(streamed.params, resident.params)
    np.testing.assert_allclose(
        streamed.params["decoder"]["Dense_1"]["bias"],
        trained.params["decoder"]["Dense_1"]["bias"],
        rtol=1e-5,
        atol=1e-6,
    )


def test_training_compiles_its_step_once(tmp_path):
    with jax.log_compiles(), pytest.MonkeyPatch.context() as patch:
        import logging

        compiled = []
        handler = logging.Handler()
        handler.emit = lambda record: compiled.append(record.getMessage())
        patch.setattr(logging.getLogger("jax"), "handlers", [handler])
        fit(quick_config(num_epochs=6), tmp_path, quiet=True)
    steps = [m for m in compiled if "Finished XLA compilation of jit(run_seeds)" in m]
    assert len(steps) == 1


@pytest.mark.slow
def test_a_schedule_may_warm_up():
    schedule = (
        "warmup_cosine_decay_schedule(init_value=0.0, peak_value=1e-3, warmup_steps=20, "
        "decay_steps=num_steps)"
    )
    assert fit(quick_config(optimizer=f"adam(learning_rate={schedule})"), quiet=True).step == 48


@pytest.mark.slow
def test_convolutions_train_on_images_of_odd_sizes(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 7, 5, 3)).astype(np.uint8)
    np.savez(tmp_path / "colour.npz", images=images)
    config = quick_config(
        encoder="conv(channels=(4, 8))", decoder="conv(channels=(4, 8))", batch_size=20
    )
    config.data = f"npz(path={str(tmp_path / 'colour.npz')!r})"
    config.likelihood, config.num_epochs = "normal", 2
    run = fit(config, quiet=True)
    assert run.model.decode(run.params, jnp.zeros((4, 2))).mean.shape == (4, 7, 5, 3)
