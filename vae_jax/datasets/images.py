import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpyro.distributions import constraints

from vae_jax.caches import cache_dir
from vae_jax.datasets._images import decoded, require_image_range
from vae_jax.datasets._lazy import Lazy
from vae_jax.datasets._making import Binarize, Values, make_dataset
from vae_jax.datasets._named_arrays import ALL, SPLITS
from vae_jax.datasets._splitting import Rows, by_split, held_rows, shuffled_rows
from vae_jax.errors import UserError, counted
from vae_jax.places import data_file
from vae_jax.types import Dataset

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
GREY = ("1", "L", "LA")  # Pillow's names for the pixels of an image
COLOUR = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")
ORIENTATION, ON_ITS_SIDE = 0x0112, 5  # a tag of EXIF, and the first of its values that turn


def images(
    *,
    path: str = "",
    size: Annotated[int, constraints.nonnegative_integer] = 0,
    grey: bool = False,
    binarize: Binarize = "none",
    values: Values = "greys",
    scale: Annotated[float | None, constraints.positive] = None,
    validation: int | float = 0.1,
    test: int | float = 0.2,
    cache: bool = True,
) -> Dataset:
    """The images of a folder, x = value / scale, `[height, width, channels]`.

    PNG, JPEG and the like, as Pillow reads them, with one channel where all are grey, or with
    `grey`, and three otherwise; transparency is left out. `size` takes the square in the middle of
    each, resized; without it all must be of one size. `values` may also be levels, the integers 0
    to scale, or dequantized, (level + u) / (scale + 1). `scale` None is 255.

    Folders `train`, `test` and `validation` in it are the splits; otherwise all images are
    shuffled, always in the same way, and split by `validation` and `test`, counts or fractions;
    `test` 1.0 takes all of them, in the order of their names. The names of other folders are
    labels. Decoded images are cached; `cache=False` decodes each when it is used.

    Raises:
        UserError: if there is no such folder, an image cannot be read, is of another size or has
            more than 8 bits a channel, and if no scale is given where the images use a sliver of 0
            to 255.
    """
    if not path:
        raise UserError("images needs a folder: images(path='folder')")
    folder = data_file(path)
    groups = _groups(folder)
    headers = {file: Header.read(file) for group in groups.values() for file in group.files}
    _require_one_size(folder, headers, size)
    channels = 1 if grey or all(header.mode in GREY for header in headers.values()) else 3
    every = _decoded(folder, list(headers), Decode(size, channels), cache)
    parts = _parts(folder, groups, every, validation, test)
    if scale is None and values != "levels":
        require_image_range(folder.name, parts["splits"].values())
    dataset = make_dataset(**parts, scale=scale or 255.0, binarize=binarize, values=values)
    return dataset._replace(remarks=[*dataset.remarks, *_remarks(folder, headers)])


class Group(NamedTuple):
    """The images of a folder and of those below it, in the order of their names."""

    files: list[Path]
    labels: np.ndarray | None  # [n], the names of the folders that they lie in

    @classmethod
    def read(cls, root: Path) -> "Group":
        """The images there.

        Raises:
            UserError: if there are none, or some lie in folders and some beside them.
        """
        files = sorted(p for p in root.rglob("*") if p.suffix.lower() in ENDINGS and _is_shown(p))
        if not files:
            raise UserError(f"{root} holds no images: {', '.join(ENDINGS)} are read")
        places = [file.relative_to(root).parts for file in files]
        beside = [parts[0] for parts in places if len(parts) == 1]
        if beside and len(beside) < len(places):
            what = f"{beside[0]!r} lies beside folders, whose names are labels"
            raise UserError(f"{root}: {what}: put it into one")
        return cls(files, None if beside else np.array([parts[0] for parts in places]))


def _is_shown(path: Path) -> bool:
    return not path.name.startswith(".")


def _groups(folder: Path) -> dict[str, Group]:
    """The images by split, or all of them.

    Raises:
        UserError: if there are none, or it is not clear which folders are splits.
    """
    if not folder.is_dir():
        what = "is a file: name its folder" if folder.exists() else "there is no such folder"
        raise UserError(f"{folder.absolute()}: {what}")
    inside = [path for path in sorted(folder.iterdir()) if path.is_dir() and _is_shown(path)]
    splits = {SPLITS[p.name.lower()]: p for p in inside if p.name.lower() in SPLITS}
    if splits and len(splits) < len(inside):
        names = ", ".join(repr(path.name) for path in inside)
        raise UserError(f"{folder} holds {names}: 'train', 'test' and 'validation' alone are read")
    if splits.keys() <= {"train"}:
        return {ALL: Group.read(splits.get("train", folder))}
    return {split: Group.read(path) for split, path in splits.items()}


