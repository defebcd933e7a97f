"""Networks, one a file: `[..., *in_shape]` to `[..., *out_shape]`. Only here is Flax imported."""
