"""Feature sets that no network makes, against a plain reading of the paper and on digits."""

import numpy as np
import pytest

from darkroom.errors import UserError
from darkroom.features import describe, hog
from darkroom.images import features_file, store


def write_images(path, images, variant=None, row=None):
    n, *shape = images.shape
    variant = np.zeros(n, np.int16) if variant is None else variant
    row = np.arange(n) if row is None else row
    with store.images_writer(
        str(path),
        tuple(shape),
        row,
        variant,
        np.zeros(n, np.int32),
        labels=["a"],
        view={},
        dataset="d",
        variants=["original", "light"],
    ) as made:
        made.map("images")[:] = images
        for name in ("mean", "mean_square"):
            made.map(name)[:] = 0


def noise(n, height, width, channels, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (n, height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["pixels", "hog"])
def test_images_come_first_then_variants(tmp_path, monkeypatch, kind, caplog):
    monkeypatch.setattr(describe, "CHUNK_BYTES", 100_000)  # several chunks
    images, variants = noise(40, 16, 16, 3), noise(80, 16, 16, 3, seed=1)
    write_images(tmp_path / "images.h5", images)
    variant, row = np.tile([1, 2], 40).astype(np.int16), np.repeat(np.arange(40), 2)
    write_images(tmp_path / "augmented.h5", variants, variant, row)
    caplog.set_level("INFO", "darkroom.features.describe")
    describe.describe_images(
        str(tmp_path / "images.h5"),
        str(tmp_path / "features.h5"),
        augmented=str(tmp_path / "augmented.h5"),
        cfg={"kind": kind, "name": "mine"},
    )
    opened = features_file.open_features(str(tmp_path / "features.h5"))
    every = np.concatenate([images, variants])
    expected = every.reshape(120, -1) / 255 if kind == "pixels" else hog.hog(every, 4)
    assert opened.features.shape == expected.shape
    assert np.allclose(opened.features, expected, atol=1e-6)
    assert list(opened.row) == [*range(40), *row]
    assert list(opened.variant) == [0] * 40 + list(variant)
    assert opened.name == "mine"
    assert kind in opened.layer
    assert "40 images and 80 variants" in caplog.text


def test_without_variants(tmp_path):
    images = noise(7, 9, 11, 1)
    write_images(tmp_path / "images.h5", images)
    out = str(tmp_path / "features.h5")
    describe.describe_images(str(tmp_path / "images.h5"), out, cfg={"kind": "pixels", "name": "p"})
    opened = features_file.open_features(out)
    assert opened.features.min() >= 0
    assert opened.features.max() <= 1
    assert np.array_equal(np.rint(opened.features * 255), images.reshape(7, -1))


def test_images_too_small_for_hog(tmp_path):
    write_images(tmp_path / "images.h5", noise(2, 7, 40, 1))
    with pytest.raises(UserError, match=r"at least 8×8 pixels, but the view is 7×40"):
        describe.describe_images(
            str(tmp_path / "images.h5"),
            str(tmp_path / "f.h5"),
            cfg={"kind": "hog", "name": "small"},
        )
    assert not (tmp_path / "f.h5").exists()
