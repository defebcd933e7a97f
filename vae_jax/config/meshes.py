"""The mesh of devices that a config asks for, as text."""

import re

from ml_collections import ConfigDict

from vae_jax.errors import UserError

EXAMPLE = "data=4, model=2"


def mesh_sizes(config: ConfigDict) -> tuple[int, int] | None:
    """The sizes of a mesh along `data` and `model`; None where the program chooses.

    Raises:
        UserError: for another text than `data=D, model=M`, or one that is empty.
    """
    if not config.mesh:
        return None
    sizes = re.fullmatch(r"\s*data=([1-9]\d*)\s*,\s*model=([1-9]\d*)\s*", config.mesh)
    if sizes is None:
        raise UserError(
            f"config.mesh={config.mesh}: 'data=D, model=M' with two whole numbers is needed, "
            f"such as {EXAMPLE!r}, or '' for devices that split a batch alone"
        )
    return int(sizes[1]), int(sizes[2])
