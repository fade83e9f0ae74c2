"""Feature sets that no network makes, against a plain reading of the paper and on digits."""

import numpy as np
import pytest

from darkroom.features import hog


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
    found = hog.hog(images, cell)
    expected = np.stack([slow_hog(image, cell) for image in images])
    assert found.dtype == np.float32
    assert np.allclose(found, expected, atol=2e-5)


def test_hog_sees_the_direction_of_an_edge():
    image = np.zeros((1, 32, 32, 1), np.uint8)
    image[:, :, 16:] = 255  # a vertical edge: gradients at 0 degrees
    upright = hog.hog(image, 8).reshape(-1, 9).sum(axis=0)
    lying = hog.hog(image.transpose(0, 2, 1, 3), 8).reshape(-1, 9).sum(axis=0)
    assert set(np.argsort(upright)[-2:]) == {0, 8}  # the two bins beside 0
    assert np.argmax(lying) == 4
    assert np.allclose(hog.hog(np.zeros_like(image), 8), 0)


def test_hog_hardly_minds_the_light():
    # the square root makes a factor of brightness a factor of gradients, which blocks divide out
    image = noise(1, 32, 32, 3) // 4
    assert np.allclose(hog.hog(image, 8), hog.hog(image * 4, 8), atol=1e-3)


@pytest.mark.parametrize(
    ("side", "cell"), [((224, 224), 8), ((32, 64), 8), ((28, 28), 7), ((8, 8), 2), ((100, 9), 2)]
)
def test_cells_shrink_with_small_images(side, cell):
    assert hog.cell_size(*side) == cell


def test_hog_tells_real_digits_apart():
    """The 8×8 digits that scikit-learn carries, by the nearest neighbour on their gradients."""
    from sklearn.datasets import load_digits
    from sklearn.neighbors import KNeighborsClassifier

    data = load_digits()
    images = np.rint(data.images * (255 / 16)).astype(np.uint8)[..., None]
    x = hog.hog(images, hog.cell_size(8, 8))
    nearest = KNeighborsClassifier(1).fit(x[:1000], data.target[:1000])
    assert nearest.score(x[1000:], data.target[1000:]) > 0.95
