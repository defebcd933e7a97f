"""A run directory holds one run, of one config, by one process at a time."""

import pytest

from tests.quick_runs import quick_config
from vae_jax import UserError, config, fit, fit_seeds, load
from vae_jax.runs import claims, directory


def test_a_workdir_of_another_config_is_refused(trained):
    with pytest.raises(UserError, match="latent_dim: 2 -> 3"):
        fit(quick_config(latent_dim=3), trained.workdir, quiet=True)


def test_two_processes_do_not_train_in_one_directory(tmp_path, monkeypatch):
    monkeypatch.setattr(directory, "LOCK_SECONDS", 0.1)
    with directory.locked(tmp_path), pytest.raises(UserError, match="another process is at work"):
        fit(quick_config(), tmp_path, quiet=True)


@pytest.mark.slow
def test_a_run_directory_is_no_place_for_a_run_of_another_config_or_for_many(tmp_path):
    fit_seeds(quick_config(num_seeds=2, num_epochs=1), tmp_path, quiet=True)
    with pytest.raises(UserError, match="holds many runs"):
        fit(quick_config(), tmp_path, quiet=True)
    with pytest.raises(UserError, match="latent_dim: 2 -> 3"):
        fit_seeds(quick_config(seed=2, num_seeds=2, latent_dim=3), tmp_path, quiet=True)
    with pytest.raises(UserError, match="holds many settings"):
        fit_seeds(quick_config(num_seeds=2), tmp_path.parent, quiet=True)
    with pytest.raises(UserError, match=r"holds many runs: name one, such as .*seed_0"):
        load(tmp_path)


def test_what_another_process_began_meanwhile_is_not_taken_over(tmp_path):
    """The check is made again once the directory is held, before anything is written."""
    one, another = (config.resolve(quick_config(latent_dim=size)) for size in (2, 3))
    with claims.claimed(tmp_path, one):
        pass
    before = (tmp_path / "config.json").read_text()
    other = claims.claimed(tmp_path, another)
    with pytest.raises(UserError, match="latent_dim: 2 -> 3"), other:
        pass
    assert (tmp_path / "config.json").read_text() == before
