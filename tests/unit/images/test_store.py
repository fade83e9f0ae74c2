"""HDF5 files: what is written is read back mapped; what is broken is told, not read."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from darkroom import ROOT
from darkroom.errors import UserError
from darkroom.images import features_file, store
from tests.support.refusing import UNSHARE, needs_mounts
from tests.support.waiting import PATIENCE

SHAPE = (5, 4, 3)


def write(path: Path, n: int = 6, seed: int = 0, **changes: object) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (n, *SHAPE), dtype=np.uint8)
    settings: dict = {
        "labels": ["bird", "cat"],
        "view": {"size": [5, 4]},
        "dataset": "pets",
        "variants": ["original", "mean 3"],
        "decode": {"alpha": "white"},
    }
    rows, variants, labels = np.arange(n), np.zeros(n), np.arange(n) % 2
    with store.images_writer(
        str(path), SHAPE, rows, variants, labels, **(settings | changes)
    ) as draft:
        for start in range(0, n, 2):
            stop = min(start + 2, n)
            draft.map("images", start, stop)[:] = pixels[start:stop]
            for i in range(start, stop):
                flat = pixels[i].reshape(-1, 3).astype(float)
                draft.map("mean", i, i + 1)[:] = flat.mean(axis=0)
                draft.map("mean_square", i, i + 1)[:] = (flat**2).mean(axis=0)
    return pixels


def test_images_come_back_as_written(tmp_path: Path) -> None:
    pixels = write(tmp_path / "a.h5")
    images = store.open_images(str(tmp_path / "a.h5"))
    assert isinstance(images.images, np.memmap)
    assert np.array_equal(images.images, pixels)
    assert np.array_equal(images.block(2, 5), pixels[2:5])
    assert images.row.tolist() == [0, 1, 2, 3, 4, 5] and images.row.dtype == np.int64
    assert images.variant.dtype == np.int16 and images.label.dtype == np.int32
    assert np.allclose(images.mean, pixels.mean(axis=(1, 2)))
    assert images.labels == ["bird", "cat"] and images.variants == ["original", "mean 3"]
    assert images.view == {"size": [5, 4]} and images.decode == {"alpha": "white"}
    assert images.dataset == "pets" and len(images) == 6


def test_images_are_read_only(tmp_path: Path) -> None:
    write(tmp_path / "a.h5")
    with pytest.raises(ValueError, match="read-only"):
        store.open_images(str(tmp_path / "a.h5")).images[0] = 0


def test_other_programs_read_the_file_as_plain_hdf5(tmp_path: Path) -> None:
    pixels = write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(file["images"][:], pixels)
        assert file["images"].chunks is None
        assert file["images"].id.get_offset() is not None


def test_no_image_at_all_is_a_file_too(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", n=0)
    images = store.open_images(str(tmp_path / "a.h5"))
    assert images.images.shape == (0, *SHAPE) and images.block(0, 0).shape == (0, *SHAPE)


def test_names_of_thousands_of_classes(tmp_path: Path) -> None:
    labels = [f"a class with a rather long name {i}" for i in range(5000)]
    write(tmp_path / "a.h5", labels=labels)
    assert store.open_images(str(tmp_path / "a.h5")).labels == labels


def test_equal_contents_are_equal_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a.h5")
    time.sleep(1.1)  # HDF5 would write the time in seconds
    write(tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), store.images_writer(
        str(tmp_path / "a.h5"), SHAPE, np.arange(3), np.zeros(3), np.zeros(3),
        labels=["a"], view={}, dataset="d",
    ):  # fmt: skip
        raise KeyError("no such thing")
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_former_file(tmp_path: Path) -> None:
    pixels = write(tmp_path / "a.h5")
    with pytest.raises(KeyError), features_file.features_writer(
        str(tmp_path / "a.h5"), 1, 1, np.arange(1), np.zeros(1), name="n", layer="l"
    ):  # fmt: skip
        raise KeyError("no such thing")
    assert np.array_equal(store.open_images(str(tmp_path / "a.h5")).images, pixels)


@pytest.mark.parametrize("keep", [0, 1, 600, 2500, -1])
def test_a_cut_file_is_told(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.h5"
    write(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        UserError, match=r"a\.h5 is not a complete images file.*delete it and run again"
    ):
        store.open_images(str(path))


def test_a_foreign_file_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "a.h5")
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(UserError, match="delete it"):
        store.open_images(path)
    features_file.write_features(
        path, np.zeros((2, 2)), np.arange(2), np.zeros(2), name="n", layer="l"
    )
    with pytest.raises(UserError, match="not a complete images file"):
        store.open_images(path)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("images", np.zeros((6, 5, 4, 3), np.float32)),
        ("images", np.zeros((7, 5, 4, 3), np.uint8)),
        ("mean", np.zeros((6, 1))),
        ("variant", np.zeros(5, np.int16)),
    ],
)
def test_arrays_that_do_not_agree_are_told(tmp_path: Path, name: str, values: np.ndarray) -> None:
    write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file[name]
        file[name] = values
    with pytest.raises(UserError, match=name):
        store.open_images(str(tmp_path / "a.h5"))


def test_a_compressed_copy_is_told(tmp_path: Path) -> None:
    pixels = write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        del file["images"]
        file.create_dataset("images", data=pixels, compression="gzip")
    with pytest.raises(UserError, match="not contiguous"):
        store.open_images(str(tmp_path / "a.h5"))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing"):
        features_file.open_features(str(tmp_path / "a.h5"))


@pytest.mark.parametrize("late", [False, True])
def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync" if late else "posix_fallocate", full)
    with pytest.raises(UserError, match="no space: writing below"):
        write(tmp_path / "a.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_promises_no_room(tmp_path: Path) -> None:
    """As NFS 3 and many of a cluster's do not; nor does ramfs."""
    needs_mounts()
    code = (
        "import sys, numpy as np; from darkroom.images import features_file\n"
        "features_file.write_features(sys.argv[1], np.ones((4000, 2), 'f4'), np.arange(4000),\n"
        "                     np.zeros(4000), name='a', layer='b')\n"
        "print(features_file.open_features(sys.argv[1]).features.sum())\n"
    )
    script = 'mount -t ramfs ramfs "$1" && exec "$0" -c "$2" "$1/f.h5"'
    done = subprocess.run(
        [*UNSHARE, "sh", "-c", script, sys.executable, str(tmp_path), code],
        capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT,
    )  # fmt: skip
    assert done.stdout == "8000.0\n", done.stderr


