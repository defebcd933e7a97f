"""Which estimators an evaluation was asked for: strings, and the short forms of the usual ones."""

from collections.abc import Sequence

from vae_jax.config import components
from vae_jax.config.calls import Call, alternatives
from vae_jax.errors import UserError

WHERE_POSSIBLE = ("closed_form_kl", "exact")  # computed unasked, where a model permits


def asked_estimators(
    estimators: str | Sequence[str] | None = None,
    num_importance_samples: int | None = None,
    iwae_samples: tuple[int, ...] | None = None,
    quadrature_points: int | None = None,
) -> tuple[str, ...]:
    """The estimators by name, their defaults filled in, each once.

    Args:
        estimators: `"importance(num_samples=5000)|quadrature(points=300)"`, or a list of such.
        num_importance_samples: K of `importance`, which is there unless `estimators` are given.
        iwae_samples: likewise.
        quadrature_points: `points` of `quadrature`; None or 0: there is none.

    Raises:
        UserError: for an unknown estimator or argument, or `estimators` beside short forms.
    """
    short = {"num_samples": num_importance_samples, "iwae_samples": iwae_samples}
    options = {name: value for name, value in short.items() if value is not None}
    if estimators is None:
        estimators = [str(Call("importance", options))]
        if quadrature_points:
            estimators.append(str(Call("quadrature", {"points": quadrature_points})))
    elif options or quadrature_points:
        calls = [Call("importance", options)] if options else []
        calls += [Call("quadrature", {"points": quadrature_points})] if quadrature_points else []
        short_for = "|".join(map(str, calls))
        raise UserError(f"estimators are given: write {short_for} among them, in place of flags")
    texts = alternatives(estimators) if isinstance(estimators, str) else estimators
    return tuple(dict.fromkeys(components.resolve("estimators", text) for text in texts))
