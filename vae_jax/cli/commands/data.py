from vae_jax.cli.flags import Args, Flags
from vae_jax.errors import UserError
from vae_jax.progress import begin

TAKES_WORDS = True


def flags(flags: Flags) -> None:
    """Declares none."""


def run(args: Args) -> None:
    """`data list`: data sets and where they are; `data prepare NAME`: make one, with TensorFlow.

    Examples:
        vae-jax data list
        vae-jax data prepare mnist
    """
    begin(f"data {' '.join(args.words)}")

    from vae_jax.config import components
    from vae_jax.datasets import tfds

    match args.words:
        case ["list"]:
            print("data sets (vae-jax list datasets says more):", *components.names("datasets"))
            print(f"prepared with TFDS, in {tfds.data_dir()}:", *tfds.prepared() or ["none yet"])
            print("others of TFDS: vae-jax data prepare NAME; elsewhere: set TFDS_DATA_DIR")
        case ["prepare", name]:
            print(tfds.prepare(name))
        case _:
            raise UserError("say `vae-jax data list` or `vae-jax data prepare NAME`")
