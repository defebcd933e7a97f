"""Mistakes in a sweep, each in one line, before anything runs."""

import pytest

from tests.cli.test_cli import call
from tests.sweeps.commands import arguments


@pytest.mark.slow
def test_every_faulty_setting_is_said_before_anything_runs(capsys, tmp_path):
    grid = ["--grid=prior=standard_normal|mixtur|mixture(components='two')",
            "--grid=objective=elbo|elbo(kl='closed_form')|elbo(free_bits=-1.0)",
            "--grid=latent_dim=2|zwei"]  # fmt: skip
    status, out, err = call(capsys, *arguments(tmp_path, grid=grid))
    assert status == 2
    assert out == ""
    assert not list(tmp_path.iterdir())
    lines = err.splitlines()
    assert lines[0] == "vae-jax: 16 of 18 settings cannot work:"
    for expected in ("did you mean 'mixture'", "not of type int", "0 or more is needed",
                     "config.latent_dim='zwei'"):  # fmt: skip
        assert sum(expected in line for line in lines) >= 1, expected
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_pair_without_a_closed_form_is_found_before_anything_runs(capsys, tmp_path):
    grid = ["--grid=prior=standard_normal|mixture", "--grid=objective=elbo(kl='closed_form')"]
    status, _, err = call(capsys, *arguments(tmp_path, grid=grid))
    assert status == 2
    assert err.splitlines()[0] == "vae-jax: 1 of 2 settings cannot work:"
    assert "has no closed form" in err
    assert "[prior=mixture, objective=elbo(kl='closed_form')]" in err


MISTAKES = [
    (["--grid=piror=mixture"], "did you mean 'prior'"),
    (["--grid=prior"], "write field=value|value"),
    (["--grid=seed=0|1"], "seeds have --num_seeds"),
    (["--grid=latent_dim=2|3", "--grid=batch_size=50", "--zip"], "need as many values each"),
    (["--grid=latent_dim=integers(2, 4)"], "--random=N"),
    (["--split=tets"], "did you mean 'test'"),
    (["--num_seeds=0"], "not a positive integer"),
    (["--workdir=/proc/nowhere/sweep"], "cannot be written"),
    (["--grid=data=npz(path='nowhere.npz')"], "no such file"),
    (["--quadrature_points=50", "--config.latent_dim=3"], "for 1 or 2 latent dimensions"),
    (["--iwae_samples=50"], "50"),
    (["--grid=optimizer=polyak_sgd"], "missing"),
    (["--config.seeds_at_once=2", "--config.max_device_bytes=0"], "one seed at a time"),
    (["--grid=latent_dim=2,3"], "separated by |"),
    (["--grid=data=two_moons", "--grid=likelihood=normal", "--grid=encoder=conv"], "needs images"),
]


@pytest.mark.parametrize(("more", "expected"), MISTAKES, ids=lambda v: str(v)[-40:])
def test_mistakes_are_said(capsys, tmp_path, more, expected):
    given = {word.partition("=")[0] for word in more}  # in place of the usual ones
    usual = arguments(tmp_path, grid=[], seeds=1)
    words = [word for word in usual if word.partition("=")[0] not in given]
    status, _, err = call(capsys, *words, *more)
    assert status == 2, err
    assert expected in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_a_single_run_is_no_place_for_a_sweep(capsys, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    status, _, err = call(capsys, *arguments(tmp_path))
    assert status == 2
    assert "holds a single run" in err
