"""`vae-jax export` and `vae-jax sample` write what they say, where they say, as often as asked."""

import re
from pathlib import Path

import numpy as np
import pytest

import vae_jax
from tests.cli.test_cli import call
from tests.quick_runs import quick_config
from vae_jax.config import resolve
from vae_jax.plots import encoded, formats, read_figure, save_figures
from vae_jax.runs.directory import write_json


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = quick_config(num_epochs=1, given="labels", latent_dim=3)
    return vae_jax.fit(config, tmp_path_factory.mktemp("exported") / "run", quiet=True)


@pytest.mark.slow
def test_arrays_are_written_and_the_step_is_told(run, capsys):
    words = ["--what=latents|samples", "--num_samples=4", "--num_examples=9", "--given=3"]
    status, out, err = call(capsys, "export", f"--workdir={run.workdir}", *words)
    assert status == 0, err
    [latents, samples] = out.splitlines()
    folder = run.workdir / "exports"
    assert latents.startswith("z_mean, z_scale, z_draw, z_kl of 9 test examples; ")
    assert f"{folder}/latents-test-first-9.npz, and 4 tables .csv" in latents
    assert f"of 4 samples; {folder}/samples-given-3.npz" in samples
    assert "best checkpoint: step 12 of 12" in err
    stored = np.load(folder / "latents-test-first-9.npz")
    again = vae_jax.latents(vae_jax.load(run.workdir), num_samples=4, num_examples=9)
    np.testing.assert_allclose(stored["z_mean"], again["z_mean"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "--what=latents|reconstructions|samples|imputations|log_p is needed"),
        (["--what=latent"], "did you mean 'latents'"),
        (["--what=samples", "--given=11"], "has no class 11"),
        (["--what=latents", "--given=3"], "latents takes no --given"),
        (["--what=latents", "--split=tets"], "did you mean 'test'"),
        (["--what=imputations"], "nothing is missing in this data"),
        (["--what=latents", "--num_samples=0"], "not a positive integer"),
    ],
)
def test_a_mistake_costs_a_line(run, capsys, words, expected):
    status, out, err = call(capsys, "export", f"--workdir={run.workdir}", *words)
    assert (status, out) == (2, "")
    assert expected in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_figures_have_the_formats_asked_for_and_sentences_follow_them(run, capsys, tmp_path):
    words = [f"--output={tmp_path / 'out'}", "--format=png,svg", "--given=3", "--num_samples=4"]
    status, out, err = call(capsys, "sample", f"--workdir={run.workdir}", *words)
    assert status == 0, err
    paths = [Path(line) for line in out.splitlines() if line.startswith("/")]
    assert {p.suffix for p in paths} == {".png", ".svg"}
    assert all(p.stat().st_size for p in paths)
    assert {"samples", "projection", "dimensions", "traversals"} <= {p.stem for p in paths}
    assert "classes" not in {p.stem for p in paths}  # one condition is asked for
    assert re.search(r"dimensions of z (carry|are used|are active)|collapsed", out)
    caption, *_ = read_figure(tmp_path / "out" / "figures" / "samples.png")
    assert "given labels=3" in caption


def test_a_figure_says_what_it_is_in_every_format(tmp_path):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([1, 2])
    figure.set_label("A caption.")
    paths = save_figures({"one": figure}, tmp_path, {"step": 3}, ("png", "pdf", "svg"))
    assert [path.name for path in paths] == ["one.png", "one.pdf", "one.svg"]
    assert read_figure(paths[0])[:2] == ("A caption.", {"step": 3})
    assert b"A caption." in paths[1].read_bytes()
    assert "A caption." in paths[2].read_text()
    assert encoded(figure, None, "svg") == encoded(figure, None, "svg")  # no date, no chance
    assert encoded(figure, None, "pdf") == encoded(figure, None, "pdf")


def test_a_format_that_there_is_not_is_named():
    assert formats("png,pdf|svg,png") == ("png", "pdf", "svg")
    with pytest.raises(vae_jax.UserError, match="unknown format 'jpg'"):
        formats("jpg")


@pytest.mark.parametrize("command", [["sample"], ["export", "--what=samples"]])
def test_a_condition_that_there_is_not_is_refused_before_the_data_is_read(
    tmp_path, capsys, command
):
    cfg = resolve(quick_config(data=f"npz(path='{tmp_path}/gone.npz')", given="ward"))
    write_json(tmp_path / "config.json", cfg.to_dict())
    given = {"name": "ward", "classes": ["A", "B"], "shares": [0.5, 0.5]}
    write_json(tmp_path / "data.json", {"splits": {}, "given": given})
    asked = [*command, f"--workdir={tmp_path}"]
    status, _, err = call(capsys, *asked, "--given=Z")
    assert (status, "'ward' has no class Z: there are A, B" in err) == (2, True)
    assert "gone.npz" in call(capsys, *asked, "--given=B")[2]
