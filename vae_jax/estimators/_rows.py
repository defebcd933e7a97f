import jax

ROWS = {"cpu": 2000}  # what a core's cache holds
ROWS_ELSEWHERE = 2**16


def decoded_rows() -> int:
    """How many z a decoder is given at a time: speed and memory, not results."""
    device = jax.config.jax_default_device  # type: ignore[attr-defined]
    platform = getattr(device, "platform", None) or jax.default_backend()
    return ROWS.get(platform, ROWS_ELSEWHERE)