class Header(NamedTuple):
    """An image's size and kind, which are known before it is decoded."""

    size: tuple[int, int]  # width, height, as it is looked at
    mode: str
    is_transparent: bool

    @classmethod
    def read(cls, file: Path) -> "Header":
        """The header of a file.

        Raises:
            UserError: if it is no image, or one of other than 8 bits a channel.
        """
        from PIL import Image

        try:
            with Image.open(file) as image:
                is_turned = image.getexif().get(ORIENTATION, 1) >= ON_ITS_SIDE
                size = image.size[::-1] if is_turned else image.size
                header = cls(size, image.mode, image.has_transparency_data)
        except (OSError, ValueError, SyntaxError) as error:
            raise _unreadable(file, error) from error
        if header.mode not in GREY + COLOUR:
            what = f"{file} has pixels of Pillow's mode {header.mode!r}"
            raise UserError(f"{what}: 8 bits a channel are read; save others as an array for npy")
        return header


def _unreadable(file: Path, error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or str(error).replace(str(file), "it")
    return UserError(f"{file} cannot be read as an image: {' '.join(reason.split())}")


def _require_one_size(folder: Path, headers: Mapping[Path, Header], size: int) -> None:
    """Refuses images of several sizes where they are not made squares of one."""
    first = next(iter(headers))
    for file, header in headers.items():
        if not size and header.size != headers[first].size:
            one, other = (" x ".join(map(str, headers[f].size)) for f in (first, file))
            sizes = f"{first.relative_to(folder)} is {one}, and {file.relative_to(folder)} {other}"
            side = min(min(header.size) for header in headers.values())
            raise UserError(f"{folder}: {sizes}: give size, as size={side}, to make squares of all")


class Decode:
    """A file -> uint8 `[height, width, channels]`."""

    def __init__(self, size: int, channels: int):
        """`size` of a square, 0 for images as they are; `channels` 1 or 3."""
        self.size, self.channels = size, channels

    def __call__(self, file: Path) -> np.ndarray:
        """The pixels of a file; raises UserError if they cannot be read."""
        from PIL import Image, ImageOps

        try:
            with Image.open(file) as image:
                turned = ImageOps.exif_transpose(image)
                picture = turned.convert("L" if self.channels == 1 else "RGB")
        except (OSError, ValueError, SyntaxError) as error:
            raise _unreadable(file, error) from error
        if self.size:
            picture = ImageOps.fit(picture, (self.size, self.size), Image.Resampling.BOX)
        return np.asarray(picture).reshape(picture.height, picture.width, self.channels)


def _decoded(folder: Path, files: list[Path], decode: Decode, cache: bool) -> Lazy:
    """All images; the name of the cache's file holds a hash of theirs and the way of decoding."""
    digest = hashlib.sha256(f"{decode.size} {decode.channels}".encode())
    for file in files:
        state = file.stat()
        digest.update(f"{file.resolve()} {state.st_mtime_ns} {state.st_size}".encode())
    kept = cache_dir() / f"{folder.name}-{digest.hexdigest()[:12]}.npy" if cache else None
    return decoded(len(files), lambda i: decode(files[i]), kept, f"decoding {folder}")


def _parts(
    folder: Path,
    groups: Mapping[str, Group],
    every: Lazy,
    validation: int | float,
    test: int | float,
) -> dict[str, Any]:
    """The arguments splits, labels, origins and covariates of `make_dataset`."""
    examples: dict[str, tuple[str, Lazy]] = {}
    labels: dict[str, np.ndarray] = {}
    ids: dict[str, np.ndarray] = {}
    rows: dict[str, Rows] = {}
    start = 0
    for key, group in groups.items():
        size = len(group.files)
        examples[key] = folder.name, every.at(range(start, start + size))
        labels |= {} if group.labels is None else {key: group.labels}
        ids[key] = np.array([str(file.relative_to(folder)) for file in group.files])
        rows[key] = {key: range(size)}
        start += size
    if ALL in groups:
        rows = {ALL: shuffled_rows(start, validation, test)}
    elif "train" in groups and "validation" not in groups:
        rows["train"] = held_rows(len(groups["train"].files), validation)
    return by_split(examples, labels, rows, ids=ids)


def _remarks(folder: Path, headers: Mapping[Path, Header]) -> Iterator[str]:
    """Warns of what of the images, or beside them, is not read."""
    if number := sum(header.is_transparent for header in headers.values()):
        yield f"{folder.name}: of {counted(number, 'image')} the transparency is not read"
    beside = [path for path in folder.rglob("*") if path.is_file() and _is_shown(path)]
    if others := [str(p.relative_to(folder)) for p in sorted(beside) if p not in headers]:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        yield f"{folder.name}: not read, being no image: {others[0]}{more}"
