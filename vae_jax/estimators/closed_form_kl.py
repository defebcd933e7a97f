from vae_jax.divergences import closed_form_kl as kl_in_closed_form
from vae_jax.divergences import describe
from vae_jax.errors import UserError
from vae_jax.types import NATS, Array, Batch, Estimator, Facts, Model, Params, Quantity

KL = Quantity(NATS, "KL(q(z|x) || p(z)), closed form")


def closed_form_kl() -> Estimator:
    """KL(q(z|x) || p(z)) of each example in closed form, without a draw; `kl`.

    The prior matching term of the ELBO (Kingma & Welling 2014, appendix B). It is refused for a
    pair of distributions without a closed form.
    """

    def of_examples(model: Model, params: Params, keys: Array, batch: Batch) -> dict[str, Array]:
        q, p = model.encode(params, batch), model.prior(params, *batch.conditions)
        kl = kl_in_closed_form(q, p)
        return {} if kl is None else {"kl": kl}

    return Estimator(of_examples, {"kl": KL}, _require)


def _require(facts: Facts) -> None:
    if not facts.has_closed_form:
        pair = f"KL({describe(facts.posterior)} || {describe(facts.prior)})"
        raise UserError(f"{pair} has no closed form: importance samples it")
