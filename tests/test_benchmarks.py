"""Benchmarks run: all contestants whose library is here compute our loss and our log p(x)."""

import numpy as np
import pytest

from benchmarks import accelerator, evaluation, training
from benchmarks.contestants import jitted_loop, numpyro_svi, ours
from benchmarks.settings import Setting, an_example
from benchmarks.training import MNIST


@pytest.mark.slow
def test_losses_agree_on_the_same_weights():
    setting = Setting(MNIST, 5, 1)
    keys, x, noise = an_example(setting)
    expected = ours.loss(setting, x, keys, noise)
    for one in (jitted_loop, numpyro_svi):
        np.testing.assert_allclose(one.loss(setting, x, keys, noise), expected, rtol=1e-5)
        assert abs(one.loss(setting, x, keys, noise + 1) / expected - 1) > 1e-5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch and pythae, which are older than each other likes
def test_tables_are_printed(capsys):
    for benchmark in (training, evaluation, accelerator):
        benchmark.main(is_quick=True)
    printed = capsys.readouterr().out
    assert printed.count("| ours |") == 3
    assert printed.count("products alone, XLA") == 3
    assert "8 seeds, bfloat16" in printed
