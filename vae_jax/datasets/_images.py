"""Images from files: decoded, stacked, and kept as an array that can be mapped."""

import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vae_jax.datasets._lazy import Lazy
from vae_jax.datasets._storing import require_range
from vae_jax.errors import UserError
from vae_jax.progress import each

logger = logging.getLogger(__name__)
LOOKED_AT = 100  # images of a split, for its range


def stacked(images: Sequence[np.ndarray]) -> np.ndarray:
    """Images `[n, height, width, channels]`.

    Raises:
        UserError: if they differ in size.
    """
    shapes = sorted({image.shape for image in images})
    if len(shapes) > 1:
        one, other = (" x ".join(map(str, shape)) for shape in shapes[:2])
        raise UserError(f"the images differ in size, as {one} and {other}: give size=...")
    return np.stack(images)


def require_image_range(name: str, splits: Iterable[Any]) -> None:
    """Raises UserError if the first images of all splits use a sliver of 0 to 255."""
    require_range(name, [split[: min(LOOKED_AT, len(split))] for split in splits])


def decoded(number: int, decode: Callable[[int], np.ndarray], file: Path | None, what: str) -> Lazy:
    """Images as a sequence: kept in a file of the cache, or decoded whenever they are asked for.

    Args:
        number: of images.
        decode: place -> `[height, width, channels]`, uint8.
        file: of the cache, written if it is not there; None: they are not kept.
        what: is done, for a person.
    """
    array = None if file is None else _mapped(number, decode, file, what)

    def read(rows: np.ndarray) -> np.ndarray:
        return stacked([decode(i) for i in rows.tolist()]) if array is None else array[rows]

    return Lazy(read, np.arange(number), is_decoded=True)


def _mapped(
    number: int, decode: Callable[[int], np.ndarray], file: Path, what: str
) -> np.ndarray | None:
    """The array of a file of the cache; None where it is not there and cannot be written."""
    try:
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=file.parent) as folder:
                part = Path(folder, file.name)
                _write(number, decode, part, what)
                os.replace(part, file)
        return np.load(file, mmap_mode="r")
    except OSError as error:
        logger.warning("decoded images are not cached: %s", error)
        return None


def _write(number: int, decode: Callable[[int], np.ndarray], file: Path, what: str) -> None:
    array = np.lib.format.open_memmap(file, "w+", np.uint8, (number, *decode(0).shape))
    for i in each(range(number), "image", what):
        array[i] = decode(i)
    array.flush()
