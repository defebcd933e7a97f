"""Folders of images that Pillow wrote: splits, labels, sizes, colours, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from tests.datasets.building import make
from vae_jax import UserError, build_model
from vae_jax.batches.records import record_of
from vae_jax.batches.rows import gather
from vae_jax.batches.splits import require_valid
from vae_jax.datasets import _images

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAE_JAX_CACHE", str(tmp_path / "cache"))


def pixels(*shape):
    return RNG.integers(0, 256, shape, np.uint8)


def save(path, array, folder, **options):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(folder / path, **options)


@pytest.fixture
def photos(tmp_path):
    """Ten images of each of two kinds, by their paths."""
    paths = [f"{kind}/{i:02d}.png" for kind in ("cat", "dog") for i in range(10)]
    images = {path: pixels(6, 5, 3) for path in paths}
    for path, image in images.items():
        save(path, image, tmp_path / "photos")
    return images


def test_images_have_the_labels_of_their_folders(photos):
    dataset = make("images(path='photos')")
    assert {name: len(split) for name, split in dataset.splits.items()} == {
        "train": 14,
        "validation": 2,
        "test": 4,
    }
    paths = np.concatenate([origin.ids for origin in dataset.origins.values()])
    assert sorted(paths) == sorted(photos)
    for name, split in dataset.splits.items():
        ids = dataset.origins[name].ids
        np.testing.assert_array_equal(split[:], np.stack([photos[path] for path in ids]))
        assert dataset.labels[name].tolist() == [path[:3] for path in ids]
    assert not dataset.remarks


def test_folders_may_be_splits(tmp_path, photos):
    by_split = {"train": 8, "val": 3, "Test": 2}
    for split, number in by_split.items():
        for i in range(number):
            save(f"{split}/kind{i % 2}/{i}.png", pixels(4, 4), tmp_path / "split")
    dataset = make("images(path='split')")
    assert {n: len(s) for n, s in dataset.splits.items()} == {
        "train": 8,
        "validation": 3,
        "test": 2,
    }
    assert set(dataset.labels["test"]) == {"kind0", "kind1"}
    assert dataset.splits["train"].shape == (8, 4, 4, 1)
    held = make("images(path='split/train')")
    assert sum(map(len, held.splits.values())) == 8


def test_a_folder_without_validation_holds_the_last_out(tmp_path):
    for split in ("train", "test"):
        for i in range(20):
            save(f"{split}/{i:02d}.png", pixels(4, 4), tmp_path / "split")
    dataset = make("images(path='split', validation=5)")
    assert dataset.origins["validation"].ids.tolist() == [f"train/{i}.png" for i in range(15, 20)]
    assert not dataset.labels


def test_all_can_be_test_in_the_order_of_their_names(photos):
    dataset = make("images(path='photos', test=1.0)")
    assert dataset.splits.keys() == {"test"}
    assert dataset.origins["test"].ids.tolist() == sorted(photos)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "gif", "tif", "ppm", "PNG"])
def test_many_kinds_of_files_are_read_as_pillow_reads_them(tmp_path, ending):
    for i in range(10):
        save(f"{i}.{ending}", Image.fromarray(pixels(8, 8, 3)), tmp_path / "kinds")
    dataset = make("images(path='kinds')")
    for path, image in zip(dataset.origins["test"].ids, dataset.splits["test"][:], strict=True):
        np.testing.assert_array_equal(image, Image.open(tmp_path / "kinds" / path).convert("RGB"))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_colours_are_three_channels_and_greys_one(tmp_path, mode):
    for i in range(10):
        image = Image.fromarray(pixels(8, 8, 3)).convert(mode)
        save(f"{i}.{'tif' if mode == 'CMYK' else 'png'}", image, tmp_path / "modes")
    is_grey = mode in ("1", "L", "LA")
    assert make("images(path='modes')").splits["train"].shape[1:] == (8, 8, 1 if is_grey else 3)
    grey = make("images(path='modes', grey=True)")
    assert grey.splits["train"].shape[1:] == (8, 8, 1)
    for path, image in zip(grey.origins["test"].ids, grey.splits["test"][:], strict=True):
        np.testing.assert_array_equal(
            image[..., 0], Image.open(tmp_path / "modes" / path).convert("L")
        )
    is_transparent = any("transparency is not read" in remark for remark in grey.remarks)
    assert is_transparent == (mode in ("LA", "RGBA"))


def test_one_colour_image_makes_all_of_them_colour(tmp_path):
    for i in range(9):
        save(f"{i}.png", pixels(4, 4), tmp_path / "mixed")
    save("z.png", pixels(4, 4, 3), tmp_path / "mixed")
    assert make("images(path='mixed')").splits["train"].shape == (7, 4, 4, 3)


@pytest.mark.parametrize("size", [4, 8])
def test_a_size_takes_the_square_in_the_middle(tmp_path, size):
    """Of blocks of one colour, whose means are known."""
    blocks = pixels(4, 8)
    for i in range(10):
        whole = np.kron(blocks, np.ones((i + 2,) * 2)).astype(np.uint8)
        save(f"{i}.png", whole, tmp_path / "blocks")
    dataset = make(f"images(path='blocks', size={size})")
    expected = np.kron(blocks[:, 2:6], np.ones((size // 4,) * 2))
    for image in dataset.splits["train"][:]:
        np.testing.assert_array_equal(image[..., 0], expected)


def test_a_photograph_on_its_side_is_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for i in range(10):
        save(f"{i}.png", pixels(4, 9), tmp_path / "turned", exif=exif)
    dataset = make("images(path='turned')")
    stored = np.asarray(Image.open(tmp_path / "turned" / dataset.origins["test"].ids[0]))
    np.testing.assert_array_equal(dataset.splits["test"][0][..., 0], np.rot90(stored, -1))


def test_images_are_decoded_once_and_kept(photos, tmp_path, monkeypatch):
    first = make("images(path='photos')")
    assert len([*(tmp_path / "cache").iterdir()]) == 1
    with monkeypatch.context() as without:
        without.setattr(_images, "_write", None)
        again = make("images(path='photos', validation=3)")
    np.testing.assert_array_equal(again.splits["test"][:], first.splits["test"][:])
    lazy = make("images(path='photos', cache=False)")
    assert record_of(lazy.splits["train"]) == record_of(first.splits["train"])
    save("cat/00.png", pixels(6, 5, 3), tmp_path / "photos")
    make("images(path='photos')")
    assert len([*(tmp_path / "cache").iterdir()]) == 2


def test_a_cache_that_cannot_be_written_costs_a_warning(photos, monkeypatch, caplog):
    monkeypatch.setenv("VAE_JAX_CACHE", "/dev/null/nowhere")
    dataset = make("images(path='photos')")
    assert "decoded images are not cached" in caplog.text
    for path, image in zip(dataset.origins["test"].ids, dataset.splits["test"][:], strict=True):
        np.testing.assert_array_equal(image, photos[path])


def cut(folder):
    whole = (folder / "cat" / "00.png").read_bytes()
    (folder / "cat" / "00.png").write_bytes(whole[:90])


WRONG = {
    "another size": (lambda f: save("dog/z.png", pixels(7, 5, 3), f),
                     "cat/00.png is 5 x 6, and dog/z.png 5 x 7: give size, as size=5"),
    "no image": (lambda f: (f / "cat" / "00.png").write_text("a"), "cat/00.png cannot be read as an image"),
    "cut": (cut, "cat/00.png cannot be read as an image: "),
    "16 bits": (lambda f: save("cat/00.png", RNG.integers(0, 9999, (6, 5), np.uint16), f),
                "cat/00.png has pixels of Pillow's mode 'I;16': 8 bits a channel"),
    "beside folders": (lambda f: save("z.png", pixels(6, 5, 3), f), "'z.png' lies beside folders"),
    "split and others": (lambda f: save("train/z.png", pixels(6, 5, 3), f),
                         "photos holds 'cat', 'dog', 'train': 'train', 'test' and 'validation' alone"),
}  # fmt: skip


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_read_is_refused_by_name(photos, tmp_path, what, cache):
    spoil, expected = WRONG[what]
    spoil(tmp_path / "photos")
    with pytest.raises(UserError) as error:
        gather(make(f"images(path='photos', cache={cache})").splits["train"], slice(None))
    assert expected in str(error.value)
    assert "\n" not in str(error.value)
    assert not [*tmp_path.glob("cache/*")]


def test_a_folder_without_images_costs_one_line(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for path, expected in {
        "empty": r"empty holds no images: \.png",
        "file": "file: is a file: name its folder",
        "nowhere": "nowhere: there is no such folder",
        "": "images needs a folder",
    }.items():
        with pytest.raises(UserError, match=expected):
            make(f"images(path='{path}')")


def test_what_lies_beside_images_is_named(photos, tmp_path):
    (tmp_path / "photos" / "notes.txt").touch()
    (tmp_path / "photos" / "cat" / "more.csv").touch()
    (tmp_path / "photos" / ".DS_Store").touch()
    [remark] = make("images(path='photos')").remarks
    assert remark == "photos: not read, being no image: cat/more.csv and 1 more"


def test_images_of_0_and_1_need_their_scale(tmp_path):
    for i in range(10):
        save(f"{i}.png", pixels(4, 4) // 128, tmp_path / "bits")
    with pytest.raises(UserError, match=r"bits holds uint8 from 0 to 1, .*give scale=1 "):
        make("images(path='bits')")
    require_valid(make("images(path='bits', scale=1)"), build_model((4, 4, 1), 2))
