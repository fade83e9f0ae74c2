"""Feature sets that no network makes, against a plain reading of the paper and on digits."""

import numpy as np
import pytest

from darkroom.errors import UserError
from darkroom.features import describe
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


def slow_hog(image, cell):
    """Pixel by pixel, as the paper says it."""
    height, width, channels = image.shape
    lines, columns = height // cell, width // cell
    top, left = (height - lines * cell) // 2, (width - columns * cell) // 2
    image = image[top : top + lines * cell, left : left + columns * cell]
    root = np.sqrt(image.astype(float))
    cells = np.zeros((lines, columns, 9))
    for y in range(lines * cell):
        for x in range(columns * cell):
            best = (0.0, 0.0, -1.0)
            for c in range(channels):
                dy = root[y + 1, x, c] - root[y - 1, x, c] if 0 < y < lines * cell - 1 else 0.0
                dx = root[y, x + 1, c] - root[y, x - 1, c] if 0 < x < columns * cell - 1 else 0.0
                if dy * dy + dx * dx > best[2]:
                    best = (dy, dx, dy * dy + dx * dx)
            angle = np.degrees(np.arctan2(best[0], best[1])) % 180
            for cy in range(lines):
                for cx in range(columns):
                    wy = 1 - abs((cy + 0.5) * cell - (y + 0.5)) / cell
                    wx = 1 - abs((cx + 0.5) * cell - (x + 0.5)) / cell
                    if wy <= 0 or wx <= 0:
                        continue
                    for b in range(9):
                        off = abs(angle - (b + 0.5) * 20)
                        share = 1 - min(off, 180 - off) / 20
                        if share > 0:
                            cells[cy, cx, b] += wy * wx * share * np.sqrt(best[2])
    out = []
    for y in range(lines - 1):
        for x in range(columns - 1):
            block = cells[y : y + 2, x : x + 2].ravel()
            block = np.minimum(block / np.sqrt((block**2).sum() + 1e-6), 0.2)
            out.append(block / np.sqrt((block**2).sum() + 1e-6))
    return np.concatenate(out)


@pytest.mark.parametrize(("shape", "cell"), [((16, 16, 1), 4), ((17, 14, 3), 3), ((24, 16, 3), 8)])
def test_hog_is_what_the_paper_says(shape, cell):
    images = noise(3, *shape)
    found = describe.hog(images, cell)
    expected = np.stack([slow_hog(image, cell) for image in images])
    assert found.dtype == np.float32
    assert np.allclose(found, expected, atol=2e-5)


def test_hog_sees_the_direction_of_an_edge():
    image = np.zeros((1, 32, 32, 1), np.uint8)
    image[:, :, 16:] = 255  # a vertical edge: gradients at 0 degrees
    upright = describe.hog(image, 8).reshape(-1, 9).sum(axis=0)
    lying = describe.hog(image.transpose(0, 2, 1, 3), 8).reshape(-1, 9).sum(axis=0)
    assert set(np.argsort(upright)[-2:]) == {0, 8}  # the two bins beside 0
    assert np.argmax(lying) == 4
    assert np.allclose(describe.hog(np.zeros_like(image), 8), 0)


def test_hog_hardly_minds_the_light():
    # the square root makes a factor of brightness a factor of gradients, which blocks divide out
    image = noise(1, 32, 32, 3) // 4
    assert np.allclose(describe.hog(image, 8), describe.hog(image * 4, 8), atol=1e-3)


@pytest.mark.parametrize(
    ("side", "cell"), [((224, 224), 8), ((32, 64), 8), ((28, 28), 7), ((8, 8), 2), ((100, 9), 2)]
)
def test_cells_shrink_with_small_images(side, cell):
    assert describe.cell_size(*side) == cell


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
    expected = every.reshape(120, -1) / 255 if kind == "pixels" else describe.hog(every, 4)
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


def test_hog_tells_real_digits_apart():
    """The 8×8 digits that scikit-learn carries, by the nearest neighbour on their gradients."""
    from sklearn.datasets import load_digits
    from sklearn.neighbors import KNeighborsClassifier

    data = load_digits()
    images = np.rint(data.images * (255 / 16)).astype(np.uint8)[..., None]
    x = describe.hog(images, describe.cell_size(8, 8))
    nearest = KNeighborsClassifier(1).fit(x[:1000], data.target[:1000])
    assert nearest.score(x[1000:], data.target[1000:]) > 0.95
