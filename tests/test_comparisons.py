import csv
import json

import numpy as np
import pytest

from vae_jax import UserError, config, default_config, directories, sweep_plots, tables
from vae_jax.comparisons import compare, numeric_leaves
from vae_jax.reports import report_many

BASE = [[-4.0, -6.0], [-5.0, -7.0]]  # two seeds, two examples
BETTER = [[-2.0, -3.0], [-3.0, -6.0]]  # differences 2, 3 and 2, 1: seeds' means 2.5 and 1.5


def make_run(folder, values, *, seconds=3.0, k=10, probability="mass", **fields):
    """A run directory as `train` and `evaluate` leave it, with made-up numbers."""
    folder.mkdir(parents=True)
    cfg = default_config()
    cfg.update(fields)
    cfg = config.resolve(cfg)
    directories.write_json(folder / "config.json", cfg.to_dict())
    lines = [{"step": 1, "epoch": 1.0, "bound": -9.0, "seconds": seconds}]
    lines += [{"step": 1, "epoch": 1.0, "validation_bound": -8.0, "validation_error": 0.1}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if values is None:
        return
    (folder / "per_example").mkdir()
    np.savez(folder / "per_example" / "test.npz", log_p=values)
    number = {"mean": float(np.mean(values)), "unit": "nats per example", "standard_error": 0.1}
    results = {"numbers": {"log_p": number}, "num_parameters": 7, "num_importance_samples": k,
               "probability": probability, "warning": None, "finished": True}  # fmt: skip
    directories.write_json(folder / "results.json", {"test": results})


@pytest.fixture
def workdir(tmp_path):
    for seed in range(2):
        make_run(tmp_path / "plain" / f"seed_{seed}", BASE[seed], seed=seed)
        made = {"prior": "mixture(components=5)", "seed": seed, "seconds": 5.0 + seed}
        make_run(tmp_path / "richer" / f"seed_{seed}", BETTER[seed], **made)
    return tmp_path


def test_the_table_of_made_up_results_is_what_hand_gives(workdir):
    found = compare(workdir, baseline="plain")
    plain, richer = found.rows
    assert found.comparisons == 1
    assert plain.remark == "baseline"
    assert plain.difference is None
    assert plain.estimate.mean == -5.5
    np.testing.assert_allclose(plain.estimate.seeds_error, 0.5)  # means -5, -6: std 0.7071 / sqrt 2
    np.testing.assert_allclose(plain.estimate.examples_error, 1.0)  # means -4.5, -6.5
    np.testing.assert_allclose(richer.difference.estimate.mean, 2.0)
    np.testing.assert_allclose(richer.difference.estimate.seeds_error, 0.5)
    half = np.tan(0.475 * np.pi) * 0.5  # t with one degree of freedom at 97.5%, 12.7062
    np.testing.assert_allclose(richer.difference.seeds_interval, (2 - half, 2 + half))
    np.testing.assert_allclose(richer.difference.estimate.examples_error, 0, atol=1e-12)
    # t = 4 with one degree of freedom: P(|T| > 4) = 1 - 2 arctan(4) / pi
    np.testing.assert_allclose(richer.difference.p_value, 1 - 2 * np.arctan(4) / np.pi)
    assert richer.seconds == 5.5
    assert richer.num_parameters == 7
    assert richer.fields == {"prior": "mixture(components=5)"}
    assert plain.fields == {"prior": "standard_normal"}


def test_every_form_of_the_table_has_the_same_numbers(workdir):
    found = compare(workdir, baseline="plain")
    for text in (tables.terminal(found), tables.markdown(found)):
        assert "-5.50 ± 0.50" in text
        assert "[-4.35, +8.35]" in text
        assert "0.156" in text
    latex = tables.latex(found)
    assert "$-5.50 \\pm 0.50$" in latex
    assert "[$-4.35$, $+8.35$]" in latex
    assert "standard\\_normal" in latex
    assert "±" not in latex
    row = list(csv.DictReader(tables.csv_rows(found).splitlines()))[1]
    assert float(row["difference"]) == 2.0
    np.testing.assert_allclose(float(row["seeds_low"]), 2 - np.tan(0.475 * np.pi) * 0.5)
    assert float(row["training_seconds"]) == 5.5
    each = list(csv.DictReader(tables.csv_runs(found).splitlines()))
    assert [float(run["log_p"]) for run in each] == [-5.0, -6.0, -2.5, -4.5]


def test_nothing_is_dropped_silently(workdir):
    """A diverged run, one that was not begun, one that was not evaluated; a setting with none."""
    made = {"prior": "mixture(components=7)"}
    for seed in range(2):
        make_run(workdir / "third" / f"seed_{seed}", [-1.0, -1.0], seed=seed, **made)
    make_run(workdir / "third" / "seed_2", None, seed=2, **made)
    directories.record_failure(workdir / "third" / "seed_2", "diverged", "step 7: kl is nan")
    make_run(workdir / "third" / "seed_3", None, seed=3, **made)
    settings = {name: {"overrides": {}, "seeds": [0, 1]} for name in ("plain", "richer")}
    settings["third"] = {"overrides": {}, "seeds": [0, 1, 2, 3, 4]}
    settings["fourth"] = {"overrides": {}, "seeds": [0]}
    directories.write_json(workdir / "sweep.json", {"settings": settings})
    found = compare(workdir)
    third, fourth = found.rows[2:]
    assert third.remark == "1 diverged, 1 unfinished, 1 not begun"
    assert (len(third.good), len(third.runs)) == (2, 5)
    assert third.difference.estimate.num_seeds == 2
    assert fourth.remark == "1 not begun, no log_p"
    text = tables.terminal(found)
    assert "2 of 5" in text
    assert "0 of 1" in text
    each = list(csv.DictReader(tables.csv_runs(found).splitlines()))
    states = {(run["name"], run["seed"]): (run["state"], run["message"]) for run in each}
    assert states["third", "2"] == ("diverged", "step 7: kl is nan")
    assert states["third", "3"] == ("unfinished", "")
    assert states["third", "4"] == states["fourth", "0"] == ("not begun", "")
    page = report_many(found, workdir)[0].read_text()
    assert "step 7: kl is nan" in page


def test_pairs_are_of_the_same_seeds(workdir):
    """A seed that only one of the two has takes no part in the difference, but in the mean."""
    make_run(workdir / "richer" / "seed_9", [50.0, 50.0], seed=9, prior="mixture(components=5)")
    richer = compare(workdir, baseline="plain").rows[1]
    assert richer.difference.estimate.mean == 2.0
    assert richer.difference.estimate.num_seeds == 2
    assert richer.estimate.num_seeds == 3
    np.testing.assert_allclose(richer.estimate.mean, (-2.5 - 4.5 + 50) / 3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data": "digits(binarize='static')"}, "other data than the baseline's"),
        ({"probability": "density"}, "a density and a probability do not compare"),
        ({"k": 20}, "evaluated with another number of draws"),
        ({"seed": 7}, "no seed in common with the baseline"),
    ],
)
def test_what_does_not_compare_is_not_compared(workdir, changes, reason):
    fields = {"latent_dim": 3, "seed": 0, **changes}
    make_run(workdir / "third" / f"seed_{fields['seed']}", [-1.0, -1.0], **fields)
    third = compare(workdir, baseline="plain").rows[2]
    assert third.difference is None
    assert third.remark.endswith(reason)
    assert compare(workdir, baseline="plain").comparisons == 1


