"""Random changes: what they do to pixels, and what their numbers depend on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from darkroom.train import augment
from tests.support.tiny_data import STILL


def batch(n: int = 32, shape: tuple[int, int, int] = (9, 11, 3)) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, *shape), dtype=np.uint8)


def change(images: np.ndarray, epoch: int = 1, step: int = 0, seed: int = 0, **asked: Any) -> Any:
    targets = np.eye(4, dtype=np.float32)[np.arange(len(images)) % 4]
    fill = np.full(images.shape[3], 7, np.uint8)
    return augment.augment_batch(
        images.copy(), targets, STILL | asked, seed=seed, epoch=epoch, step=step, fill=fill
    )


class Largest:
    """Stands in for a generator whose draws are all at their upper end."""

    def uniform(self, low: float, high: float, size: Any) -> np.ndarray:
        return np.full(size, high)


EVERY: list[dict[str, Any]] = [
    {"flip": "horizontal"},
    {"flip": "vertical"},
    {"flip": "both"},
    {"rotation": 20},
    {"zoom": 0.3},
    {"shear": 0.3},
    {"shift": 0.2},
    {"contrast": 0.5},
    {"brightness": 0.3},
    {"crop": 2},
    {"cutout": 0.5},
    {"mixup": 1.0},
]


@pytest.mark.parametrize("asked", EVERY, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_change_alters_pixels_and_depends_on_seed_epoch_and_step_alone(
    asked: dict[str, Any], channels: int
) -> None:
    images = batch(shape=(9, 11, channels))
    out, _ = change(images, **asked)
    assert out.shape == images.shape and out.dtype == np.uint8
    assert not np.array_equal(out, images)
    assert np.array_equal(out, change(images, **asked)[0])
    for other in ({"seed": 1}, {"epoch": 2}, {"step": 1}):
        assert not np.array_equal(out, change(images, **asked, **other)[0]), other
    assert augment.changes(STILL | asked)


def test_without_settings_nothing_changes() -> None:
    images = batch()
    out, targets = change(images)
    assert np.array_equal(out, images) and targets.argmax(1).tolist()[:4] == [0, 1, 2, 3]
    assert not augment.changes(STILL)


@pytest.mark.parametrize(("probability", "low", "high"), [(0.5, 70, 130), (0.25, 25, 75)])
def test_flip_mirrors_its_share_of_the_images(probability: float, low: int, high: int) -> None:
    images = batch(200)
    out, _ = change(images, flip="horizontal", flip_probability=probability)
    mirrored = [np.array_equal(a, b[:, ::-1]) for a, b in zip(out, images, strict=True)]
    kept = [np.array_equal(a, b) for a, b in zip(out, images, strict=True)]
    assert all(m != k for m, k in zip(mirrored, kept, strict=True))
    assert low < sum(mirrored) < high


def test_affine_of_nothing_is_the_image_and_a_half_turn_mirrors_both_ways() -> None:
    images = batch()
    assert np.array_equal(augment.affine(images, np.random.default_rng(0)), images)

    turned = augment.affine(images, Largest(), rotation=180)
    assert np.array_equal(turned, images[:, ::-1, ::-1])
    square = batch(shape=(10, 10, 3))
    moved = augment.affine(square, Largest(), shift=0.2)
    assert np.array_equal(moved[:, 2:, 2:], square[:, :-2, :-2])  # right and down


def test_zoom_in_enlarges_about_the_centre() -> None:
    image = np.zeros((1, 21, 21, 1), np.uint8)
    image[0, 8:13, 8:13] = 255

    larger = augment.affine(image, Largest(), zoom=0.9)
    assert (larger > 127).sum() > 2.5 * (image > 127).sum()
    assert np.array_equal(larger, larger[:, ::-1, ::-1])


def test_crop_shows_a_window_of_the_reflected_image() -> None:
    images = batch(64)
    out, _ = change(images, crop=2)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    places = set()
    for i in range(64):
        found = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if np.array_equal(out[i], padded[i, y : y + 9, x : x + 11])
        ]
        assert len(found) == 1
        places.add(found[0])
    assert len(places) > 12


def test_brightness_and_contrast_saturate_and_keep_the_mean_where_they_can() -> None:
    images = np.full((16, 4, 4, 1), 100, np.uint8)
    images[:, 0] = 120
    out, _ = change(images, contrast=0.5)
    assert np.abs(out.mean(axis=(1, 2, 3)) - 105).max() < 1
    assert out.std(axis=(1, 2, 3)).min() < images.std() < out.std(axis=(1, 2, 3)).max()
    out, _ = change(np.full((64, 2, 2, 1), 250, np.uint8), brightness=0.9)
    assert out.max() == 255 and out.min() < 100  # no wrap-around to dark
    lifted = out[out > 250]
    assert len(lifted) > 64


def test_cutout_puts_in_one_square_of_the_mean_colour() -> None:
    images = np.full((64, 10, 10, 3), 200, np.uint8)
    out, _ = change(images, cutout=0.4)
    cut = (out == 7).all(axis=3)
    assert ((out == 200) | (out == 7)).all()
    area = cut.sum(axis=(1, 2))
    assert area.max() == 16 and area.min() >= 4
    for one in cut:  # a rectangle
        assert one.sum() == one.any(axis=0).sum() * one.any(axis=1).sum()


def test_mixup_mixes_pixels_as_it_mixes_targets() -> None:
    images = np.zeros((32, 3, 3, 1), np.uint8)
    images[:] = (np.arange(32) % 4 * 60)[:, None, None, None]
    out, targets = change(images, mixup=1.0)
    assert np.allclose(targets.sum(axis=1), 1)
    assert ((targets > 0).sum(axis=1) == 2).any()
    expected = targets @ np.array([0, 60, 120, 180])
    assert np.abs(out[:, 0, 0, 0] - expected).max() <= 0.501