def test_features_come_back_as_written(tmp_path: Path) -> None:
    path = str(tmp_path / "f.h5")
    values = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    features_file.write_features(
        path, values, np.arange(7) * 2, np.arange(7) % 2, name="hog", layer="hog"
    )
    features = features_file.open_features(path)
    assert isinstance(features.features, np.memmap) and len(features) == 7
    assert np.array_equal(features.features, values)
    assert features.row.tolist() == [0, 2, 4, 6, 8, 10, 12]
    assert features.variant.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert (features.name, features.layer, features.made) == ("hog", "hog", {})


def test_features_are_written_piece_by_piece(tmp_path: Path) -> None:
    path = str(tmp_path / "f.h5")
    with features_file.features_writer(
        path, 4, 2, np.arange(4), np.zeros(4), name="cnn", layer="dense", made={"kind": "network"}
    ) as out:
        for i in range(4):
            out[i] = i
    made = features_file.open_features(path)
    assert made.features[:, 1].tolist() == [0, 1, 2, 3] and made.made == {"kind": "network"}


def test_features_need_a_row_each(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="4 rows of features"), features_file.features_writer(
        str(tmp_path / "f.h5"), 4, 2, np.arange(3), np.zeros(4), name="n", layer="l"
    ):  # fmt: skip
        pass


def test_statistics_are_those_of_the_pixels(tmp_path: Path) -> None:
    pixels = write(tmp_path / "a.h5")
    images = store.open_images(str(tmp_path / "a.h5"))
    chosen = np.array([0, 3, 4])
    mean, std = store.channel_statistics(images, chosen)
    flat = pixels[chosen].reshape(-1, 3).astype(float)
    assert np.allclose(mean, flat.mean(axis=0), rtol=1e-12)
    assert np.allclose(std, flat.std(axis=0), rtol=1e-10)
    as_bool = np.isin(np.arange(6), chosen)
    assert np.array_equal(store.channel_statistics(images, as_bool)[0], mean)


def test_statistics_of_several_files_with_weights(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.h5"), write(tmp_path / "b.h5", n=4, seed=1)
    files = [store.open_images(str(tmp_path / name)) for name in ("a.h5", "b.h5")]
    chosen = [np.array([5, 1]), np.array([2])]
    mean, std = store.channel_statistics(files, chosen, [np.array([1, 2]), np.array([3])])
    repeated = np.concatenate([first[[5, 1, 1]], second[[2, 2, 2]]]).reshape(-1, 3).astype(float)
    assert np.allclose(mean, repeated.mean(axis=0)) and np.allclose(std, repeated.std(axis=0))
    alike = store.channel_statistics(files[0], chosen[0], np.array([2, 2]))
    assert np.allclose(alike, store.channel_statistics(files[0], chosen[0]))
    with pytest.raises(ValueError, match="no images"):
        store.channel_statistics(files[0], np.array([], int))
