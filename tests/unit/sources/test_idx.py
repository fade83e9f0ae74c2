"""IDX files: every pixel and label is kept, and each defect gives one sentence."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from darkroom.errors import UserError
from darkroom.sources import published
from tests.support.array_files import paths, refused, written
from tests.support.published_layouts import digits, idx, mnist_idx

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("dotted", [True, False])
def test_each_image_has_its_part_class_and_number(
    tmp_path: Path, packed: bool, dotted: bool
) -> None:
    mnist_idx(tmp_path / "in", images={"train": 30, "test": 20}, packed=packed, dotted=dotted)
    out = written(tmp_path / "in")
    for part, count, seed in (("train", 30, 0), ("test", 20, 1)):
        pixels, labels = digits(count, seed=seed)
        mine = {f"{part}/{labels[i]}/{i:05d}.png": pixels[i] for i in range(count)}
        assert mine.keys() == {p for p in out if p.startswith(part)}
        for path, image in mine.items():
            assert out[path].dtype == np.uint8 and np.array_equal(out[path], image)
    assert len(out) == 50


@pytest.mark.parametrize(
    "names",
    [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
        ("Train_Images.idx", "Train_Labels.idx"),
        ("fashion-mnist-train-images-idx3-ubyte", "fashion-mnist-train-labels-idx1-ubyte"),
        ("train_images", "train_labels"),
        ("trainImages", "trainLabels"),
    ],
)
def test_name_variants(tmp_path: Path, names: tuple[str, str]) -> None:
    pixels, labels = digits(10)
    for name, values in zip(names, (pixels, labels), strict=True):
        put(tmp_path / "in" / "deep" / name, idx(values))
    assert len(written(tmp_path / "in")) == 10


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_oblong_images_keep_their_shape_over_several_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from darkroom.sources import idx as module

    monkeypatch.setattr(module, "BATCH", 7 * 5 * 3)  # three images at a time
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (10, 7, 5), dtype=np.uint8)
    put(tmp_path / "in" / IMAGES, idx(pixels))
    put(tmp_path / "in" / f"{LABELS}.gz", gzip.compress(idx(np.full(10, 255, np.uint8))))
    out = written(tmp_path / "in")
    assert list(out) == [f"train/255/{i:05d}.png" for i in range(10)]
    assert np.array_equal(np.stack(list(out.values())), pixels)


def test_emnist_is_transposed_back(tmp_path: Path) -> None:
    mnist_idx(tmp_path / "in", images={"test": 10}, prefix="emnist-digits-")
    stored = gzip.decompress(next((tmp_path / "in").glob("*images*")).read_bytes())[16:]
    out = written(tmp_path / "in")
    pixels, _ = digits(10)
    for i, image in enumerate(pixels):
        assert np.array_equal(out[f"test/{i}/{i:05d}.png"], image)
    assert stored != pixels.tobytes()
    found = published.find(str(tmp_path / "in"), paths(tmp_path / "in"))
    assert found and "transposed back" in found.sentence


def test_the_same_file_twice_is_one(tmp_path: Path) -> None:
    """torchvision keeps plain and compressed files; a copy on Kaggle has each in its own folder."""
    for path in mnist_idx(tmp_path / "in", images={"train": 10}):
        plain = path.with_suffix("")
        put(plain, gzip.decompress(path.read_bytes()))
        put(plain.parent / "twice" / plain.name / plain.name, plain.read_bytes())
        (plain.parent / "twice" / plain.name.replace("-idx", ".idx")).write_bytes(
            plain.read_bytes()
        )
    assert len(written(tmp_path / "in", chosen="twice")) == 10
    path.write_bytes(gzip.compress(idx(np.zeros(10, np.uint8))))
    assert "should be equal but differ" in refused(tmp_path / "in")


def test_several_data_sets_and_the_choice_of_one(tmp_path: Path) -> None:
    for name, count in (("emnist-letters-", 20), ("emnist-digits-", 10)):
        mnist_idx(tmp_path / "in" / "gzip", images={"train": count}, prefix=name)
    said = refused(tmp_path / "in")
    assert "2 data sets of array files (gzip/emnist-digits, gzip/emnist-letters)" in said
    assert "layout: {root: gzip/emnist-digits}" in said
    assert len(written(tmp_path / "in", chosen="emnist-letters")) == 20
    with pytest.raises(UserError, match="did you mean 'gzip/emnist-letters'"):
        written(tmp_path / "in", chosen="gzip/emnist-leters")


# ---------------------------------------------------------------- what is wrong


def pair(root: Path, images: bytes | None = None, labels: bytes | None = None) -> Path:
    pixels, marks = digits(10)
    put(root / "in" / IMAGES, idx(pixels) if images is None else images)
    put(root / "in" / LABELS, idx(marks) if labels is None else labels)
    return root / "in"


GOOD, MARKS = idx(digits(10)[0]), idx(digits(10)[1])


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (None, idx(np.zeros(9, np.uint8)), f"{IMAGES} has 10 images but {LABELS} has 9 labels"),
        (GOOD[:-1], None, f"{IMAGES} is truncated (7,855 bytes instead of 7,856)"),
        (None, MARKS + b"\0", f"{LABELS} continues after its last image or label"),
        (GOOD[:10], None, f"{IMAGES} is truncated within its header"),
        (b"", None, f"{IMAGES} is no IDX file, despite its name: it begins with nothing"),
        (b"\x89PNG\r\n", None, "begins with 89 50 4e 47 and not with 00 00 08 03"),
        (b"<!DOCTYPE html>", None, "it looks like a web page"),
        (MARKS, None, f"{IMAGES} has 1 dimensions, as labels do"),
        (None, GOOD, f"{LABELS} has 3 dimensions, as images do"),
        (b"\0\0\x0d\x03" + GOOD[4:], None, "holds 32-bit floats, but images must be unsigned"),
        (idx(np.zeros((0, 28, 28), np.uint8)), None, "its header states 0 × 28 × 28 images"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 9, 1 << 31, 1 << 31), None, "its header states 9 ×"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 1 << 31, 28, 28), None, "is truncated (16 bytes"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_wrong_is_reported_with_its_file(
    tmp_path: Path, images: bytes | None, labels: bytes | None, words: str, packed: bool
) -> None:
    root = pair(tmp_path, images, labels)
    if packed:
        for path in root.iterdir():
            path.write_bytes(gzip.compress(path.read_bytes()))
        # of packed files the length shows only when they are read
        words = words.partition(" (")[0]
        if images is not None and images[4:8] == b"\x80\0\0\0":
            words = "has 2,147,483,648 images but"
    assert words in refused(root)


@pytest.mark.parametrize("name", [IMAGES, LABELS])
def test_a_packed_file_that_is_cut_or_damaged(tmp_path: Path, name: str) -> None:
    root = pair(tmp_path)
    packed = gzip.compress((root / name).read_bytes())
    (root / name).write_bytes(packed[:-9])
    assert refused(root).startswith(f"{name} is damaged or truncated")
    (root / name).write_bytes(packed[:-8] + b"\0" * 8)  # its checksum
    assert refused(root).startswith(f"{name} is damaged or truncated")


@pytest.mark.parametrize("name", [IMAGES, LABELS])
def test_one_file_of_a_pair_is_missing(tmp_path: Path, name: str) -> None:
    root = pair(tmp_path)
    (root / name).unlink()
    assert "is missing" in refused(root)


def test_limits(tmp_path: Path) -> None:
    root = pair(tmp_path)
    with pytest.raises(UserError, match=r"exceed 9 files .* raise limits: \{max_files"):
        written(root, max_files=9)
    with pytest.raises(UserError, match=r"raise limits: \{max_gb"):
        written(root, max_bytes=100)


def test_a_plain_name_without_idx_inside_is_left_alone(tmp_path: Path) -> None:
    put(tmp_path / "train_images", b"something else")
    put(tmp_path / "train_labels", b"something else")
    assert published.find(str(tmp_path), paths(tmp_path)) is None
