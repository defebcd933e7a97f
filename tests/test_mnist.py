import os
from pathlib import Path

import numpy as np
import pytest

from vae_jax import default_config, evaluate, fit

MNIST = Path(os.environ.get("TFDS_DATA_DIR", "nowhere")) / "mnist"


@pytest.mark.slow
@pytest.mark.skipif(not MNIST.exists(), reason="no MNIST in TFDS_DATA_DIR")
@pytest.mark.filterwarnings("ignore")
def test_fifty_epochs_on_mnist_reach_what_a_prototype_reached():
    """Another program, this architecture, Adam at 1e-3, 50 epochs: ELBO -98.4 and log p(x) -92.8.

    Those are over 1,000 test images, so with a standard error of about 0.77.
    """
    config = default_config()
    config.data, config.latent_dim, config.num_epochs = "mnist", 50, 50
    config.encoder = config.decoder = "mlp(hidden=(200, 200))"
    config.eval_every_epochs = 10.0
    run = fit(config, quiet=True)
    numbers = evaluate(run, num_importance_samples=1000, quiet=True)["numbers"]
    for name, expected in (("elbo", -98.4), ("log_p", -92.8)):
        error = np.hypot(0.77, numbers[name]["standard_error"])
        assert abs(numbers[name]["mean"] - expected) < 3 * error
    difference = numbers["kl_sampled_minus_kl"]
    assert abs(difference["mean"]) < 5 * difference["standard_error"]
