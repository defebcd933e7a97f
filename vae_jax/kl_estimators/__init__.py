"""Sampled estimators of KL(q || p), one a file; `types.Estimator` is the contract.

    def plain(key, q, p, num_samples):
        return mean_and_error(log_ratios(key, q, p, num_samples))

`_draws.py` has these two.
"""
