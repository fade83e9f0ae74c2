"""CIFAR's files, binary and pickled: every pixel and label, and nothing that could run code."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from darkroom.errors import UserError
from darkroom.sources import published
from tests.support.array_files import paths, refused, written
from tests.support.published_layouts import (
    CIFAR10,
    cifar10_binary,
    cifar10_python,
    cifar100_binary,
    cifar100_python,
    objects,
    pickled_by_python_2,
)

COUNTS = {"train": 50, "test": 20}


@pytest.mark.parametrize("make", [cifar10_binary, cifar10_python])
def test_cifar_10(tmp_path: Path, make: Callable[..., Path]) -> None:
    """Numbers continue across batches, and the channels are in order."""
    out = written(make(tmp_path / "in", images=COUNTS))
    expected = {}
    for seed, (part, count) in enumerate(COUNTS.items()):
        for i, (image, label) in enumerate(zip(*objects(count, seed=seed), strict=True)):
            expected[f"{part}/{CIFAR10[label]}/{i:05d}.png"] = image
    assert out.keys() == expected.keys()
    for path, image in expected.items():
        assert np.array_equal(cv2.cvtColor(out[path], cv2.COLOR_BGR2RGB), image)


@pytest.mark.parametrize("make", [cifar100_binary, cifar100_python])
def test_cifar_100_by_its_fine_labels(tmp_path: Path, make: Callable[..., Path]) -> None:
    out = written(make(tmp_path / "in", images=COUNTS, classes=12))
    pixels, labels = objects(50, classes=12)
    for i in (0, 13, 49):
        image = out[f"train/fine_{labels[i]:02d}/{i:05d}.png"]
        assert np.array_equal(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), pixels[i])
    assert len(out) == 70


def test_without_names_the_classes_are_numbers(tmp_path: Path) -> None:
    for make in (cifar10_binary, cifar10_python):
        root = make(tmp_path / make.__name__ / "in", images=COUNTS)
        for path in root.glob("batches.meta*"):
            path.unlink()
        assert {p.split("/")[1] for p in written(root)} == set("0123456789")
        found = published.find(str(root), paths(root))
        assert found and "no file names the classes" in found.sentence


def test_a_part_alone_will_do(tmp_path: Path) -> None:
    root = cifar10_binary(tmp_path / "in", images=COUNTS)
    (root / "test_batch.bin").unlink()
    assert len(written(root)) == 50


# ---------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("data_batch_3.bin", lambda d: d[:-1], "30,729 bytes are no multiple of the record size"),
        ("data_batch_3.bin", lambda d: d[:-3073], "has 9 images, but another batch has 10"),
        (
            "test_batch.bin",
            lambda d: b"",
            "its 0 bytes are no multiple of the record size of 3,073",
        ),
        ("test_batch.bin", lambda d: b"\x0a" + d[1:], "test images .* have the label 10, and"),
        ("data_batch_3.bin", None, "data_batch_3.bin is missing beside data_batch_5.bin"),
        ("batches.meta.txt", lambda d: b"cat\n", "names cat"),
        ("batches.meta.txt", lambda d: b"cat\nCat\n", "must name each class once"),
        ("batches.meta.txt", lambda d: b"../../cat\ndog\n", "'../../cat' cannot be the name of"),
        ("batches.meta.txt", lambda d: b".cat\ndog\n", "'.cat' cannot be the name of"),
    ],
)
def test_what_is_wrong_with_a_binary_version(
    tmp_path: Path, name: str, change: Callable[[bytes], bytes] | None, words: str
) -> None:
    root = cifar10_binary(tmp_path / "in", images=COUNTS)
    spoil(root / name, change)
    with pytest.raises(UserError, match=words):
        written(root)


def spoil(path: Path, change: Callable[[bytes], bytes] | None) -> None:
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))


def batch(**more: Any) -> bytes:
    pixels = np.zeros((10, 3072), np.uint8)
    return pickled_by_python_2({"data": pixels, "labels": list(range(10)), **more})


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("test_batch", b"", "is no complete pickle|damaged or truncated"),
        ("test_batch", batch()[:-9], "is no complete pickle"),
        ("test_batch", b"\x80\x02(U\x01b", "truncated|is no complete pickle"),
        ("test_batch", pickle.dumps([1], 2), "not of a dictionary"),
        ("test_batch", batch(labels=[1, 2]), "2 labels but pixels of shape"),
        ("test_batch", batch(labels=[300] * 10), "not numbers from 0 to 255"),
        ("test_batch", batch(data="none"), "lacks data or labels"),
        ("test_batch", batch(labels=[12] * 10), "have the label 12"),
        ("test_batch", batch().replace(b"U\x02u1", b"U\x02f8"), "not of unsigned"),
        ("data_batch_2", batch(data=np.zeros((9, 3072), np.uint8), labels=[1] * 9), "9 images"),
        ("batches.meta", pickled_by_python_2({"other": []}), "holds no label_names"),
    ],
)
def test_what_is_wrong_with_a_python_version(
    tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    root = cifar10_python(tmp_path / "in", images=COUNTS)
    (root / name).write_bytes(data)
    with pytest.raises(UserError, match=words):
        written(root)


class Shell:
    def __reduce__(self) -> Any:
        return os.system, (f"touch {Shell.mark}",)

    mark = ""


class Numpy:
    """NumPy's own loader would unpickle what is in such a file."""

    def __reduce__(self) -> Any:
        return np.load, ("x.npy",)


@pytest.mark.parametrize("name", ["data_batch_1", "batches.meta"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("thing", [Shell(), Numpy(), {"a": print}])
def test_a_pickle_runs_nothing(tmp_path: Path, name: str, protocol: int, thing: Any) -> None:
    Shell.mark = str(tmp_path / "ran")
    root = cifar10_python(tmp_path / "in", images=COUNTS)
    (root / name).write_bytes(pickle.dumps(thing, protocol))
    said = refused(root)
    assert "could run code, so it is refused" in said and "cifar-10-binary.tar.gz" in said
    assert not Path(Shell.mark).exists()


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02cnumpy\nndarray\nU\x01b\x85R.",  # calls the word for the class
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R}b.",  # a state that is no array's
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n}U\x08__code__U\x01xsb.",
        b"\x80\x02cnumpy\ndtype\n)\x81.",  # makes an object without calling
        b"\x80\x02U\x01xQ.",  # an object of elsewhere
        b"\x80\x02\x82\x01.",  # an extension
    ],
)
def test_odd_pickles_are_refused_in_words(tmp_path: Path, data: bytes) -> None:
    root = cifar10_python(tmp_path / "in", images=COUNTS)
    (root / "test_batch").write_bytes(data)
    assert "test_batch" in refused(root)


def test_train_test_and_meta_may_be_anything_else(tmp_path: Path) -> None:
    for name in ("train", "test", "meta"):
        (tmp_path / name).write_bytes(b"words")
    assert published.claimed(["train", "test", "meta"])
    assert published.find(str(tmp_path), ["train", "test", "meta"]) is None
