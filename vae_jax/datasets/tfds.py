import hashlib
import importlib.util
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpyro.distributions import constraints

from vae_jax.caches import cache_dir
from vae_jax.datasets._images import require_image_range, stacked
from vae_jax.datasets._lazy import Lazy
from vae_jax.datasets._making import Binarize, Values, make_dataset
from vae_jax.datasets._splitting import Rows, by_split, held_rows
from vae_jax.errors import UserError, unknown
from vae_jax.places import expanded, named
from vae_jax.progress import each
from vae_jax.types import Dataset

logger = logging.getLogger(__name__)


def tfds(
    *,
    name: str = "mnist",
    binarize: Binarize = "none",
    values: Values = "greys",
    scale: Annotated[float | None, constraints.positive] = None,
    validation: int | float = 0.1,
    train: Annotated[int, constraints.nonnegative_integer] = 0,
    size: Annotated[int, constraints.nonnegative_integer] = 0,
    grey: bool = False,
    invert: bool = False,
    cache: bool = True,
) -> Dataset:
    """The images of any TensorFlow data set, x = grey / scale, `[height, width, channels]`.

    `values` may also be levels, the integers 0 to scale, or dequantized, (level + u) / (scale + 1).
    `scale` None is 255.

    Read through `tfds.data_source`, without TensorFlow. The validation split of a data set is
    used; otherwise the last `validation` (count or fraction) training examples are held out, in
    TFDS's order, which is shuffled. Of those that are left the first `train` are trained on, all of
    them if 0. `size` resizes to a square, `grey` makes one channel, `invert`
    swaps ink and paper. Decoded images are cached; `cache=False` decodes each when it is used,
    for what is too large to be kept twice.

    Raises:
        UserError: if the data set is not prepared, has no images, or fewer than `train`, and if no
            scale is given where the images use a sliver of 0 to 255.
    """
    directory = prepared_directory(name)
    decode = _Decode(size, grey, invert)
    known = [s for s in ("train", "validation", "test") if any(directory.glob(f"*-{s}.*"))]
    pairs = {s: _load(name, directory, s, decode, cache) for s in known}
    if not {"train", "test"} <= pairs.keys():
        raise UserError(f"{name!r} in {directory} has the splits {known}: train, test are needed")
    rows = _rows({split: len(images) for split, (images, _) in pairs.items()}, validation, train)
    examples = {split: (f"{name} {split}", images) for split, (images, _) in pairs.items()}
    labels = {split: label for split, (_, label) in pairs.items() if label is not None}
    parts = by_split(examples, labels, rows)
    if scale is None and values != "levels":
        require_image_range(name, parts["splits"].values())
    return make_dataset(**parts, scale=scale or 255.0, binarize=binarize, values=values)


def _rows(sizes: Mapping[str, int], validation: int | float, train: int) -> dict[str, Rows]:
    """For each split of TFDS those that are made of it, and their rows."""
    rows: dict[str, Rows] = {split: {split: range(size)} for split, size in sizes.items()}
    if "validation" not in sizes:
        rows["train"] = held_rows(sizes["train"], validation)
    most = len(rows["train"]["train"])
    if train > most:
        raise UserError(f"train={train}: there are {most} training examples")
    return rows | {"train": {**rows["train"], "train": range(train or most)}}


