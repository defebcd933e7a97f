"""Components that need a module which is not always there: an extra of this package installs it."""

import functools
import importlib.util
from collections.abc import Callable
from typing import Any, TypeVar, cast

from vae_jax.errors import UserError

Function = TypeVar("Function", bound=Callable[..., Any])


def needs(module: str, extra: str) -> Callable[[Function], Function]:
    """The mark of a component that needs a module, which an extra of this package installs."""

    def marked(function: Function) -> Function:
        @functools.wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            require_installed(checked)
            return function(*args, **kwargs)

        checked.needs = module, extra  # type: ignore[attr-defined]
        return cast(Function, checked)

    return marked


def require_installed(component: Callable[..., Any]) -> None:
    """Raises UserError for a component whose module is missing, saying how to install it."""
    module, extra = getattr(component, "needs", ("sys", ""))
    if importlib.util.find_spec(module) is None:
        advice = f"pip install 'vae-jax[{extra}]'"
        raise UserError(f"{module} is not installed here, which it needs: {advice}")
