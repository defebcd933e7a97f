import os

# Thousands of programs are compiled to run once, on little data: so in 0.4 of the time that the
# defaults of the compiler take.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_parallel_codegen_split_count=1 --xla_cpu_use_fusion_emitters=false",
)

import jax
import numpy as np
import pytest
from jaxtyping import install_import_hook

from tests import typechecking

CHECKED = (
    *("networks", "posteriors", "likelihoods", "priors", "objectives", "kl_estimators"),
    *("estimators", "model", "weights"),
)
# Shapes and dtypes of the families' signatures are checked in every call that a test makes.
checker = f"{typechecking.__name__}.typechecked"
install_import_hook([f"vae_jax.{name}" for name in CHECKED], checker)

from vae_jax import build_model, caches  # noqa: E402


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory, worker_id):
    """One cache for all processes of the session, empty at its start."""
    base = tmp_path_factory.getbasetemp()
    folder = base if worker_id == "master" else base.parent
    os.environ["VAE_JAX_CACHE"] = str(folder / "cache")
    caches.keep_compiled_programs()


@pytest.fixture(scope="session")
def bits():
    """Twelve examples of 5 bits, as images [1, 5, 1]."""
    rng = np.random.default_rng(0)
    return (rng.uniform(size=(12, 1, 5, 1)) < 0.4).astype(np.float32)


@pytest.fixture(scope="session")
def small(bits):
    """A Bernoulli model with a latent plane, and parameters with which the latent matters.

    The posteriors are as wide as the prior, so that importance weights are bounded.
    """
    model = build_model((1, 5, 1), 2, encoder="mlp(hidden=(8,))", decoder="mlp(hidden=(8,))")
    params = model.init(jax.random.key(1), bits)
    noise = jax.random.normal(jax.random.key(2), (1000,))
    params["decoder"] = jax.tree.map(
        lambda x: 1.5 * x + 0.5 * noise[: x.size].reshape(x.shape), params["decoder"]
    )
    params["encoder"] = jax.tree.map(lambda x: 0.3 * x, params["encoder"])
    return model, params


@pytest.fixture(scope="session")
def linear():
    """A linear-Gaussian model of 4 numbers with a latent plane, its parameters and 6 examples."""
    model = build_model(
        (4,), 2, encoder="linear", decoder="linear", likelihood="normal(scale='learned')"
    )
    x = jax.random.normal(jax.random.key(0), (6, 4))
    params = model.init(jax.random.key(1), x)
    params["decoder"] = jax.tree.map(lambda w: w + 0.3, params["decoder"])
    return model, params, x