def test_the_correction_counts_the_differences(workdir):
    for seed in range(2):
        make_run(workdir / "third" / f"seed_{seed}", [-1.0, -1.0 - seed], seed=seed, latent_dim=3)
    richer = compare(workdir, baseline="plain").rows[1]
    np.testing.assert_allclose(richer.difference.p_value, 2 * (1 - 2 * np.arctan(4) / np.pi))


def test_mistakes_are_said(workdir, tmp_path_factory):
    with pytest.raises(UserError, match="unknown setting 'plan': there is prior=mixture"):
        compare(workdir, baseline="plan")
    with pytest.raises(UserError, match="did you mean 'log_p'"):
        compare(workdir, metric="logp")
    with pytest.raises(UserError, match="holds no runs"):
        compare(tmp_path_factory.mktemp("empty"))
    make_run(workdir / "third" / "seed_0", BASE[0], latent_dim=3)
    with pytest.raises(UserError, match="is said of 2 settings"):
        compare(workdir, baseline="prior=standard_normal")
    assert compare(workdir, baseline="latent_dim=3").baseline == "third"


def test_the_numbers_in_what_varies(workdir):
    row = compare(workdir).rows[1]
    assert numeric_leaves(row) == {"prior.components": 5.0}
    mixed = {"optimizer": "adam(learning_rate=0.5, b1=0.9)", "latent_dim": "3", "data": "digits"}
    assert numeric_leaves(row._replace(fields=mixed)) == {
        "optimizer.learning_rate": 0.5, "optimizer.b1": 0.9, "latent_dim": 3.0,
    }  # fmt: skip


def test_the_figures_show_what_was_computed(workdir):
    found = compare(workdir, baseline="plain")
    left, right = sweep_plots.intervals(found, found.rows).axes
    assert [t.get_text() for t in left.get_yticklabels()] == [
        "standard_normal",
        "mixture(components=5)",
    ]
    spans = [line.get_xdata() for line in right.get_lines() if len(line.get_xdata()) == 2]
    half = np.tan(0.475 * np.pi) * 0.5
    assert any(np.allclose(span, (2 - half, 2 + half)) for span in spans)
    rows = [r._replace(fields={"a": str(i), "b": "x"}) for i, r in enumerate(found.rows)]
    image = sweep_plots.heat_map(found._replace(rows=rows), rows).axes[0].images[0]
    np.testing.assert_allclose(np.ravel(image.get_array()), [-5.5, -3.5])
    figure = sweep_plots.scatter(found, found.rows, {"components": np.array([1.0, 50.0])})
    star = next(line for line in figure.axes[0].get_lines() if line.get_marker() == "*")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (50.0, -3.5)
    assert figure.axes[0].get_xscale() == "log"


def test_learning_curves_are_means_with_their_error(workdir):
    for seed, bound in ((0, -8.0), (1, -6.0)):
        line = {"step": 2, "epoch": 2.0, "validation_bound": bound, "validation_error": 0.1}
        with (workdir / "plain" / f"seed_{seed}" / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
    axes = sweep_plots.curves(compare(workdir, baseline="plain")).axes[0]
    np.testing.assert_allclose(axes.get_lines()[0].get_ydata(), [-8.0, -7.0])
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == -8.0  # -7 ± 1: std 1.4142 over sqrt 2
    assert band[:, 1].max() == -6.0
