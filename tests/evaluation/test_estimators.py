"""Estimators as a family: each keeps its contract, and one from elsewhere is found everywhere."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.distributions import Normal

from tests.by_hand import run_of, with_parts
from vae_jax import UserError, build_model, evaluate
from vae_jax.cli.main import main
from vae_jax.config import components
from vae_jax.datasets import make_dataset
from vae_jax.evaluation.asked import asked_estimators
from vae_jax.runs.facts import find_facts
from vae_jax.runs.results import read_results, save_results
from vae_jax.types import Estimator

DIGITS = Path(__file__).parents[2] / "experiments" / "digits.py"
OWN = '''
import jax.numpy as jnp

from vae_jax.errors import UserError
from vae_jax.types import Estimator, Quantity


def ink(*, power: float = 1.0) -> Estimator:
    """The sum of x^power."""

    def of_examples(model, params, keys, batch):
        total = (batch.x**power).reshape(len(batch.x), -1).sum(1)
        return {"ink": total, "_pixels": batch.x}

    def require(facts):
        if len(facts.x_shape) != 3:
            raise UserError("ink is of images")

    quantity = Quantity("pixels", f"sum of x^{power:g}", better="lower")
    return Estimator(of_examples, {"ink": quantity}, require)
'''


OF_LATENTS = '''
from typing import Annotated

from numpyro.distributions import constraints

from vae_jax.types import Estimator, Number, Quantity


def active(*, least: Annotated[float, constraints.positive] = 0.01) -> Estimator:
    """The number of latent dimensions in which the variance of E[z|x] over examples exceeds `least`."""

    def of_examples(model, params, keys, batch):
        return {"posterior_mean": model.encode(params, batch).mean}

    def summary(values):
        variance = values["posterior_mean"].var(0)
        return {"active": Number(float((variance > least).sum()), None, len(values["posterior_mean"]))}

    return Estimator(of_examples, {"active": Quantity("dimensions", "Var E[z|x]")}, summary=summary)
'''


@pytest.fixture(scope="module")
def linear_run():
    """A linear-Gaussian model of 3 numbers with a latent plane: every estimator is possible."""
    x = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    options = {"encoder": "linear", "decoder": "linear", "likelihood": "normal(scale=0.9)"}
    model = build_model((3,), 2, **options)
    params = model.init(jax.random.key(0), x)
    params["encoder"] = jax.tree.map(lambda w: 0.3 * w, params["encoder"])  # wide: bounded weights
    density = Normal(jnp.zeros(3), 1.0).to_event(1)
    labels = {"test": np.arange(12) % 2}
    dataset = make_dataset({"train": x, "test": x}, labels=labels, log_prob=density.log_prob)
    return run_of(model, dataset, params)


OF_BITS = ("imputation_errors", "imputation_nats")  # tests/estimators/test_imputation.py
OF_CLASSES = ("bayes",)  # tests/conditions


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in components.names("estimators") if n not in OF_CLASSES])
def test_every_estimator_gives_the_numbers_that_it_declares(name, linear_run):
    estimator = components.build("estimators", name)()
    assert isinstance(estimator, Estimator)
    results = evaluate(linear_run, estimators=name, quiet=True)
    resolved = components.resolve("estimators", name)
    assert resolved in results["estimators"]
    for quantity in [q for q in estimator.quantities if not q.startswith(OF_BITS)]:
        number = results["numbers"][quantity]
        assert number["n"] == 12
        if (values := results["per_example"].get(quantity)) is not None:  # not of all together
            assert number["standard_error"] >= 0
            assert values.shape == (12,)
            np.testing.assert_allclose(number["mean"], values.mean())
    assert not any(n.startswith("_") for n in results["per_example"])
    json.dumps(results["numbers"])


def test_estimators_of_log_p_agree(linear_run):
    texts = "importance(num_samples=4000)|quadrature(points=400, margin=3.0)|exact"
    numbers = evaluate(linear_run, estimators=texts, quiet=True)["numbers"]
    exact = numbers["log_p_exact"]["mean"]
    assert abs(numbers["log_p_quadrature"]["mean"] - exact) < 1e-3
    assert abs(numbers["log_p"]["mean"] - exact) < 5 * numbers["log_p"]["monte_carlo_error"] + 1e-5


@pytest.mark.slow
def test_the_parts_of_surgery_sum_to_the_sampled_kl(linear_run):
    results = evaluate(linear_run, estimators="surgery(num_samples=400)|closed_form_kl", quiet=True)
    values, numbers = results["per_example"], results["numbers"]
    parts = values["mutual_information"] + values["marginal_kl"]
    np.testing.assert_allclose(parts, values["mean_kl"], rtol=1e-4, atol=1e-5)
    error = numbers["mean_kl"]["monte_carlo_error"]
    assert abs(numbers["mean_kl"]["mean"] - numbers["kl"]["mean"]) < 5 * error
    assert numbers["mutual_information"]["mean"] < np.log(12)


@pytest.mark.slow
def test_the_numbers_of_one_estimator_do_not_depend_on_the_others(linear_run):
    alone = evaluate(linear_run, estimators="importance(num_samples=20)", quiet=True)
    among = evaluate(
        linear_run, estimators="surgery|importance(num_samples=20)|quadrature", quiet=True
    )
    for name, values in alone["per_example"].items():
        np.testing.assert_allclose(among["per_example"][name], values, rtol=1e-5, atol=1e-6)


def test_short_forms_are_the_estimators_they_stand_for():
    assert asked_estimators() == asked_estimators("importance")
    short = asked_estimators(None, 70, (1, 7), 30)
    assert short == asked_estimators(
        "importance(iwae_samples=(1, 7), num_samples=70) | quadrature(points=30)"
    )
    with pytest.raises(UserError, match=r"write importance\(num_samples=70\) among them"):
        asked_estimators("exact", 70)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("importanc", "did you mean 'importance'"),
        ("importance(num_sample=3)", "did you mean 'num_samples'"),
        ("importance(num_samples=3)|importance(num_samples=4)", "both give"),
        ("quadrature(points=1)", "points=1"),
        ("importance,exact", "separated by |"),
        ("ais(", "cannot read"),
    ],
)
def test_what_cannot_be_read_or_does_not_go_together_is_refused(text, expected, linear_run):
    with pytest.raises(UserError) as caught:
        evaluate(linear_run, estimators=text, quiet=True)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "parts", "expected"),
    [
        ("exact", {}, "normal decoder"),
        ("exact", {"prior": "mixture"}, "normal prior"),
        ("closed_form_kl", {"prior": "mixture"}, "no closed form"),
        ("quadrature", {"latent_dim": 3}, "1 or 2 latent dimensions"),
    ],
)
def test_an_estimator_refuses_by_shapes_alone(name, parts, expected):
    """As before a sweep, when there are no parameters yet."""
    options = {"encoder": "linear", "decoder": "linear", "latent_dim": 2} | parts
    model = build_model((3,), **options)
    params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((4, 3)))
    facts = find_facts(model, params, (3,))
    assert not facts.are_known
    with pytest.raises(UserError, match=expected):
        components.build("estimators", name)().require(facts)


def test_the_exact_estimator_sees_that_a_decoder_is_not_affine(linear_run):
    model = build_model((3,), 2, decoder="mlp(hidden=(5,))", likelihood="normal")
    params = model.init(jax.random.key(0), np.zeros((4, 3), np.float32))
    with pytest.raises(UserError, match="affine"):
        components.build("estimators", "exact")().require(find_facts(model, params, (3,)))


@pytest.mark.parametrize(
    "likelihood", [name for name in components.names("likelihoods") if name != "inverted"]
)
def test_facts_are_those_of_the_distributions_themselves(likelihood):
    model = build_model((2, 2, 1), 3, encoder="linear", decoder="linear", likelihood=likelihood)
    x = np.zeros((4, 2, 2, 1), np.float32)
    params = model.init(jax.random.key(0), x)
    facts = find_facts(model, params, (2, 2, 1))
    p = model.decode(params, jnp.zeros(3))
    assert type(facts.likelihood) is type(p)
    assert facts.likelihood.event_shape == p.event_shape
    assert facts.likelihood.support.is_discrete == p.support.is_discrete
    assert facts.has_closed_form


def call(capsys, *arguments):
    status = main(["vae-jax", *map(str, arguments)])
    return status, *capsys.readouterr()


@pytest.mark.slow
def test_an_estimator_of_ones_own_is_in_results_tables_sweeps_and_reports(
    tmp_path, monkeypatch, capsys
):
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "ink.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    arguments = [
        f"--config={DIGITS}:quick", "--config.num_epochs=1", "--config.encoder=mlp(hidden=(4,))",
        "--config.decoder=mlp(hidden=(4,))", "--grid=latent_dim=1|2", "--num_seeds=2",
        "--estimators=importance(num_samples=4)|my_lab.ink(power=2.0)", f"--workdir={tmp_path}/s",
    ]  # fmt: skip
    status, out, err = call(capsys, "sweep", *arguments)
    assert status == 0, err
    run = tmp_path / "s" / "latent_dim=1" / "seed_0"
    number = json.loads((run / "results.json").read_text())["test"]["numbers"]["ink"]
    ink = np.load(run / "per_example" / "test.npz")["ink"]
    assert number["mean"] == pytest.approx(ink.mean())
    assert number["standard_error"] == pytest.approx(ink.std(ddof=1) / np.sqrt(359))
    assert (number["unit"], number["method"], number["better"]) == ("pixels", "sum of x^2", "lower")
    assert number["estimator"] == "my_lab.ink(power=2.0)"
    status, out, _ = call(capsys, "sweep", *arguments, "--dry_run")
    assert "4 of them done before" in out
    status, out, _ = call(capsys, "report", f"--workdir={tmp_path}/s", "--metric=ink")
    assert status == 0
    assert "ink ± seeds" in out
    assert f"{ink.mean():.2f}" in out
    assert "ink" in (tmp_path / "s" / "report.html").read_text()
    status, out, _ = call(
        capsys, "evaluate", f"--workdir={run}", "--estimators=my_lab.ink", "--split=train"
    )
    assert "sum of x^1" in out
    assert call(capsys, "report", f"--workdir={run}")[0] == 0
    assert "sum of x^1" in (run / "report.html").read_text()


@pytest.mark.slow
def test_a_summary_makes_one_number_of_arrays_of_all_examples(tmp_path, monkeypatch, capsys):
    """As of latent dimensions: it has no value for each example, and seeds alone give it an error."""
    (tmp_path / "our_lab").mkdir()
    (tmp_path / "our_lab" / "active.py").write_text(OF_LATENTS)
    monkeypatch.syspath_prepend(tmp_path)
    arguments = [
        f"--config={DIGITS}:quick", "--config.num_epochs=1", "--config.encoder=linear",
        "--config.decoder=linear", "--grid=latent_dim=1|2", "--num_seeds=2",
        "--estimators=our_lab.active(least=1e-9)", f"--workdir={tmp_path}/s",
    ]  # fmt: skip
    status, _, err = call(capsys, "sweep", *arguments)
    assert status == 0, err
    run = tmp_path / "s" / "latent_dim=2" / "seed_0"
    number = json.loads((run / "results.json").read_text())["test"]["numbers"]["active"]
    assert (number["mean"], number["standard_error"], number["n"]) == (2.0, None, 359)
    with np.load(run / "per_example" / "test.npz") as stored:
        assert stored["posterior_mean"].shape == (359, 2)
    status, out, err = call(capsys, "report", f"--workdir={tmp_path}/s", "--metric=active")
    assert status == 0, err
    assert "2.00 ± 0.00" in out
    assert "+1.00" in out


def test_an_estimator_refuses_before_anything_is_trained(tmp_path, monkeypatch, capsys):
    (tmp_path / "their_lab").mkdir()
    (tmp_path / "their_lab" / "ink.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    arguments = [
        "--config.data=linear_gaussian", "--config.likelihood=normal", "--config.objective=elbo",
        "--grid=latent_dim=1|2", "--estimators=their_lab.ink", f"--workdir={tmp_path}/s",
    ]  # fmt: skip
    status, _, err = call(capsys, "sweep", f"--config={DIGITS}:quick", *arguments)
    assert status == 2
    assert "ink is of images" in err
    assert not list((tmp_path / "s").glob("*/seed_*"))


@pytest.mark.slow
def test_another_estimator_adds_its_numbers_and_the_same_one_replaces_them(linear_run, tmp_path):
    def stored(text, seed=0):
        results = evaluate(linear_run, estimators=text, seed=seed, quiet=True)
        save_results(tmp_path, "test", results)
        saved = read_results(tmp_path)["test"]
        with np.load(tmp_path / "per_example" / "test.npz") as arrays:
            assert saved["numbers"].keys() - set(arrays) <= {"mmd_prior", "mmd_prior_p"}
            for name, number in ((n, of) for n, of in saved["numbers"].items() if n in arrays):
                assert number["mean"] == pytest.approx(arrays[name].mean()), name
        return saved

    first = stored("importance(num_samples=20)")
    both = stored("surgery")
    assert both["numbers"].keys() == first["numbers"].keys() | {
        "mean_kl", "mutual_information", "marginal_kl", "total_correlation", "dimension_kl",
        "mmd_prior", "mmd_prior_p",
    }  # fmt: skip
    assert both["numbers"]["log_p"] == first["numbers"]["log_p"]
    assert set(first["estimators"]) < set(both["estimators"])
    fewer = stored("importance(num_samples=10)")
    assert not any("num_samples=20" in text for text in fewer["estimators"])
    assert "iwae_5" in fewer["numbers"]
    assert fewer["numbers"]["mean_kl"] == both["numbers"]["mean_kl"]
    other_draws = stored("quadrature", seed=1)
    assert "log_p" not in other_draws["numbers"]


def test_numbers_of_other_data_or_parameters_do_not_mix(linear_run, tmp_path):
    x = linear_run.dataset.splits["test"]
    other_data = make_dataset({"train": x, "test": x + np.float32(0.1)})
    others = [
        with_parts(linear_run, dataset=other_data),
        linear_run._replace(params=jax.tree.map(lambda leaf: 0.9 * leaf, linear_run.params)),
    ]
    for other in others:
        options = {"estimators": "importance(num_samples=3)", "quiet": True}
        save_results(tmp_path, "test", evaluate(linear_run, **options))
        save_results(tmp_path, "test", evaluate(other, estimators="surgery", quiet=True))
        assert "log_p" not in read_results(tmp_path)["test"]["numbers"]


BROKEN = {
    "scalar": ('{"scalar": batch.x.sum()}', "shape (), and [12, ...] is needed"),
    "clash": ('{"clash": batch.x[:, 0], "log_p_error": batch.x[:, 1]}', "log_p_error too"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_estimator_that_breaks_its_contract_costs_one_line(
    name, linear_run, tmp_path, monkeypatch
):
    values, expected = BROKEN[name]
    (tmp_path / f"{name}_of_x.py").write_text(
        "from vae_jax.types import Estimator, Quantity\n"
        f"def {name}_of_x() -> Estimator:\n"
        f"    return Estimator(lambda model, params, keys, batch: {values},\n"
        f"                     {{'{name}': Quantity('x', 'y')}})\n"
    )
    (tmp_path / "labs").mkdir()
    (tmp_path / f"{name}_of_x.py").rename(tmp_path / "labs" / f"{name}_of_x.py")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError) as caught:
        evaluate(linear_run, estimators=f"importance(num_samples=2)|labs.{name}_of_x", quiet=True)
    assert f"labs.{name}_of_x: " in str(caught.value)
    assert expected in str(caught.value)
