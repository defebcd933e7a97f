"""Estimators of log p(x), of the KL, of what the latents do, one a file; evaluation runs a list.

A file holds a function that makes an `Estimator` and says what its numbers are:

    def mean_of_x(*, power: float = 1.0) -> Estimator:
        quantities = {"mean_of_x": Quantity("units of x", f"mean of x^{power:g}")}
        return Estimator(lambda model, params, keys, batch: {"mean_of_x": ...}, quantities)
"""
