import csv
import json

import numpy as np
import pytest

from vae_jax import UserError, config, default_config
from vae_jax.reporting import tables
from vae_jax.reporting.pages import report_many
from vae_jax.reporting.sweep_plots import _best, curves, heat_map, intervals, random_search
from vae_jax.runs import directory
from vae_jax.sweeps.compare import compare, numeric_leaves

BASE = [[-4.0, -6.0], [-5.0, -7.0]]  # two seeds, two examples
BETTER = [[-2.0, -3.0], [-3.0, -6.0]]  # differences 2, 3 and 2, 1: seeds' means 2.5 and 1.5


def make_run(folder, values, *, seconds=3.0, results=None, method="K = 10", **fields):
    """A run directory as `train` and `evaluate` leave it, with made-up numbers.

    `values` are log_p of the test split, twice that is its elbo, and ten times that log_p of the
    validation split; `results` changes what is noted with them.
    """
    folder.mkdir(parents=True)
    cfg = default_config()
    cfg.update(fields)
    cfg = config.resolve(cfg)
    directory.write_json(folder / "config.json", cfg.to_dict())
    lines = [{"step": 0, "epoch": 0.5, "bound": -9.5, "seconds": seconds - 1}]
    lines += [{"step": 1, "epoch": 1.0, "bound": -9.0, "seconds": 1.0}]
    lines += [{"step": 1, "epoch": 1.0, "validation_bound": -8.0, "validation_error": 0.1}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if values is None:
        return
    (folder / "per_example").mkdir()
    written = {}
    for split, factor in (("test", 1), ("validation", 10)):
        arrays = {"log_p": factor * np.array(values), "elbo": 2 * factor * np.array(values)}
        np.savez(folder / "per_example" / f"{split}.npz", **arrays)
        numbers = {n: {"mean": float(np.mean(v)), "unit": "nats per example", "method": method,
                       "better": "higher"}
                   for n, v in arrays.items()}  # fmt: skip
        written[split] = {
            "numbers": numbers, "num_parameters": 7, "seed": 0,
            "probability": "mass", "warning": None, "finished": True, "checkpoint": "best",
            "num_examples": len(values), **(results or {}),
        }  # fmt: skip
    directory.write_json(folder / "results.json", written)


@pytest.fixture
def workdir(tmp_path):
    for seed in range(2):
        make_run(tmp_path / "plain" / f"seed_{seed}", BASE[seed], seed=seed)
        fields = {"prior": "mixture(components=5)", "seed": seed, "seconds": 5.0 + seed}
        make_run(tmp_path / "richer" / f"seed_{seed}", BETTER[seed], **fields)
    return tmp_path


def test_the_table_of_made_up_results_is_what_hand_gives(workdir):
    comparison = compare(workdir, baseline="plain")
    plain, richer = comparison.rows
    assert comparison.comparisons == 1
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
    comparison = compare(workdir, baseline="plain")
    for text in (tables.terminal(comparison), tables.markdown(comparison)):
        assert "-5.50 ± 0.50" in text
        assert "[-4.35, +8.35]" in text
        assert "0.156" in text
    latex = tables.latex(comparison)
    assert "$-5.50 \\pm 0.50$" in latex
    assert "[$-4.35$, $+8.35$]" in latex
    assert "standard\\_normal" in latex
    assert "±" not in latex
    row = list(csv.DictReader(tables.csv_rows(comparison).splitlines()))[1]
    assert float(row["difference"]) == 2.0
    np.testing.assert_allclose(float(row["seeds_low"]), 2 - np.tan(0.475 * np.pi) * 0.5)
    assert float(row["training_seconds"]) == 5.5
    each = list(csv.DictReader(tables.csv_runs(comparison).splitlines()))
    assert [float(run["log_p"]) for run in each] == [-5.0, -6.0, -2.5, -4.5]


@pytest.mark.slow
def test_nothing_is_dropped_silently(workdir):
    """A diverged run, one that was not begun, one that was not evaluated; a setting with none."""
    fields = {"prior": "mixture(components=7)"}
    for seed in range(2):
        make_run(workdir / "third" / f"seed_{seed}", [-1.0, -1.0], seed=seed, **fields)
    make_run(workdir / "third" / "seed_2", None, seed=2, **fields)
    directory.record_failure(workdir / "third" / "seed_2", "diverged", "step 7: kl is nan")
    make_run(workdir / "third" / "seed_3", None, seed=3, **fields)
    settings = {name: {"overrides": {}, "seeds": [0, 1]} for name in ("plain", "richer")}
    settings["third"] = {"overrides": {}, "seeds": [0, 1, 2, 3, 4]}
    settings["fourth"] = {"overrides": {}, "seeds": [0]}
    directory.write_json(workdir / "sweep.json", {"settings": settings})
    comparison = compare(workdir)
    third, fourth = comparison.rows[2:]
    assert third.remark == "1 diverged, 1 unfinished, 1 not begun"
    assert (len(third.good), len(third.runs)) == (2, 5)
    assert third.difference.estimate.num_seeds == 2
    assert fourth.remark == "1 not begun, no log_p"
    text = tables.terminal(comparison)
    assert "2 of 5" in text
    assert "0 of 1" in text
    each = list(csv.DictReader(tables.csv_runs(comparison).splitlines()))
    states = {(run["name"], run["seed"]): (run["state"], run["message"]) for run in each}
    assert states["third", "2"] == ("diverged", "step 7: kl is nan")
    assert states["third", "3"] == ("unfinished", "")
    assert states["third", "4"] == states["fourth", "0"] == ("not begun", "")
    page = report_many(comparison, workdir)[0].read_text()
    assert "step 7: kl is nan" in page


def test_pairs_are_of_the_same_seeds(workdir):
    """A seed that only one of the two has takes no part in the difference, but in the mean."""
    make_run(workdir / "richer" / "seed_9", [50.0, 50.0], seed=9, prior="mixture(components=5)")
    comparison = compare(workdir, baseline="plain")
    richer = comparison.rows[1]
    assert richer.difference.estimate.mean == 2.0
    assert richer.difference.estimate.num_seeds == 2
    assert richer.estimate.num_seeds == 3
    assert richer.remark == "difference over 2 common seeds"
    np.testing.assert_allclose(richer.estimate.mean, (-2.5 - 4.5 + 50) / 3)
    row = list(csv.DictReader(tables.csv_rows(comparison).splitlines()))[1]
    assert (row["num_seeds"], row["num_pairs"]) == ("3", "2")


def test_pairs_are_by_seed_not_by_place(tmp_path):
    """Each lacks a seed in the middle that the other has."""
    for seed, value in ((0, 1.0), (1, 90.0), (3, 5.0)):
        make_run(tmp_path / "plain" / f"seed_{seed}", [value, value], seed=seed)
    for seed, value in ((0, 2.0), (2, 70.0), (3, 9.0)):
        path = tmp_path / "richer" / f"seed_{seed}"
        make_run(path, [value, value], seed=seed, latent_dim=3)
    assert compare(tmp_path).rows[1].difference.estimate.mean == 2.5  # of 1 and 4


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data": "digits(binarize='static')"}, "other data than the baseline's"),
        ({"results": {"probability": "density"}}, "a density and a probability do not compare"),
        ({"method": "K = 20"}, "evaluated otherwise than the baseline"),
        ({"results": {"seed": 1}}, "evaluated with another seed"),
        ({"results": {"checkpoint": "last"}}, "the one's best checkpoint, the other's last"),
        ({"results": {"warning": "grey"}}, "no log-likelihood: data outside the support"),
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
    with pytest.raises(UserError, match="fits 2 settings"):
        compare(workdir, baseline="prior=standard_normal")
    assert compare(workdir, baseline="latent_dim=3").baseline == "third"


@pytest.mark.parametrize(
    "text",
    [
        "richer", "prior=mixture(components=5), latent_dim=10", "prior=mixture( components = 5 )",
        "mixture(components=5)", "mixture", "mixture(components=5), latent_dim=10",
        "latent_dim=10, mixture", "prior=mix",
    ],
)  # fmt: skip
def test_a_baseline_is_named_by_what_it_alone_has(workdir, text):
    make_run(workdir / "third" / "seed_0", BASE[0], latent_dim=3)
    assert compare(workdir, baseline=text).baseline == "richer"


def test_the_numbers_in_what_varies(workdir):
    row = compare(workdir).rows[1]
    assert numeric_leaves(row) == {"prior.components": 5.0}
    mixed = {"optimizer": "adam(learning_rate=0.5, b1=0.9)", "latent_dim": "3", "data": "digits"}
    assert numeric_leaves(row._replace(fields=mixed)) == {
        "optimizer.learning_rate": 0.5, "optimizer.b1": 0.9, "latent_dim": 3.0,
    }  # fmt: skip
    assert numeric_leaves(row._replace(fields={"latent_dim": "(2, 6)"})) == {}


def test_the_figures_show_what_was_computed(workdir):
    comparison = compare(workdir, baseline="plain")
    left, right = intervals(comparison, comparison.rows).axes
    assert [t.get_text() for t in left.get_yticklabels()] == [
        "standard_normal",
        "mixture(components=5)",
    ]
    spans = [line.get_xdata() for line in right.get_lines() if len(line.get_xdata()) == 2]
    half = np.tan(0.475 * np.pi) * 0.5
    assert any(np.allclose(span, (2 - half, 2 + half)) for span in spans)
    rows = [r._replace(fields={"a": str(i), "b": "x"}) for i, r in enumerate(comparison.rows)]
    image = heat_map(comparison._replace(rows=rows), rows).axes[0].images[0]
    np.testing.assert_allclose(np.ravel(image.get_array()), [-5.5, -3.5])
    figure = random_search(comparison, comparison.rows, {"components": np.array([1.0, 50.0])})
    star = next(line for line in figure.axes[0].get_lines() if line.get_marker() == "*")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (50.0, -3.5)
    assert figure.axes[0].get_xscale() == "log"


def test_learning_curves_are_means_with_their_error(workdir):
    for seed, bound in ((0, -8.0), (1, -6.0)):
        line = {"step": 2, "epoch": 2.0, "validation_bound": bound, "validation_error": 0.1}
        with (workdir / "plain" / f"seed_{seed}" / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
    axes = curves(compare(workdir, baseline="plain")).axes[0]
    np.testing.assert_allclose(axes.get_lines()[0].get_ydata(), [-8.0, -7.0])
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == -8.0  # -7 ± 1: std 1.4142 over sqrt 2
    assert band[:, 1].max() == -6.0


def test_metric_split_and_confidence_are_those_asked_for(workdir):
    rows = {
        ("log_p", "test"): -5.5, ("elbo", "test"): -11.0,
        ("log_p", "validation"): -55.0, ("elbo", "validation"): -110.0,
    }  # fmt: skip
    for (metric, split), mean in rows.items():
        comparison = compare(workdir, split, metric, "plain")
        assert comparison.rows[0].estimate.mean == mean
        assert (
            f"{metric} in nats per example (mass) on the {split} split (K = 10)"
            in tables.legend(comparison)
        )
    comparison = compare(workdir, baseline="plain", confidence=0.8)
    half = np.tan(0.4 * np.pi) * 0.5
    np.testing.assert_allclose(comparison.rows[1].difference.seeds_interval, (2 - half, 2 + half))
    assert "[80%, seeds]" in tables.header(comparison)


@pytest.fixture
def uneven(tmp_path):
    """Errors and intervals over seeds and over examples that all differ."""
    values = {0: [-4.0, -6.0, -2.0], 1: [-5.0, -7.0, -6.0], 2: [-3.0, -8.0, -1.0]}
    gains = {0: [1.0, 2.0, 6.0], 1: [0.5, 1.0, 3.0], 2: [2.0, 2.0, 5.0]}
    for seed, base in values.items():
        make_run(tmp_path / "plain" / f"seed_{seed}", base, seed=seed)
        better = np.add(base, gains[seed])
        make_run(tmp_path / "richer" / f"seed_{seed}", better, seed=seed, latent_dim=3)
    base = np.array(list(values.values()))
    return compare(tmp_path), base, np.array(list(gains.values()))


def test_every_column_holds_what_its_header_says(uneven):
    from scipy import stats

    comparison, base, gains = uneven

    def error(means):
        return means.std(ddof=1) / 3**0.5

    row = dict(zip(tables.header(comparison), tables.cells(comparison)[1], strict=True))
    better = base + gains
    assert row["log_p ± seeds"] == f"{better.mean():.2f} ± {error(better.mean(1)):.2f}"
    assert row["± examples"] == f"{error(better.mean(0)):.2f}"
    assert row["difference"] == f"{gains.mean():+.2f}"
    for axis, name in ((1, "seeds"), (0, "examples")):
        low, high = stats.t.interval(0.95, 2, gains.mean(), error(gains.mean(axis)))
        assert row[f"[95%, {name}]"] == f"[{low:+.2f}, {high:+.2f}]"
    t = gains.mean() / error(gains.mean(1))
    assert row["p (seeds)"] == f"{2 * stats.t.sf(t, 2):.3f}"
    [_, line] = csv.DictReader(tables.csv_rows(comparison).splitlines())
    expected = {
        "mean": better.mean(), "seeds_error": error(better.mean(1)),
        "examples_error": error(better.mean(0)), "difference": gains.mean(),
        "difference_seeds_error": error(gains.mean(1)),
        "difference_examples_error": error(gains.mean(0)), "num_seeds": 3, "num_pairs": 3,
        "training_seconds": 3.0, "num_parameters": 7,
    }  # fmt: skip
    for name, value in expected.items():
        np.testing.assert_allclose(float(line[name]), value, err_msg=name)


def test_the_intervals_figure_shows_each_error_under_its_name(uneven):
    comparison, base, gains = uneven
    left, right = intervals(comparison, comparison.rows).axes
    bars = {c.get_label(): c for c in reversed(left.containers)}  # the first row's
    for name, axis in (("± std. error over examples", 0), ("mean ± std. error over seeds", 1)):
        [[low, high]] = [s[:, 0] for s in bars[name].lines[2][0].get_segments()]
        error = base.mean(axis).std(ddof=1) / 3**0.5
        np.testing.assert_allclose((high - low) / 2, error)
        np.testing.assert_allclose((high + low) / 2, base.mean())
    lines = {line.get_label(): line.get_xdata() for line in right.get_lines()}
    difference = comparison.rows[1].difference
    np.testing.assert_allclose(lines["for other seeds"], difference.seeds_interval)
    np.testing.assert_allclose(lines["for other test examples"], difference.examples_interval)
    points = [line.get_xdata()[0] for line in right.get_lines() if line.get_marker() == "o"]
    np.testing.assert_allclose(points, [gains.mean()])
    ticks = [line.get_xdata() for line in left.get_lines() if line.get_label() == "each seed"]
    np.testing.assert_allclose(ticks[0], base.mean(1))


def test_the_page_has_the_means_over_seeds(uneven, tmp_path):
    comparison, base, _ = uneven
    page = report_many(comparison, tmp_path)[0].read_text()
    assert f">{base.mean():.3f}<" in page
    assert f">{2 * base.mean():.3f}<" in page


def test_a_diverged_run_counts_for_nothing_even_if_it_was_evaluated(workdir):
    path = workdir / "richer" / "seed_2"
    make_run(path, [np.nan, -50.0], seed=2, prior="mixture(components=5)")
    directory.record_failure(path, "diverged", "step 7: kl is nan")
    richer = compare(workdir, baseline="plain").rows[1]
    assert richer.estimate.mean == -3.5
    assert richer.remark == "1 diverged"


def test_seeds_of_another_config_are_not_averaged_in(workdir):
    make_run(workdir / "plain" / "seed_2", [0.0, 0.0], seed=2, num_epochs=7)
    plain = compare(workdir, baseline="plain").rows[0]
    assert plain.estimate.mean == -5.5
    assert plain.remark == "1 of another config, baseline"


def test_test_sets_of_other_sizes_and_damaged_files_are_said(workdir):
    for seed in range(2):
        path = workdir / "third" / f"seed_{seed}"
        make_run(path, [-1.0, -1.0, -1.0], seed=seed, latent_dim=3)
    (workdir / "richer" / "seed_1" / "per_example" / "test.npz").write_bytes(b"PK")
    (workdir / "richer" / "seed_0" / "metrics.jsonl").open("a").write('{"step": 7, "ep')
    rows = compare(workdir, baseline="plain").rows
    assert rows[1].remark == "1 damaged, difference over 1 common seeds"
    assert rows[2].remark == "another test set than the baseline's"


def test_the_baseline_is_found_however_it_is_written(workdir):
    layers = "mlp(hidden=(20, 20), activation='tanh', gated=False)"
    make_run(workdir / "third" / "seed_0", BASE[0], encoder=layers, clip_norm=0.01)
    comparison = compare(workdir)
    assert set(comparison.rows[0].fields) == {"encoder", "prior", "clip_norm"}
    for text in (comparison.rows[2].label, f"encoder={layers}", "clip_norm=1e-2,prior=standard_normal",
                 "third"):  # fmt: skip
        assert compare(workdir, baseline=text).baseline == "third", text


def test_the_best_is_the_highest_or_the_lowest_as_the_number_says(workdir):
    means = np.array([-5.0, -3.0, -4.0])
    assert _best("higher", means) == 1
    assert _best("lower", means) == 0
    assert _best(None, means) is None
    assert compare(workdir).better == "higher"


def test_one_very_wide_interval_is_cut_with_an_arrow(workdir):
    for seed in range(2):
        values = np.add(BASE[seed], 1000.0 * seed)
        make_run(workdir / "third" / f"seed_{seed}", values, seed=seed, latent_dim=3)
        make_run(workdir / "fourth" / f"seed_{seed}", np.add(BASE[seed], 1 + seed / 9), seed=seed,
                 latent_dim=4)  # fmt: skip
    comparison = compare(workdir, baseline="plain")
    right = intervals(comparison, comparison.rows).axes[1]
    assert right.get_xlim()[1] < 5000
    assert {line.get_marker() for line in right.get_lines()} >= {"<", ">"}


def test_curves_are_of_the_same_epochs_and_of_runs_that_are_done(workdir):
    path = workdir / "plain" / "seed_2"
    make_run(path, None, seed=2)
    (path / "metrics.jsonl").write_text('{"step": 1, "epoch": 0.1, "bound": -500.0}\n')
    directory.record_failure(path, "diverged", "step 2")
    with (workdir / "plain" / "seed_0" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "epoch": 0.75, "validation_bound": -7.0}\n')
    axes = curves(compare(workdir, baseline="plain")).axes[0]
    [line] = [x for x in axes.get_lines() if x.get_label() == "standard_normal"]
    np.testing.assert_allclose(line.get_xdata(), [1.0])
    np.testing.assert_allclose(line.get_ydata(), [-8.0])
    assert "held-out" in axes.get_ylabel()
    assert axes.get_ylim()[0] < -8.0


@pytest.mark.parametrize("of_baseline", [True, False])
def test_a_density_of_few_values_is_marked_and_compares_with_nothing(tmp_path, of_baseline):
    doubt = {"few_values": "x takes 2 values only", "in_support": True, "probability": "density"}
    make_run(tmp_path / "plain" / "seed_0", BASE[0], results=doubt if of_baseline else None)
    make_run(tmp_path / "richer" / "seed_0", BASE[0], results=doubt, latent_dim=3)
    comparison = compare(tmp_path, baseline="plain")
    richer = comparison.rows[1]
    assert richer.difference is None
    assert richer.remark == "a density of data that takes few values, not compared"
    text = tables.terminal(comparison)
    unit = "(density)" if of_baseline else "(density or mass)"
    assert f"log_p in nats per example {unit}" in text
    kinds = [row["kind"] for row in csv.DictReader(tables.csv_rows(comparison).splitlines())]
    assert kinds == ["density" if of_baseline else "mass", "density"]
    left, _ = intervals(comparison, comparison.rows).axes
    assert unit in left.get_xlabel()


def test_one_point_of_a_curve_is_seen(workdir):
    lines = curves(compare(workdir, baseline="plain")).axes[0].get_lines()
    assert [len(line.get_xdata()) for line in lines] == [1, 1]
    assert all(line.get_marker() not in ("", "None") for line in lines)
