"""Parts that cannot work together are refused before training, and doubts are logged."""

import pytest

from tests.quick_runs import quick_config
from vae_jax import UserError, fit


def test_tails_that_make_the_kl_infinite_are_refused(tmp_path):
    """Student's t of df <= 2 has no second moment, which a normal prior's log density needs."""
    config = quick_config(posterior="student_t(df=2.0)")
    with pytest.raises(UserError, match="is infinite"):
        fit(config, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_many_more_levels_than_the_data_has_are_said(caplog):
    for count, warned in ((16, False), (255, True)):
        caplog.clear()
        config = quick_config(data="digits(binarize='none', values='levels')", num_epochs=1)
        config.likelihood = f"binomial(total_count={count})"
        fit(config, quiet=True)
        assert ("levels reach 16" in caplog.text) == warned