def data_dir() -> Path:
    """Where TFDS data sets are looked for: TFDS_DATA_DIR, or ~/tensorflow_datasets."""
    return expanded(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")


def prepared_directory(name: str) -> Path:
    """The folder of the newest prepared version, in ArrayRecord form.

    Raises:
        UserError: if there is none; it names the command that makes it.
    """
    base = data_dir() / name.replace(":", "/")
    records = sorted(base.glob("**/*.array_record*"), key=lambda p: p.parent.name)
    if not records:
        command = f"vae-jax data prepare {name}"
        other = "; it is there, but not as ArrayRecord" if any(base.glob("**/*.tfrecord*")) else ""
        where = f"looked in {base}{other}; TFDS_DATA_DIR says where else"
        raise UserError(f"{name!r} is not prepared: run `{command}` ({where})")
    return records[-1].parent


class _Decode:
    """One TFDS example -> uint8 `[height, width, channels]`."""

    def __init__(self, size: int, grey: bool, invert: bool):
        self.tag = f"{size}-{grey}-{invert}"
        self._size, self._grey, self._invert = size, grey, invert

    def __call__(self, example: dict[str, Any]) -> np.ndarray:
        image = example["image"]
        if self._grey or self._size:
            image = self._redraw(image)
        return 255 - image if self._invert else image

    def _redraw(self, image: np.ndarray) -> np.ndarray:
        from PIL import Image

        picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
        picture = picture.convert("L") if self._grey else picture
        if self._size:
            picture = picture.resize((self._size, self._size), Image.Resampling.BOX)
        return np.asarray(picture).reshape(picture.height, picture.width, -1)


def _lazy(source: Any, decode: _Decode) -> Lazy:
    """A split that is decoded as it is read."""

    def read(rows: np.ndarray) -> np.ndarray:
        return stacked([decode(example) for example in source.__getitems__(rows.tolist())])

    return Lazy(read, np.arange(len(source)), is_decoded=True)


def _load(
    name: str, directory: Path, split: str, decode: _Decode, cache: bool
) -> tuple[Any, np.ndarray | None]:
    """The images of a split and its labels, from the cache where they are in it."""
    if not cache:
        return _lazy(_source(name, split), decode), None
    images, labels = _cache_files(name, directory, split, decode)
    if images.exists():
        return np.load(images, mmap_mode="r"), np.load(labels) if labels.exists() else None
    image, label = _decode_all(_source(name, split), decode, f"decoding {name} {split}")
    if label is not None:
        _write(labels, label)
    _write(images, image)
    return image, label


def _cache_files(name: str, directory: Path, split: str, decode: _Decode) -> tuple[Path, Path]:
    """The names hold a hash of their sources: the prepared files and the way of decoding."""
    info = (directory / "dataset_info.json").read_bytes() + decode.tag.encode()
    tag = hashlib.sha256(str(directory.resolve()).encode() + info).hexdigest()[:12]
    stem = f"{name.replace('/', '-').replace(':', '-')}-{split}-{tag}"
    return cache_dir() / f"{stem}.npy", cache_dir() / f"{stem}.labels.npy"


def _source(name: str, split: str) -> Any:
    import tensorflow_datasets

    return tensorflow_datasets.data_source(name, split=split, data_dir=data_dir(), download=False)


def _decode_all(
    source: Any, decode: _Decode, description: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Every image and label; a batch of records is decoded faster than one by one."""
    if "image" not in source[0]:
        raise UserError(f"has no feature 'image' but {', '.join(source[0])}")
    starts = each(range(0, len(source), 1000), "thousand image", description)
    batches = (source.__getitems__(range(len(source))[i : i + 1000]) for i in starts)
    pairs = [(decode(e), e.get("label")) for batch in batches for e in batch]
    images, labels = zip(*pairs, strict=True)
    return stacked(images), None if labels[0] is None else np.asarray(labels)


def _write(path: Path, array: np.ndarray) -> None:
    """Writes a cache file whole or not at all; a cache that cannot be written costs a warning."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            np.save(file, array)
        os.replace(file.name, path)
    except OSError as error:
        logger.warning("decoded images are not cached: %s", error)


def prepared() -> list[str]:
    """The data sets in `data_dir` that can be read: name/version."""
    records = data_dir().glob("**/*.array_record*")
    return sorted({str(path.parent.relative_to(data_dir())) for path in records})


def catalogued() -> set[str]:
    """The names of TFDS's data sets, by the files that describe them; those need no TensorFlow."""
    spec = importlib.util.find_spec("tensorflow_datasets")
    folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
    return {
        path.stem
        for folder in folders
        for path in [*folder.glob("url_checksums/*.txt"), *folder.glob("datasets/[a-z]*")]
    }


def prepare(name: str) -> Path:
    """Downloads a data set and writes it as ArrayRecord; needs TensorFlow, the extra `prepare`.

    Raises:
        UserError: if TFDS has no such data set, or TensorFlow is not installed.
    """
    plain = name.partition("/")[0].partition(":")[0]
    if (known := catalogued()) and plain not in known:
        raise unknown("data set of TFDS", plain, known)
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError("preparing needs TensorFlow, once: pip install -e '.[prepare]'")
    import tensorflow_datasets

    folder = named(data_dir())
    builder = tensorflow_datasets.builder(name, data_dir=folder, file_format="array_record")
    builder.download_and_prepare()
    return builder.data_path
